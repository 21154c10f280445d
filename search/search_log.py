"""One line a search, written beside the searches, not in them.

A search must not wait for a line in its log: SQLite has one writer, and an import or a build may be it.
So lines are gathered and written together a moment later; lines that cannot be written are lost.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from search.models import SearchLog

logger = logging.getLogger(__name__)

WRITE_AFTER_S = 1.0
KEEP = timedelta(days=90)
MOST_LINES = 1000  # waiting in one process; more are dropped

_lock = threading.Lock()
_lines: list[SearchLog] = []
_timer: threading.Timer | None = None


def log_purge() -> int:
    """Delete lines older than KEEP. Returns how many."""
    deleted, _ = SearchLog.objects.filter(created__lt=timezone.now() - KEEP).delete()
    return deleted


def log_search(line: SearchLog) -> None:
    """Take note of a line. Inside a transaction it is written at once, for another thread could not see its index."""
    if connection.in_atomic_block:
        _write([line])
        return
    global _timer
    with _lock:
        if len(_lines) < MOST_LINES:
            _lines.append(line)
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


def _write(lines: list[SearchLog]) -> None:
    try:
        with transaction.atomic():
            SearchLog.objects.bulk_create(lines)
    except DatabaseError as error:
        logger.warning("%s searches were not logged: %s", len(lines), error)


def _forget() -> None:
    """In a child after a fork: the lines and the timer are the parent's."""
    global _lock, _timer
    _lock, _timer = threading.Lock(), None
    _lines.clear()


os.register_at_fork(after_in_child=_forget)
