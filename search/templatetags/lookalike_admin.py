"""Tags of the admin's templates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django import template
from django.utils.safestring import SafeString

from catalog.admin.base import NOTHING, admin_url, may
from catalog.admin.base import thumbnail as thumbnail_html
from catalog.admin.jobs import progress_bar
from catalog.jobs import Job
from catalog.models import Image

if TYPE_CHECKING:
    from django.http import HttpRequest

    from search.admin.figures import Figures
    from search.admin.query_results import Column, Row

register = template.Library()


@register.simple_tag
def thumbnail(image: Image) -> SafeString:
    return thumbnail_html(image)


@register.simple_tag
def site_figures() -> Figures:
    """The numbers of the dashboard."""
    from search.admin.figures import figures

    return figures()


@register.filter
def visible_to(jobs: Iterable[Job], request: HttpRequest) -> list[Job]:
    """The jobs whose rows the user may see."""
    return [job for job in jobs if may(request, "view", type(job)) or may(request, "change", type(job))]


@register.filter
def bar(job: Job) -> SafeString:
    return progress_bar(job)


@register.filter
def scores(row: Row, columns: Iterable[Column]) -> list[tuple[str, str]]:
    """Name and value of each score of a query."""
    values = zip(columns, row.scores, strict=True)
    return [(column.name, NOTHING if value is None else f"{value:.3f}") for column, value in values]


@register.filter
def page(job: Job) -> str:
    """The address of a job's page in the admin."""
    return admin_url(job, "change", job.pk)


@register.filter
def kind(job: Job) -> str:
    return str(job._meta.verbose_name)
