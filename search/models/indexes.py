"""Indexes (how a collection is searched) and their builds (saved instances)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.jobs import UNFINISHED, Job
from catalog.models import Collection
from search.models.features import FeatureModel
from search.models.quantisation import clean_may_serve


class Engine(models.TextChoices):
    FAISS = "faiss", "FAISS"
    MILVUS = "milvus", "Milvus"


class SearchIndex(models.Model):
    """How a collection is searched: a feature model, a FAISS factory and the ranking on top."""

    collection = models.ForeignKey(Collection, models.CASCADE, related_name="indexes", verbose_name=_("collection"))
    name = models.CharField(_("name"), max_length=100, default="main")
    feature_model = models.ForeignKey(
        FeatureModel, models.PROTECT, related_name="indexes", verbose_name=_("feature model")
    )
    engine = models.CharField(
        _("engine"),
        max_length=10,
        choices=Engine,
        default=Engine.FAISS,
        help_text=_("Milvus: on the server that MILVUS_URI names, for more than one machine holds."),
    )
    preset = models.CharField(
        _("preset"), max_length=40, blank=True, help_text=_("A named kind of index, instead of a factory string.")
    )
    factory = models.CharField(
        _("factory"),
        max_length=100,
        blank=True,
        help_text=_("For example IVF512,Flat. Empty: the preset's, or chosen by the size of the collection."),
    )
    search_params = models.JSONField(
        _("search parameters"),
        default=dict,
        blank=True,
        help_text=_('For example {"nprobe": 16} or {"efSearch": 64}.'),
    )
    fine_depth = models.PositiveIntegerField(
        _("fine depth"),
        default=200,
        help_text=_("How many coarse candidates are scored with the original descriptors."),
    )
    rules_depth = models.PositiveIntegerField(
        _("rules depth"), default=200, help_text=_("How many of the best candidates the business rules see.")
    )
    expansion = models.JSONField(
        _("query expansion"),
        default=dict,
        blank=True,
        help_text=_('For example {"method": "alpha", "k": 5, "alpha": 3}. Empty: none.'),
    )
    dba_neighbours = models.PositiveIntegerField(
        _("database-side augmentation"),
        default=0,
        help_text=_("Each picture's descriptor is averaged with this many neighbours when the index is built. 0: off."),
    )
    calibration = models.JSONField(_("calibration"), default=dict, blank=True, editable=False)
    cut_off = models.FloatField(
        _("cut-off"),
        null=True,
        blank=True,
        help_text=_("Hits whose calibrated probability is lower are folded away. Empty: all are shown."),
    )
    tuning = models.JSONField(_("tuning"), default=dict, blank=True, editable=False)
    rules = models.JSONField(
        _("business rules"),
        default=list,
        blank=True,
        help_text=_('In order, for example [{"rule": "in_stock_first"}, {"rule": "min_score", "score": 0.4}].'),
    )
    rebuild_share = models.FloatField(
        _("rebuild at"),
        default=0.1,
        help_text=_("A rebuild is scheduled when this share of the pictures was added since the last build."),
    )
    is_default = models.BooleanField(_("default of the collection"), default=True)
    active_build = models.ForeignKey(
        "search.IndexBuild",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("active build"),
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["collection", "name"]
        verbose_name, verbose_name_plural = _("index"), _("indexes")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["collection", "name"], name="index_name_once"),
            models.UniqueConstraint(fields=["collection"], condition=Q(is_default=True), name="index_one_default"),
        ]

    def __str__(self) -> str:
        return f"{self.collection.slug}/{self.name}"

    def clean(self) -> None:
        if self.is_default and self.feature_model_id is not None:
            clean_may_serve(self.feature_model, "feature_model")


class IndexBuild(Job):
    """One saved instance of an index: immutable once done, activated by its index's row."""

    index = models.ForeignKey(SearchIndex, models.CASCADE, related_name="builds", verbose_name=_("index"))
    activate_when_done = models.BooleanField(_("activate when done"), default=True)
    engine = models.CharField(_("engine"), max_length=10, choices=Engine, default=Engine.FAISS)
    factory = models.CharField(_("factory"), max_length=100, blank=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=64, blank=True)
    watermark = models.PositiveBigIntegerField(
        _("watermark"), default=0, help_text=_("Embeddings up to this id were there when the build began.")
    )
    count = models.PositiveBigIntegerField(_("pictures"), default=0)
    size_bytes = models.PositiveBigIntegerField(_("bytes on disk"), default=0)
    code_bytes = models.PositiveBigIntegerField(
        _("bytes in memory"), default=0, help_text=_("Of the coarse index; the original descriptors stay on disk.")
    )
    ann_recall = models.FloatField(
        "ann_recall@10", null=True, blank=True, help_text=_("Overlap of the first ten with exact search.")
    )
    timings = models.JSONField(_("timings"), default=dict, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name, verbose_name_plural = _("build"), _("builds")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["index"], condition=Q(state__in=UNFINISHED), name="build_one_at_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.index} #{self.pk}"

    @property
    def folder(self) -> Path:
        return Path(settings.INDEX_ROOT) / str(self.index_id) / str(self.pk)

    @property
    def is_active(self) -> bool:
        return self.index.active_build_id == self.pk
