"""What has to be done without anyone asking: unfinished jobs, due rebuilds, the nightly repair."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from catalog.jobs import UNFINISHED, Job, JobState
from catalog.locks import try_lock
from catalog.models import Collection, ImportJob
from search.builds import BuildAlreadyRunning, build_create, collections_sweep, index_for
from search.consistency import consistency_of, pending_images, unfit_ids
from search.models import DuplicateScan, Embedding, EvaluationRun, IndexBuild, SearchIndex, TrainingRun
from search.side import embeddings_of
from search.trainings import folders_sweep, training_lock

logger = logging.getLogger(__name__)

BUILD_FROM = 50  # pictures: fewer are searched exactly anyway
CHANGES_FROM = 25  # added and deleted pictures that are worth a rebuild, whatever their share
TRY_AGAIN_AFTER = timedelta(hours=1)  # a build that failed or was cancelled
NEWEST = 20_000  # pictures looked at every minute; the nightly check looks at all


@dataclass
class Work:
    """Row ids to enqueue again; embeddings as (collection, feature model)."""

    imports: list[int] = field(default_factory=list)
    builds: list[int] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    scans: list[int] = field(default_factory=list)
    trainings: list[int] = field(default_factory=list)
    embeddings: list[tuple[int, int]] = field(default_factory=list)


def unfinished() -> Work:
    """Jobs and embeddings whose worker or message was lost; each job is taken note of for a minute."""
    return Work(
        imports=_requeued(ImportJob, lambda job: f"import-{job.pk}"),
        builds=_requeued(IndexBuild, lambda build: f"build-{build.index_id}"),
        evaluations=_requeued(EvaluationRun, lambda run: f"evaluation-{run.pk}"),
        scans=_requeued(DuplicateScan, lambda scan: f"duplicates-{scan.collection_id}"),
        trainings=_requeued(TrainingRun, training_lock),
        embeddings=_unembedded(),
    )


def _requeued(model: type[Job], lock: Callable[[Any], str]) -> list[int]:
    """Stale jobs, queued again. Their sign of life is renewed, or each minute would add another message.

    ``lock``: what whoever works on a job holds. Training, ranking and walking through a large folder can be
    silent for longer than a minute.
    """
    dead = [job.pk for job in model.objects.stale() if _is_free(lock(job))]
    # Asked again by the update itself: one of them may have shown life since.
    model.objects.filter(pk__in=dead).stale().update(state=JobState.QUEUED, heartbeat=timezone.now())
    return dead


def _is_free(lock: str) -> bool:
    with try_lock(lock) as free:
        return free


def _unembedded() -> list[tuple[int, int]]:
    for collection in Collection.objects.filter(indexes__isnull=True, images__isnull=False).distinct():
        index_for(collection)
    return _embeddable(lambda index: _newest(pending_images(index)).exists())


def pictures_wait() -> bool:
    """Whether pictures wait for their embedding, anywhere."""
    return bool(_embeddable(lambda index: _newest(pending_images(index)).exists()))


def _newest(images: QuerySet[Any]) -> QuerySet[Any]:
    """Those among the highest ids: looking for one that waits in all of a large catalog takes seconds."""
    top = images.model.objects.order_by("-id").values_list("id", flat=True).first() or 0
    return images.filter(id__gt=top - NEWEST)


def _embeddable(waiting: Any) -> list[tuple[int, int]]:
    indexes = SearchIndex.objects.select_related("feature_model")
    return sorted({(index.collection_id, index.feature_model_id) for index in indexes if waiting(index)})


def first_builds(collection_id: int, feature_model_id: int) -> list[int]:
    """Builds for indexes that have embedded pictures and none yet, after the last of them was embedded."""
    indexes = SearchIndex.objects.filter(
        collection_id=collection_id, feature_model_id=feature_model_id, active_build__isnull=True
    )
    return _created(index for index in indexes if embeddings_of(index).exists() and not _rests(index))


def due_builds() -> list[int]:
    """Builds for indexes that changed by more than their share, or whose build does not fit any more."""
    indexes = SearchIndex.objects.select_related("feature_model", "active_build")
    return _created(index for index in indexes if not _rests(index) and _is_due(index))


def builds_for(index_id: int | None) -> list[int]:
    """A build of one index, or of every index that has embeddings."""
    indexes = SearchIndex.objects.all() if index_id is None else SearchIndex.objects.filter(pk=index_id)
    return _created(index for index in indexes if embeddings_of(index).exists())


def _created(indexes: Any) -> list[int]:
    builds = []
    for index in indexes:
        try:
            builds.append(build_create(index).pk)
        except BuildAlreadyRunning:
            continue
    return builds


def _rests(index: SearchIndex) -> bool:
    """A build is under way, or the last one did not succeed and trying at once would not either."""
    last = IndexBuild.objects.filter(index=index).first()
    if last is None or last.state == JobState.DONE:
        return False
    return last.state in UNFINISHED or last.created > timezone.now() - TRY_AGAIN_AFTER


def _is_due(index: SearchIndex) -> bool:
    build, rows = index.active_build, embeddings_of(index).order_by()
    if build is None:
        return rows.count() >= BUILD_FROM
    if build.fingerprint != index.feature_model.fingerprint or not build.folder.is_dir():
        return rows.exists()
    added = rows.filter(id__gt=build.watermark).count()
    gone = build.count - rows.filter(id__lte=build.watermark).count()
    changes = added + abs(gone)
    return changes >= CHANGES_FROM and changes > index.rebuild_share * build.count


def repair(index: SearchIndex) -> list[int]:
    """Mend what a check finds: unfit embeddings are made again, and a build that lost pictures is redone.

    Returns the builds to enqueue.
    """
    found = consistency_of(index)
    if not found.is_sound:
        logger.warning("index %s needs repair: %s", index, found)
    if found.unfit:
        Embedding.objects.filter(pk__in=unfit_ids(index)).delete()
    return _created([index]) if found.lost or (found.broken and found.embedded) else []


def repair_all() -> Work:
    """The nightly check of every index, and of the folders of indexes that were deleted."""
    work = Work()
    for index in SearchIndex.objects.select_related("feature_model", "active_build", "collection"):
        work.builds += repair(index)
    sweep_folders()
    folders_sweep()
    collections_sweep()
    work.embeddings = _embeddable(lambda index: pending_images(index).exists())
    return work


def sweep_folders() -> int:
    """Delete the folders of indexes that exist no more. Returns how many."""
    known = {str(pk) for pk in SearchIndex.objects.values_list("pk", flat=True)}
    folders = [path for path in Path(settings.INDEX_ROOT).glob("[0-9]*") if path.name not in known]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return len(folders)
