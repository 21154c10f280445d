"""How pictures and products come in."""

from __future__ import annotations

from pathlib import Path

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.jobs import Job
from catalog.models.things import Collection, ImageRole


class ImportJob(Job):
    """An import of a folder, a CSV, an archive or a list of URLs into a collection."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="imports", verbose_name=_("collection"))
    upload = models.FileField(_("CSV or ZIP file"), upload_to="imports/", max_length=200, blank=True)
    path = models.CharField(
        _("path on the server"),
        max_length=1000,
        blank=True,
        help_text=_("Instead of a file: set by the command."),
    )
    role = models.CharField(
        _("role"),
        max_length=10,
        choices=ImageRole,
        default=ImageRole.GALLERY,
        help_text=_("Of pictures whose row gives none."),
    )
    frames = models.CharField(
        _("frames of DICOM files"),
        max_length=200,
        default="first",
        blank=True,
        help_text=_("first, middle, last, all, a number, several with commas, or every:10. One picture each."),
    )
    window = models.CharField(
        _("window of DICOM files"),
        max_length=40,
        blank=True,
        help_text=_("Empty: as stored. Or stored:2, for CT lung, bone, brain, soft-tissue …, or center/width."),
    )
    added = models.PositiveBigIntegerField(_("added"), default=0)
    known = models.PositiveBigIntegerField(_("already there"), default=0)
    bad = models.PositiveBigIntegerField(_("bad rows"), default=0)
    report = models.FileField(_("report of bad rows"), max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name, verbose_name_plural = _("import"), _("imports")

    def __str__(self) -> str:
        return f"{Path(self.upload.name or self.path).name} → {self.collection}"
