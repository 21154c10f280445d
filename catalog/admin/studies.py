"""Studies, series and frames of what came as DICOM: looked at, never edited. All names in them are pseudonyms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, ReadOnlyAdmin, admin_url, list_link, object_link, thumbnail
from catalog.admin.collections import count_of
from catalog.admin.filters import collection_filter
from catalog.models import DicomFrame, DicomSeries, DicomStudy


class Kept(ReadOnlyAdmin):
    """They go with their pictures."""

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """With a picture, product or collection, not from pages of their own: pictures would lose their patient."""
        match = request.resolver_match
        here = bool(match and (match.url_name or "").startswith("catalog_dicom"))
        return not here and super().has_delete_permission(request, obj)


@admin.register(DicomStudy)
class DicomStudyAdmin(Kept):
    list_display: Any = ("__str__", "patient_shown", "collection", "series_total", "frames_total", "when")
    list_filter = (collection_filter(),)
    list_select_related = ("collection",)
    search_fields = ("key__startswith", "patient__startswith")
    search_help_text = _("The beginning of a study's or a patient's pseudonym")
    fields = ("collection", "key", "patient", "created")

    def get_queryset(self, request: HttpRequest) -> Any:
        counted = {
            "series_count": count_of(DicomSeries.objects.all(), "study"),
            "frame_count": count_of(DicomFrame.objects.all(), "series__study"),
        }
        return super().get_queryset(request).annotate(**counted)

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        yield gettext("Series"), admin_url(DicomSeries, "changelist", study__id__exact=row.pk)
        yield gettext("Of the same patient"), admin_url(DicomStudy, "changelist", q=row.patient)

    @admin.display(description=_("patient"), ordering="patient")
    def patient_shown(self, study: DicomStudy) -> SafeString:
        return list_link(DicomStudy, study.patient[:12], q=study.patient)

    @admin.display(description=_("series"), ordering="series_count")
    def series_total(self, study: Any) -> SafeString:
        return list_link(DicomSeries, study.series_count, study__id__exact=study.pk)

    @admin.display(description=_("pictures"), ordering="frame_count")
    def frames_total(self, study: Any) -> SafeString:
        return list_link(DicomFrame, study.frame_count, series__study__id__exact=study.pk)


@admin.register(DicomSeries)
class DicomSeriesAdmin(Kept):
    list_display: Any = ("__str__", "modality", "body_part", "study_shown", "frames_total")
    list_filter = (collection_filter("study__collection"), "modality", "body_part")
    list_select_related = ("study",)
    search_fields = ("key__startswith",)
    fields = ("study", "key", "modality", "body_part")

    def get_queryset(self, request: HttpRequest) -> Any:
        counted = {"frame_count": count_of(DicomFrame.objects.all(), "series")}
        return super().get_queryset(request).annotate(**counted)

    @admin.display(description=_("study"))
    def study_shown(self, series: DicomSeries) -> SafeString:
        return object_link(series.study)

    @admin.display(description=_("pictures"), ordering="frame_count")
    def frames_total(self, series: Any) -> SafeString:
        return list_link(DicomFrame, series.frame_count, series__id__exact=series.pk)


@admin.register(DicomFrame)
class DicomFrameAdmin(Kept):
    list_display: Any = ("preview", "series_shown", "instance_number", "place", "window_shown", "burned_in")
    list_display_links = ("instance_number", "place")
    list_filter = (collection_filter("image__collection"), "series__modality", "window_source", "burned_in")
    list_select_related = ("image", "series__study")
    fields = ("image", "series", "instance", "instance_number", "place", "window_shown", "window_function", "burned_in")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    @admin.display(description=_("picture"))
    def preview(self, frame: DicomFrame) -> SafeString:
        return thumbnail(frame.image)

    @admin.display(description=_("series"))
    def series_shown(self, frame: DicomFrame) -> SafeString:
        return object_link(frame.series)

    @admin.display(description=_("frame"))
    def place(self, frame: DicomFrame) -> str:
        return f"{frame.number} / {frame.frames}"

    @admin.display(description=_("window"))
    def window_shown(self, frame: DicomFrame) -> str:
        if frame.window_center is None or frame.window_width is None:
            return frame.get_window_source_display() or NOTHING
        return f"{frame.window_center:g} / {frame.window_width:g} ({frame.get_window_source_display()})"
