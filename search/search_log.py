"""One line a search, written beside the searches, not in them.

A search must not wait for a line in its log: SQLite has one writer, and an import or a build may be it.
So lines are gathered and written together a moment later; lines that cannot be written are lost. What the caches
had and had not is counted along with them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TypeAlias

from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import timezone

from search.catalog_changes import changes_purge
from search.models import QueryCacheCount, SearchLog

logger = logging.getLogger(__name__)

WRITE_AFTER_S = 1.0
KEEP = timedelta(days=90)
MOST_LINES = 1000  # waiting in one process; more are dropped


@dataclass(frozen=True)
class Counts:
    """What the caches had for one search, and had not: its answer, and descriptors of its pictures."""

    hits: int = 0
    misses: int = 0
    descriptor_hits: int = 0
    descriptor_misses: int = 0


Noted: TypeAlias = tuple[SearchLog, Counts]

_lock = threading.Lock()
_lines: list[Noted] = []
_timer: threading.Timer | None = None


def log_purge() -> int:
    """Delete lines older than KEEP, and counts; and what was noted of changes, sooner. Returns how many lines."""
    before = timezone.now() - KEEP
    deleted, _ = SearchLog.objects.filter(created__lt=before).delete()
    QueryCacheCount.objects.filter(day__lt=before.date()).delete()
    changes_purge()
    return deleted


def log_search(line: SearchLog, counts: Counts = Counts()) -> None:
    """Take note of a line. Inside a transaction it is written at once, for another thread could not see its index."""
    if connection.in_atomic_block:
        _write([(line, counts)])
        return
    global _timer
    with _lock:
        if len(_lines) < MOST_LINES:
            _lines.append((line, counts))
        if _timer is None:
            # No daemon: at the end of the process Python waits for it, and no line is lost.
            _timer = threading.Timer(WRITE_AFTER_S, _write_gathered)
            _timer.start()


def _write_gathered() -> None:
    global _timer
    with _lock:
        lines, _timer = _lines[:], None
        _lines.clear()
    try:
        _write(lines)
        connection.close()  # of this thread
    except Exception as error:
        logger.warning("%s searches were not logged: %s", len(lines), error)


def _write(noted: list[Noted]) -> None:
    try:
        with transaction.atomic():
            SearchLog.objects.bulk_create(line for line, _ in noted)
            _count(noted)
    except DatabaseError as error:
        logger.warning("%s searches were not logged: %s", len(noted), error)


def _count(noted: list[Noted]) -> None:
    """Add to the rows of the day, in one order in all processes, so that none waits for another in a circle."""
    day, sums = timezone.now().date(), dict[int, Counter[str]]()
    for line, counts in noted:
        sums.setdefault(line.index_id, Counter()).update(asdict(counts))
    for index_id, added in sorted(sums.items()):
        if not any(added.values()):
            continue
        more = {name: F(name) + count for name, count in added.items()}
        of_the_day = QueryCacheCount.objects.filter(index_id=index_id, day=day)
        if not of_the_day.update(**more):
            QueryCacheCount.objects.get_or_create(index_id=index_id, day=day)
            of_the_day.update(**more)


def _forget() -> None:
    """In a child after a fork: the lines and the timer are the parent's."""
    global _lock, _timer
    _lock, _timer = threading.Lock(), None
    _lines.clear()


os.register_at_fork(after_in_child=_forget)
