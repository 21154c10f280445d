"""Two evaluation runs beside each other in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from catalog.admin.base import admin_url, error_text
from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.comparisons import RunComparison, common_metrics, compare_runs
from search.evaluation.comparison import RESAMPLES
from search.evaluation.plot import points
from search.judged import LEGEND
from search.models import EvaluationRun
from search.run_reports import RunReport, shown

if TYPE_CHECKING:
    from search.admin.evaluations import EvaluationRunAdmin


def comparison_page(page: EvaluationRunAdmin, request: HttpRequest) -> HttpResponse:
    """``?a=1&b=2&metric=mAP``; without ``b`` it offers the runs that can be compared with ``a``."""
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied
    a, b = (_run(request.GET.get(name, "")) for name in ("a", "b"))
    if a is None:
        page.message_user(request, gettext("Choose exactly two runs to compare."), messages.ERROR)
        return redirect(admin_url(EvaluationRun, "changelist"))
    context: dict[str, Any] = {
        **page.admin_site.each_context(request),
        "title": gettext("Compare two runs"),
        "opts": EvaluationRun._meta,
        "a": a,
        "others": _others(a),
        "chosen": b.pk if b else None,
    }
    if b is not None:
        try:
            context |= _compared(compare_runs(a, b, request.GET.get("metric", "")))
        except LookalikeError as error:
            context["refusal"] = error_text(error)
    return TemplateResponse(request, "admin/lookalike/compare.html", context)


def _compared(found: RunComparison) -> dict[str, Any]:
    curves = [RunReport(run).curve for run in (found.a, found.b)]
    return {
        "found": found,
        "metric": found.metric.name,  # a metric is callable, so a template would call it
        "pins": [(name, shown(first), shown(second)) for name, first, second in found.pins],
        "metrics": common_metrics(found.a, found.b),
        "legend": LEGEND,
        "resamples": RESAMPLES,
        "lines": [points(curve) for curve in curves] if all(curves) else [],
    }


def _runs() -> QuerySet[EvaluationRun]:
    return EvaluationRun.objects.select_related(
        "benchmark__collection", "index__collection", "index__feature_model", "build"
    )


def _run(number: str) -> EvaluationRun | None:
    return _runs().filter(pk=number).first() if number.isdecimal() and len(number) < 19 else None


def _others(run: EvaluationRun) -> QuerySet[EvaluationRun]:
    """Runs of the same labels, the newest first."""
    same = _runs().filter(benchmark=run.benchmark_id, label_version=run.label_version, state=JobState.DONE)
    return same.exclude(pk=run.pk).order_by("-pk")[:100]
