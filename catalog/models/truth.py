"""What is true: benchmarks, their queries, and labels."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.models.things import Collection, Image


class Relevance(models.TextChoices):
    LABELS = "labels", _("labels: the rows below")
    CATEGORY = "category", _("pictures of the same category")
    PRODUCT = "product", _("pictures of the same product")


class Benchmark(models.Model):
    """Queries of a collection and what counts as relevant to them."""

    Relevance = Relevance
    collection = models.ForeignKey(Collection, models.CASCADE, related_name="benchmarks", verbose_name=_("collection"))
    name = models.CharField(_("name"), max_length=100)
    relevance = models.CharField(_("relevance"), max_length=10, choices=Relevance, default=Relevance.LABELS)
    exclude_same_patient = models.BooleanField(
        _("leave out the query's own patient"),
        default=True,
        help_text=_("Pictures of the same patient are neither hit nor miss. Counts where a query came as DICOM."),
    )
    version = models.PositiveIntegerField(_("label version"), default=1, editable=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name, verbose_name_plural = _("benchmark"), _("benchmarks")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "name"], name="benchmark_name_once"),
            models.CheckConstraint(condition=Q(relevance__in=Relevance.values), name="benchmark_relevance_known"),
        ]

    def __str__(self) -> str:
        return f"{self.collection.slug}/{self.name}"


class Query(models.Model):
    """A searching picture of a benchmark, or a box of one, in upright original pixels."""

    benchmark = models.ForeignKey(Benchmark, models.CASCADE, related_name="queries", verbose_name=_("benchmark"))
    name = models.CharField(_("name"), max_length=300)
    image = models.ForeignKey(Image, models.CASCADE, related_name="queries", verbose_name=_("picture"))
    box = models.JSONField(_("box"), null=True, blank=True, help_text=_("[x, y, width, height] in pixels."))

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("query"), _("queries")
        constraints: ClassVar = [models.UniqueConstraint(fields=["benchmark", "name"], name="query_name_once")]

    def __str__(self) -> str:
        return self.name


class Grade(models.TextChoices):
    EASY = "easy", _("easy")
    HARD = "hard", _("hard")
    JUNK = "junk", _("junk: leaves the ranking")
    DISTRACTOR = "distractor", _("distractor: a look-alike that counts as a miss")
    NEGATIVE = "negative", _("negative")


class Label(models.Model):
    """How a picture stands to a query. Not labelled: negative."""

    Grade = Grade
    query = models.ForeignKey(Query, models.CASCADE, related_name="labels", verbose_name=_("query"))
    image = models.ForeignKey(Image, models.CASCADE, related_name="labels", verbose_name=_("picture"))
    grade = models.CharField(_("grade"), max_length=10, choices=Grade)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("label"), _("labels")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["query", "image"], name="label_once"),
            models.CheckConstraint(condition=Q(grade__in=Grade.values), name="label_grade_known"),
        ]

    def __str__(self) -> str:
        return f"{self.query_id} {self.image_id} {self.grade}"
