"""Imports: upload a CSV or ZIP, watch it, fetch the report of bad rows."""

from __future__ import annotations

import csv
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, ModelForm, admin_url, error_text, object_link
from catalog.admin.filters import collection_filter
from catalog.admin.jobs import StartedJobAdmin
from catalog.errors import LookalikeError
from catalog.models import Collection, ImportJob
from catalog.services import import_create
from catalog.tasks import import_run

SHOWN = 20  # bad rows on an import's page
HELP = _(
    "CSV: a header with sku and image (a URL), and title, category, price, stock, url; every other column is an "
    "attribute. ZIP: such a CSV beside its pictures, or pictures alone in folders, which become categories."
)
MEDICAL = _(
    "DICOM files keep the tags of an allow-list and nothing else. That does not prove that no name is burned into "
    "their pixels: look at them. A ZIP of DICOM files is refused here; use manage.py import_catalog."
)


def refused(job: ImportJob, most: int = SHOWN) -> list[tuple[str, str, str]]:
    """(row, source, message) of the first bad rows; none where the report is gone."""
    if not job.report or not job.report.storage.exists(str(job.report.name)):
        return []
    with job.report.open() as file:
        lines = csv.DictReader(TextIOWrapper(file, encoding="utf-8-sig", newline=""))
        return [(line["row"], line["source"], line["message"]) for line in islice(lines, most)]


class ImportForm(ModelForm):
    """Starts an import; what the service refuses is shown beside the file."""

    upload = forms.FileField(
        label=_("CSV or ZIP file"), help_text=HELP, widget=forms.FileInput(attrs={"accept": ".csv,.zip"})
    )

    class Meta:
        model = ImportJob
        fields = ("collection", "role", "upload", "frames", "window")

    def _field_of(self, error: LookalikeError) -> str:
        return {"bad_frames": "frames", "bad_window": "window"}.get(error.code, "upload")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:  # else a job would be made of a form that is shown again
            try:
                self.job = import_create(**cleaned, user=self.user)
            except LookalikeError as error:
                self.add_error(self._field_of(error), error_text(error))
        return cleaned

    user: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "collection" in self.fields and not self.initial.get("collection"):
            known = list(Collection.objects.values_list("pk", flat=True)[:2])
            self.initial["collection"] = known[0] if len(known) == 1 else None  # no choice, no question

    def _post_clean(self) -> None:
        """The service has validated and made the row."""

    def save(self, commit: bool = True) -> Any:
        return self.job

    def save_m2m(self) -> None:
        """An import has none."""


@admin.register(ImportJob)
class ImportJobAdmin(StartedJobAdmin):
    start_form = ImportForm
    list_display = ("name", "collection", "progress", "added", "known", "bad_shown", "when")
    list_select_related = ("collection",)
    list_filter = ("state", collection_filter())
    add_form_template = "admin/lookalike/start_form.html"
    autocomplete_fields = ("collection",)
    start_fieldsets = (
        (None, {"fields": ImportForm.Meta.fields[:3]}),
        (_("DICOM files"), {"fields": ("frames", "window"), "description": MEDICAL}),
    )
    shown = (
        (
            None,
            {
                "fields": (
                    "progress",
                    "collection_shown",
                    "name",
                    ("frames", "window"),
                    "added",
                    "known",
                    "bad_shown",
                    "report_shown",
                    "bad_rows",
                    "error_shown",
                    ("created", "created_by"),
                    ("started", "finished"),
                )
            },
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.report_view)
        return [path("<int:pk>/report/", view, name="catalog_importjob_report"), *super().get_urls()]

    def report_view(self, request: HttpRequest, pk: int) -> FileResponse:
        """The lines of the rows that were refused, one line of error each."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = self.get_object(request, str(pk))
        if not job or not job.report:
            raise Http404
        return FileResponse(job.report.open(), as_attachment=True, filename=Path(job.report.name).name)

    def save_model(self, request: HttpRequest, obj: ImportJob, form: Any, change: bool) -> None:
        import_run.delay_on_commit(obj.pk)

    def link_text(self, job: ImportJob) -> str:
        return gettext("import %d") % job.pk

    def delete_model(self, request: HttpRequest, obj: ImportJob) -> None:
        files = [file for file in (obj.upload, obj.report) if file]
        super().delete_model(request, obj)
        for file in files:
            transaction.on_commit(lambda file=file: file.storage.delete(file.name))  # type: ignore[misc]

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for job in queryset:
            if job.is_finished:
                self.delete_model(request, job)

    @admin.display(description=_("file"))
    def name(self, job: ImportJob) -> str:
        return Path(job.upload.name or job.path).name

    @admin.display(description=_("collection"))
    def collection_shown(self, job: ImportJob) -> SafeString:
        return object_link(job.collection)

    @admin.display(description=_("bad rows"), ordering="bad")
    def bad_shown(self, job: ImportJob) -> SafeString | int:
        return format_html('<b class="lk-warn">{}</b>', job.bad) if job.bad else job.bad

    @admin.display(description=_("what is wrong"))
    def bad_rows(self, job: ImportJob) -> SafeString | str:
        """The first of them, so that a slip is seen without opening a file."""
        rows = refused(job)
        if not rows:
            return NOTHING
        body = format_html_join("", "<tr><th scope=row>{}</th><td>{}</td><td>{}</td></tr>", rows)
        heads = (gettext("row"), gettext("source"), gettext("cause and cure"))
        head = format_html("<tr><th>{}</th><th>{}</th><th>{}</th></tr>", *heads)
        more = gettext("The report has all %d.") % job.bad if job.bad > len(rows) else ""
        return format_html('<table class="lk-figures lk-bad-rows">{}{}</table>{}', head, body, more)

    @admin.display(description=_("report"))
    def report_shown(self, job: ImportJob) -> SafeString | str:
        if not job.report:
            return NOTHING
        return format_html('<a href="{}">{}</a>', admin_url(job, "report", job.pk), gettext("Download the report"))
