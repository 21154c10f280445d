"""Attribute branches in the admin: started from a collection, their figures on the page of the run."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext

from catalog.admin.base import SiteAdmin, error_text, object_link
from catalog.errors import LookalikeError
from catalog.models import Collection
from search.attributes import branch_create
from search.branch_report import Table, accuracies, left_out, rankings
from search.builds import index_for
from search.models import FeatureModel, TrainingRun
from search.models.training import TrainingKind
from search.tasks import training_run

LONGEST = 100  # characters of a feature model's name


def start_branch(page: SiteAdmin, request: HttpRequest, collection: Collection) -> TrainingRun | None:
    """Begin with the feature model that the collection is searched with, and say so, or say why not."""
    user: Any = request.user
    model = index_for(collection).feature_model
    base = model.projected_from or model
    try:
        run = branch_create(collection, base, branch_name(base, collection), user=user)
    except LookalikeError as error:
        page.message_user(request, f"{collection}: {error_text(error)}", messages.ERROR)
        return None
    training_run.delay_on_commit(run.pk)
    page.message_user(request, format_html(gettext("Started: {}."), object_link(run)), messages.SUCCESS)
    return run


def branch_name(base: FeatureModel, collection: Collection) -> str:
    """One that no feature model and no unfinished run has."""
    stem = f"{base.name[:50]} {collection.slug[:35]}"
    taken = {
        *FeatureModel.objects.filter(name__startswith=stem).values_list("name", flat=True),
        *TrainingRun.objects.filter(name__startswith=stem).values_list("name", flat=True),
    }
    numbers = range(1, len(taken) + 2)
    return next(name for n in numbers if (name := f"{stem}{f' {n}' if n > 1 else ''}"[:LONGEST]) not in taken)


def branch_tables(run: TrainingRun) -> list[Table]:
    """What a finished run of this kind found; nothing of another kind."""
    if run.kind != TrainingKind.BRANCH or "heads" not in run.results:
        return []
    return [table for make in (accuracies, rankings, left_out) if (table := make(run.results)).rows]


def branch_summary(run: TrainingRun) -> str:
    """How products were divided, and the weight that came of it; nothing for a run of another kind."""
    if not branch_tables(run):
        return ""
    counts = run.results["products"]
    text = gettext(
        "Fitted on %(fitted)d products, tuned on %(tuned)d, measured on %(measured)d others. What is read weighs "
        "%(weight)g beside the descriptor. Proposals to be decided: %(proposals)d."
    )
    return text % {**counts, "weight": run.results["weight"], "proposals": run.results.get("proposals", 0)}
