"""The form that takes a published ground truth, and what is told of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from django import forms
from django.contrib import messages
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.wording import error_text
from catalog.errors import LookalikeError
from catalog.importers.truth_lists import formats, read_truth
from catalog.models import Collection
from catalog.truth_import import TruthReport, some, truth_import


class TruthForm(forms.Form):
    """A published ground truth onto a collection; what it cannot be is a form error."""

    collection = forms.ModelChoiceField(Collection.objects.all(), label=capfirst(_("collection")))
    file = forms.FileField(
        label=capfirst(_("file")),
        help_text=_(
            "A ZIP of Oxford5k's or Paris6k's files, a list of Stanford Online Products or of Grocery Store, "
            "or a CSV with the columns query, image and grade."
        ),
    )
    format = forms.ChoiceField(label=capfirst(_("format")), choices=[(name, name) for name in formats()])
    name = forms.CharField(
        label=capfirst(_("benchmark")), max_length=100, required=False, help_text=_("Empty: the name of the file.")
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if self.errors:
            return given
        upload = given["file"]
        try:
            with uploaded(upload) as path:
                truth = read_truth(path, given["format"], upload.name)
            name = given["name"].strip() or PurePath(upload.name).stem
            self.report = truth_import(given["collection"], name, truth)
        except LookalikeError as error:
            self.add_error("file", error_text(error))
        return given


@contextmanager
def uploaded(upload: Any) -> Iterator[Path]:
    """The upload under its own name in a folder of its own: errors name the file as the user does."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / (PurePath(upload.name).name or "upload")
        with path.open("wb") as file:
            for chunk in upload.chunks():
                file.write(chunk)
        yield path


def told(report: TruthReport) -> Iterator[tuple[str, int]]:
    """Messages and their levels: what is new, and what is missing in the collection."""
    text = gettext("Imported: %(queries)d queries and %(labels)d labels are new.")
    yield text % {"queries": report.queries_added, "labels": report.labels_added}, messages.SUCCESS
    if report.queries_missing:
        text = gettext("The pictures of %(count)d queries are not in the collection: %(names)s.")
        names = some(report.queries_missing)
        yield text % {"count": len(report.queries_missing), "names": names}, messages.WARNING
    if report.pictures_missing:
        text = gettext(
            "%(count)d pictures that the ground truth names are not in the collection: %(names)s. "
            "Figures are not comparable with published ones."
        )
        yield text % {"count": report.pictures_missing, "names": some(list(report.missing))}, messages.WARNING
