"""An evaluation run as one HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from search.models import EvaluationRun
from search.run_reports import report_html

if TYPE_CHECKING:
    from search.admin.evaluations import EvaluationRunAdmin


def report_page(page: EvaluationRunAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """A download: pages of the site allow no styles of their own, a file on a disk does."""
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied
    run = EvaluationRun.objects.select_related("benchmark__collection", "index__collection", "index__feature_model")
    found = run.filter(pk=pk).first()
    if found is None or not found.results:
        raise Http404
    response = HttpResponse(report_html(found))
    response["Content-Disposition"] = f'attachment; filename="evaluation-{found.pk}.html"'
    return response
