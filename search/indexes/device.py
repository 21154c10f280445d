"""Which device indexes are to use, and a lock for each: two searches at once are unsafe on a GPU."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CUDA = "cuda:0"  # the first GPU

_locks: dict[str, threading.RLock] = {}
_locks_lock = threading.Lock()


def _from_environment() -> str:
    return os.environ.get("FAISS_DEVICE", "") or "auto"


_wanted: Callable[[], str] = _from_environment


def use(wanted: Callable[[], str]) -> None:
    """Ask ``wanted`` for the device, each time anew: auto, cpu or cuda."""
    global _wanted
    _wanted = wanted


def wanted() -> str:
    """The device asked for."""
    return _wanted()


@contextmanager
def device_lock(device: str) -> Iterator[None]:
    """Held by one thread a device; a CPU needs none."""
    if device == "cpu":
        yield
        return
    with _locks_lock:
        lock = _locks.setdefault(device, threading.RLock())
    with lock:
        yield


def _forget() -> None:
    global _locks_lock
    _locks_lock = threading.Lock()
    _locks.clear()


os.register_at_fork(after_in_child=_forget)
