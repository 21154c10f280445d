"""What the scores of an index mean: its calibration shown, and made anew from labels or without."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import SiteAdmin, error_text
from catalog.errors import LookalikeError
from catalog.models import Benchmark
from search import calibrations
from search.calibration import LABELS
from search.models import SearchIndex

WIDTH, HEIGHT, EDGE = 260, 130, 24
# What the quality of a calibration is told in; a share is shown in per cent
FIGURES = [
    ("precision_at_half", _("of the hits at 0.5 or more were relevant"), True),
    ("recall_at_half", _("of the relevant hits were at 0.5 or more"), True),
    ("kept_at_half", _("of all hits were at 0.5 or more"), True),
    ("ece", _("mean gap between the probability told and the share found (ECE)"), False),
    ("brier", _("Brier score; lower is better"), False),
    ("brier_without", _("Brier score of telling every hit the same"), False),
]


@dataclass(frozen=True)
class Curve:
    """Probability over score, as a line in a small picture."""

    line: str
    low: float
    high: float


def calibration_shown(index: SearchIndex) -> SafeString:
    stored = index.calibration or {}
    calibration = calibrations.calibration_of(index)
    shown: dict[str, Any] = {"stored": stored, "outdated": bool(stored) and calibration is None}
    if calibration is not None:
        quality = calibration.quality
        shown |= {
            "labels": calibration.kind == LABELS,
            "made": parse_datetime(str(stored.get("made", ""))),
            "figures": [(_figure(quality[key], share), text) for key, text, share in FIGURES if key in quality],
            "curve": _curve(calibration.knots, calibration.probabilities),
            "size": (WIDTH, HEIGHT, EDGE),
        }
    return render_to_string("admin/lookalike/index_calibration.html", shown)


def _figure(value: float, share: bool) -> str:
    return f"{100 * value:.0f} %" if share else f"{value:.3f}"


def _curve(knots: Iterable[float], probabilities: Iterable[float]) -> Curve:
    points = list(zip(knots, probabilities, strict=True))
    low, high = points[0][0], points[-1][0]
    wide, tall = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    places = [(EDGE + wide * (x - low) / ((high - low) or 1), HEIGHT - EDGE - tall * y) for x, y in points]
    return Curve(" ".join(f"{x:.1f},{y:.1f}" for x, y in places), low, high)


class Calibrating(SiteAdmin):
    """The action 'Calibrate scores', which asks on what first."""

    @admin.display(description=_("calibration"))
    def calibration_shown(self, row: SearchIndex) -> SafeString:
        return calibration_shown(row)

    @admin.action(description=_("Calibrate scores"), permissions=["change"])
    def calibrate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        indexes = list(queryset.select_related("collection", "feature_model"))
        benchmarks = Benchmark.objects.filter(collection__in={index.collection_id for index in indexes})
        if not request.POST.get("confirmed"):
            page = self.confirm(request, queryset, gettext("What shall the scores be calibrated on?"))
            assert isinstance(page, TemplateResponse)
            page.template_name = "admin/lookalike/index_calibrate.html"
            page.context_data = {**(page.context_data or {}), "benchmarks": benchmarks.select_related("collection")}
            return page
        chosen = request.POST.get("benchmark", "")
        benchmark = benchmarks.filter(pk=chosen).first() if chosen.isdecimal() else None
        for index in indexes:
            self._calibrate(request, index, benchmark)
        return None

    def _calibrate(self, request: HttpRequest, index: SearchIndex, benchmark: Benchmark | None) -> None:
        try:
            calibrations.calibrate(index, benchmark)
        except LookalikeError as error:
            self.message_user(request, f"{index}: {error_text(error)}", messages.ERROR)
        else:
            text = gettext("%s: the scores are calibrated; visitors can cut on them.")
            self.message_user(request, text % index, messages.SUCCESS)
