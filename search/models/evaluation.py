"""Evaluation runs and what each query scored in them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.jobs import Job
from catalog.models import Benchmark, Query
from search.models.indexes import IndexBuild, SearchIndex


def default_metrics() -> list[str]:
    return [
        "mAP",
        "mAP@10",
        "recall@1",
        "recall@10",
        "hit_rate@1",
        "hit_rate@10",
        "precision@10",
        "ann_recall@10",
    ]


class EvaluationRun(Job):
    """A benchmark measured on an index. Pins the fingerprint, build, parameters and label version."""

    benchmark = models.ForeignKey(Benchmark, models.CASCADE, related_name="runs", verbose_name=_("benchmark"))
    index = models.ForeignKey(SearchIndex, models.CASCADE, related_name="runs", verbose_name=_("index"))
    build = models.ForeignKey(
        IndexBuild, models.SET_NULL, null=True, blank=True, related_name="runs", verbose_name=_("build")
    )
    metrics = models.JSONField(_("metrics asked for"), default=default_metrics)
    depth = models.PositiveIntegerField(
        _("depth"), default=0, help_text=_("Length of the rankings. 0: the whole gallery.")
    )
    with_rules = models.BooleanField(_("with business rules"), default=False)
    fingerprint = models.CharField(_("fingerprint"), max_length=64, blank=True)
    parameters = models.JSONField(_("pinned parameters"), default=dict, blank=True)
    label_version = models.PositiveIntegerField(_("label version"), default=0)
    results = models.JSONField(_("results"), default=dict, blank=True)
    queries_scored = models.PositiveIntegerField(_("queries scored"), default=0)
    queries_skipped = models.PositiveIntegerField(_("queries without positives"), default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name, verbose_name_plural = _("evaluation run"), _("evaluation runs")

    def __str__(self) -> str:
        return f"{self.benchmark} on {self.index} #{self.pk}"


class QueryResult(models.Model):
    """One query of a run: its scores and the head of its ranking, ``[[image_id, score, grade], ...]``.

    What the protocol leaves out stands there as junk, to be seen: it has no rank.
    ``curve`` is the interpolated precision at eleven recalls, over the whole ranking and not its head alone.
    """

    run = models.ForeignKey(EvaluationRun, models.CASCADE, related_name="query_results", verbose_name=_("run"))
    query = models.ForeignKey(Query, models.CASCADE, related_name="+", verbose_name=_("query"))
    average_precision = models.FloatField("AP", null=True, blank=True, db_index=True)
    scores = models.JSONField(_("scores"), default=dict)
    ranking = models.JSONField(_("ranking"), default=list)
    relevant = models.PositiveIntegerField(_("positives"), default=0)
    curve = models.JSONField(_("precision at recall 0, 0.1 … 1"), default=list)

    class Meta:
        ordering = ["id"]
        verbose_name, verbose_name_plural = _("query result"), _("query results")
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "query"], name="query_result_once")]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.query_id}"
