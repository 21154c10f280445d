"""Long work as a row: its state, its progress, its cancelling, and how it is picked up after a kill."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.errors import JobCancelled

HEARTBEAT_S = 0.5
STALE_AFTER = timedelta(seconds=60)


class JobState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


class JobQuerySet(models.QuerySet[Any]):
    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED)

    def stale(self) -> Self:
        """Unfinished jobs that nobody has worked on for a minute: lost with a killed worker."""
        return self.unfinished().filter(heartbeat__lt=timezone.now() - STALE_AFTER)


class Job(models.Model):
    """Base of ImportJob, IndexBuild, EvaluationRun. ``done`` of ``total`` items are finished."""

    State = JobState
    state = models.CharField(_("state"), max_length=10, choices=JobState, default=JobState.QUEUED, db_index=True)
    done = models.PositiveBigIntegerField(_("done"), default=0)
    total = models.PositiveBigIntegerField(_("total"), default=0)
    stage = models.CharField(_("stage"), max_length=40, blank=True)
    error = models.TextField(_("error"), blank=True)
    cancel_requested = models.BooleanField(_("cancel requested"), default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)
    started = models.DateTimeField(_("started"), null=True, blank=True)
    finished = models.DateTimeField(_("finished"), null=True, blank=True)
    heartbeat = models.DateTimeField(_("last sign of life"), default=timezone.now)

    objects: ClassVar[Any] = JobQuerySet.as_manager()
    _reported: float = 0.0

    class Meta:
        abstract = True

    @property
    def percent(self) -> int:
        if self.state == JobState.DONE:
            return 100
        return min(100, 100 * self.done // self.total) if self.total else 0

    @property
    def seconds(self) -> float | None:
        """Wall seconds from start to finish, or till now."""
        return ((self.finished or timezone.now()) - self.started).total_seconds() if self.started else None

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED

    def claim(self) -> bool:
        """Take the job for this process: true for one caller only, unless the last one died."""
        now = timezone.now()
        free = models.Q(state=JobState.QUEUED) | models.Q(state=JobState.RUNNING, heartbeat__lt=now - STALE_AFTER)
        claimed = (
            type(self)
            .objects.filter(free, pk=self.pk)
            .update(state=JobState.RUNNING, started=now, heartbeat=now, error="")
        )
        self.refresh_from_db()
        return bool(claimed)

    def progress(self, done: int, total: int | None = None, stage: str | None = None) -> None:
        """Report; written at most twice a second. Raises JobCancelled when someone asked to stop."""
        changed = stage is not None and stage != self.stage
        self.done, self.total = done, self.total if total is None else total
        self.stage = self.stage if stage is None else stage
        if not changed and time.monotonic() - self._reported < HEARTBEAT_S:
            return
        self._reported = time.monotonic()
        self.heartbeat = timezone.now()
        self.save(update_fields=["done", "total", "stage", "heartbeat"])
        if type(self).objects.filter(pk=self.pk, cancel_requested=True).exists():
            raise JobCancelled

    def finish(self, state: JobState = JobState.DONE, error: str = "") -> None:
        self.state, self.error, self.finished = state, error, timezone.now()
        self.save(update_fields=["state", "error", "finished", "done", "total", "stage"])

    def cancel(self) -> None:
        """Stop soon if it runs, at once if it still waits."""
        jobs = type(self).objects.filter(pk=self.pk)
        if not jobs.filter(state=JobState.QUEUED).update(
            state=JobState.CANCELLED, cancel_requested=True, finished=timezone.now()
        ):
            jobs.filter(state=JobState.RUNNING).update(cancel_requested=True)
        self.refresh_from_db()
