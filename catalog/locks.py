"""Locks between processes that vanish with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from django.conf import settings
from django.db import connection

_held: set[str] = set()
_guard = Lock()


@contextmanager
def try_lock(name: str) -> Iterator[bool]:
    """Whether the lock was free; if so it is held inside the ``with``.

    On Postgres an advisory lock, so it holds between machines; on SQLite, which is one machine, a locked file.
    Held by the connection or by the open file: a killed process leaves nothing behind.
    """
    with _in_process(name) as free:
        if not free:
            yield False
            return
        lock = _advisory(name) if connection.vendor == "postgresql" else _file(name)
        with lock as free:
            yield free


@contextmanager
def _in_process(name: str) -> Iterator[bool]:
    """Not twice here either: Postgres gives its session the same lock again and again."""
    with _guard:
        free = name not in _held
        _held.add(name)
    try:
        yield free
    finally:
        if free:
            _held.discard(name)


@contextmanager
def _advisory(name: str) -> Iterator[bool]:
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        (free,) = cursor.fetchone()
    try:
        yield bool(free)
    finally:
        if free:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


@contextmanager
def _file(name: str) -> Iterator[bool]:
    folder = Path(settings.DATA_DIR) / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True  # closing the file lets go
