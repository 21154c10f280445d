"""What the actions of several admins start: builds, embedding, evaluation runs. All of it is enqueued on commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext

from catalog.admin.base import SiteAdmin, error_text, object_link
from catalog.errors import LookalikeError
from catalog.models import Collection
from search.builds import build_create
from search.evaluations import evaluation_create
from search.models import Embedding, EvaluationRun, FeatureModel, IndexBuild, SearchIndex
from search.tasks import build_run, embed_pending, evaluation_run


def start_build(page: SiteAdmin, request: HttpRequest, index: SearchIndex) -> IndexBuild | None:
    """Start a build and say so, or say why not."""
    user: Any = request.user
    try:
        build = build_create(index, user=user)
    except LookalikeError as error:
        page.message_user(request, f"{index}: {error_text(error)}", messages.ERROR)
        return None
    build_run.delay_on_commit(build.pk)
    page.message_user(request, format_html(gettext("Started build {}."), object_link(build)), messages.SUCCESS)
    return build


def start_evaluation(page: SiteAdmin, request: HttpRequest, benchmark: Any, index: SearchIndex) -> EvaluationRun | None:
    user: Any = request.user
    try:
        run = evaluation_create(benchmark, index, user=user)
    except LookalikeError as error:
        page.message_user(request, f"{benchmark}: {error_text(error)}", messages.ERROR)
        return None
    evaluation_run.delay_on_commit(run.pk)
    page.message_user(request, format_html(gettext("Started evaluation {}."), object_link(run)), messages.SUCCESS)
    return run


def start_embedding(
    page: SiteAdmin, request: HttpRequest, pairs: Iterable[tuple[Collection, FeatureModel]], *, again: bool
) -> None:
    """Embed what has no descriptor. ``again``: forget the present ones first; else only those that failed."""
    for collection, feature_model in pairs:
        rows = Embedding.objects.filter(image__collection=collection, feature_model=feature_model)
        forgotten, _per_model = (rows if again else rows.exclude(error="")).delete()
        embed_pending.delay_on_commit(collection.pk, feature_model.pk)
        text = gettext("Started embedding {} with {}: {} descriptors were forgotten, what has none is embedded.")
        values = (object_link(collection), object_link(feature_model), forgotten)
        page.message_user(request, format_html(text, *values), messages.SUCCESS)
