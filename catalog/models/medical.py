"""Where pictures that came as DICOM belong, under pseudonyms."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models.things import Collection, Image


class DicomStudy(models.Model):
    """A study under its pseudonym. ``key`` and ``patient`` are keyed hashes: nothing leads back without the secret."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="studies", verbose_name=_("collection"))
    key = models.CharField(_("key"), max_length=32)
    patient = models.CharField(_("patient"), max_length=32, db_index=True, help_text=_("A pseudonym."))
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("study"), _("studies")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "key", "patient"], name="study_once"),
        ]

    def __str__(self) -> str:
        return self.key[:12]


class DicomSeries(models.Model):
    """A series of a study under its pseudonym."""

    study = models.ForeignKey(DicomStudy, models.CASCADE, related_name="series", verbose_name=_("study"))
    key = models.CharField(_("key"), max_length=32)
    modality = models.CharField(_("modality"), max_length=20)
    body_part = models.CharField(_("body part"), max_length=20, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("series"), _("series")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["study", "key"], name="series_once"),
        ]

    def __str__(self) -> str:
        return f"{self.modality} {self.body_part} {self.key[:12]}".replace("  ", " ")


class WindowSource(models.TextChoices):
    STORED = "stored", _("of the file")
    PRESET = "preset", _("a preset")
    OWN = "own", _("given at import")
    DERIVED = "derived", _("derived: the file has none")
    TABLE = "table", _("a table of the file")
    NONE = "none", _("none: in colour")


class DicomFrame(models.Model):
    """What a picture that came as DICOM is a frame of, and the window it is shown and described with."""

    Source = WindowSource
    image = models.OneToOneField(Image, models.CASCADE, related_name="dicom", verbose_name=_("picture"))
    series = models.ForeignKey(DicomSeries, models.CASCADE, related_name="dicom_frames", verbose_name=_("series"))
    instance = models.CharField(_("instance"), max_length=32, help_text=_("A pseudonym of the file."))
    instance_number = models.PositiveIntegerField(_("number in the series"), null=True, blank=True)
    number = models.PositiveIntegerField(_("frame"), default=1, help_text=_("From 1."))
    frames = models.PositiveIntegerField(_("frames of the file"), default=1)
    window_source = models.CharField(_("window"), max_length=10, choices=WindowSource)
    window_center = models.FloatField(_("window centre"), null=True, blank=True)
    window_width = models.FloatField(_("window width"), null=True, blank=True)
    window_function = models.CharField(_("window function"), max_length=12, blank=True)
    burned_in = models.CharField(
        _("burned-in text"),
        max_length=3,
        blank=True,
        choices=[("yes", _("yes")), ("no", _("no"))],
        help_text=_("What the file says of itself; empty: nothing. It proves nothing."),
    )
    origin = models.CharField(_("origin"), max_length=32, db_index=True, editable=False)  # keyed hash of what came

    class Meta:
        ordering = ["series", "instance_number", "number"]
        verbose_name, verbose_name_plural = _("DICOM frame"), _("DICOM frames")
        indexes: ClassVar = [models.Index(fields=["series", "instance_number", "number"], name="dicom_frame_order")]

    def __str__(self) -> str:
        return f"{self.instance[:12]} {self.number}/{self.frames}"
