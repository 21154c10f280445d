"""Scans for duplicates: made, run, gone on with after a kill."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from catalog.errors import JobCancelled, LookalikeError, gettext_noop
from catalog.jobs import JobState
from catalog.locks import try_lock
from catalog.models import Collection, Image
from search.builds import index_for
from search.duplicates.comparing import COMPARING, Comparing
from search.duplicates.contents import contents_of
from search.duplicates.hashing import hash_pending
from search.duplicates.open_groups import prune
from search.duplicates.phash import BITS
from search.duplicates.rule import MAX_HASH_DISTANCE, default_score
from search.embedding import embed_pending
from search.models import DuplicateGroup, DuplicateScan, Embedding, FeatureModel
from search.models.duplicates import DuplicateState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # stage, done, total


class ScanRunning(LookalikeError):
    code = "scan_running"
    text = gettext_noop("%(collection)s is being searched for duplicates already.")
    cure = gettext_noop("Wait for that scan, or cancel it.")
    status = 409


class BadThreshold(LookalikeError):
    code = "bad_threshold"
    text = gettext_noop("%(value)s is no threshold.")
    cure = gettext_noop("A hash distance is 0 to 64 bits, a score -1 to 1.")


def scan_create(
    collection: Collection,
    *,
    feature_model: FeatureModel | None = None,
    max_hash_distance: int | None = None,
    min_score: float | None = None,
    user: User | None = None,
) -> DuplicateScan:
    """A queued scan; enqueue ``search.duplicates_scan`` with its key. What is not given is as calibrated.

    Raises ScanRunning, BadThreshold.
    """
    model = feature_model or index_for(collection).feature_model
    distance = MAX_HASH_DISTANCE if max_hash_distance is None else max_hash_distance
    score = default_score(model.backbone) if min_score is None else min_score
    if not 0 <= distance <= BITS:
        raise BadThreshold(value=distance)
    if not -1 <= score <= 1:
        raise BadThreshold(value=score)
    try:
        with transaction.atomic():
            return DuplicateScan.objects.create(
                collection=collection,
                feature_model=model,
                max_hash_distance=distance,
                min_score=score,
                created_by_id=user.pk if user is not None else None,
            )
    except IntegrityError:
        raise ScanRunning(collection=collection) from None


def scan_run(scan_id: int, on_progress: Progress | None = None) -> DuplicateScan:
    """Do a queued scan, or go on with one whose worker died. How it ended is told by the row: nothing is raised.

    Running twice does no harm: hashes and embeddings are stored once, and groups that are there are found, not doubled.
    """
    scan: DuplicateScan = DuplicateScan.objects.select_related("collection", "feature_model").get(pk=scan_id)
    with try_lock(lock_name(scan)) as mine:  # dies with its process, unlike the row's state
        if mine and scan.claim():
            _run(scan, on_progress)
    scan.refresh_from_db()
    return scan


def lock_name(scan: DuplicateScan) -> str:
    return f"duplicates-{scan.collection_id}"


def _run(scan: DuplicateScan, on_progress: Progress | None) -> None:
    try:
        _Work(scan, on_progress).go()
        scan.finish()
    except JobCancelled:
        scan.finish(JobState.CANCELLED)
    except LookalikeError as error:
        scan.finish(JobState.FAILED, str(error))
    except Exception as error:
        logger.exception("duplicate scan %s failed", scan.pk)
        scan.finish(JobState.FAILED, f"{type(error).__name__}: {error}")


class _Work:
    def __init__(self, scan: DuplicateScan, on_progress: Progress | None) -> None:
        self.scan, self.on_progress = scan, on_progress
        self.was_at = (scan.done, scan.total) if scan.stage == COMPARING else (0, 0)

    def go(self) -> None:
        """Hash, embed, compare. Raises JobCancelled, and what extraction raises."""
        prune(self.scan.collection)
        _drop_others(self.scan)
        hash_pending(self.scan.collection, lambda done, total: self._report("hashing", done, total))
        self._embed()
        contents = contents_of(self.scan.collection)
        comparing = Comparing(self.scan, contents)
        # Where pictures came or went since the kill, rows are others now: from the start, nothing is doubled.
        row = self.was_at[0] if self.was_at[1] == len(contents) else 0
        self._report(COMPARING, row, len(contents))
        while row < len(contents):
            row = comparing.chunk(row)
            self._report(COMPARING, row, len(contents))
        self.scan.done = self.scan.total = len(contents)

    def _embed(self) -> None:
        """Pictures that wait for a descriptor; where none does no network is opened: its weights may be elsewhere.

        Those that another process has in hand are compared by hash alone.
        """
        collection, model = self.scan.collection, self.scan.feature_model
        stored = Embedding.objects.filter(image=OuterRef("pk"), feature_model=model)
        if Image.objects.filter(~Exists(stored), collection=collection).exists():
            embed_pending(collection, model, on_progress=lambda done, total: self._report("embedding", done, total))
            model.refresh_from_db()

    def _report(self, stage: str, done: int, total: int) -> None:
        self.scan.progress(done, total, stage)
        if self.on_progress:
            self.on_progress(stage, done, total)


def _drop_others(scan: DuplicateScan) -> None:
    """Open groups that other thresholds or another feature model found: nobody decided on them, so look anew."""
    same = Q(
        scan__feature_model=scan.feature_model_id,
        scan__max_hash_distance=scan.max_hash_distance,
        scan__min_score=scan.min_score,
    )
    DuplicateGroup.objects.filter(~same, collection=scan.collection_id, state=DuplicateState.OPEN).delete()
