"""The figures on top of the admin: how much there is, how it is searched, what is running."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.db.models import F, QuerySet
from django.utils import timezone

from catalog.admin.jobs import running
from catalog.jobs import Job
from catalog.models import Image, ImageRole, ImportJob, Product
from search.models import DuplicateScan, Embedding, EvaluationRun, IndexBuild, SearchIndex, SearchLog, TrainingRun

DAY = timedelta(days=1)
SAMPLE = 20_000  # searches looked at for percentiles: the newest


@dataclass(frozen=True)
class Latency:
    """Milliseconds of the searches of the last day, the whole request's ``total``."""

    searches: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Figures:
    pictures: int
    products: int
    embedded: int  # gallery pictures with a descriptor of their collection's default feature model
    embeddable: int
    active_builds: int
    indexes: int
    latency: Latency
    jobs: list[Job]
    latest: list[Job]

    @property
    def embedded_percent(self) -> int | None:
        return 100 * self.embedded // self.embeddable if self.embeddable else None


def latency() -> Latency:
    log = SearchLog.objects.filter(created__gte=timezone.now() - DAY)
    rows = log.order_by("-id").values_list("timings_ms", flat=True)[:SAMPLE]
    totals = [row["total"] for row in rows if row.get("total") is not None]
    if not totals:
        return Latency(log.count(), None, None)
    p50, p99 = np.percentile(totals, [50, 99])
    return Latency(log.count(), float(p50), float(p99))


def latest(most: int = 5) -> list[Job]:
    """The jobs that finished last, the newest first."""
    finished: list[QuerySet[Any]] = [
        ImportJob.objects.select_related("collection"),
        IndexBuild.objects.select_related("index__collection"),
        EvaluationRun.objects.select_related("benchmark__collection", "index__collection"),
        DuplicateScan.objects.select_related("collection"),
        TrainingRun.objects.select_related("collection"),
    ]
    jobs = [job for rows in finished for job in rows.filter(finished__isnull=False).order_by("-finished")[:most]]
    return sorted(jobs, key=lambda job: job.finished, reverse=True)[:most]


def figures() -> Figures:
    count = Image.objects.filter(role=ImageRole.GALLERY).count()
    embedded = Embedding.objects.filter(
        vector__isnull=False,
        image__role=ImageRole.GALLERY,
        feature_model__indexes__is_default=True,
        feature_model__indexes__collection=F("image__collection"),
    )
    return Figures(
        pictures=count,
        products=Product.objects.count(),
        embedded=embedded.count(),
        embeddable=count,
        active_builds=SearchIndex.objects.filter(active_build__isnull=False).count(),
        indexes=SearchIndex.objects.count(),
        latency=latency(),
        jobs=running((ImportJob, IndexBuild, EvaluationRun, DuplicateScan, TrainingRun)),
        latest=latest(),
    )
