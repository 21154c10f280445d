"""What a process holds in memory, from /proc."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

MIB = 1024  # the kernel counts in KiB


def status(pid: int | str = "self") -> dict[str, float]:
    """MiB: rss, anon (its own memory), file (pages of files it mapped, which the kernel takes back at need), peak."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
    names = {"rss": "VmRSS", "anon": "RssAnon", "file": "RssFile", "peak": "VmHWM"}
    return {name: int(values[field][0]) / MIB for name, field in names.items() if field in values}


class Watch:
    """The highest rss and anon of a process while the block runs, looked at ten times a second."""

    def __init__(self, pid: int | str = "self") -> None:
        self.pid = pid
        self.highest: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            try:
                now = status(self.pid)
            except (OSError, ValueError):
                return
            for name, value in now.items():  # none of a process that has ended and was not waited for yet
                self.highest[name] = max(value, self.highest.get(name, 0.0))


def settled(pid: int | str = "self", seconds: float = 2.0) -> dict[str, float]:
    """The highest of a while in which nothing special happens."""
    with Watch(pid) as watch:
        time.sleep(seconds)
    return watch.highest
