"""The stages of a build: reported, cancelled between two reports, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from search.models import IndexBuild

Progress = Callable[[str, int, int], None]


@dataclass
class Stages:
    """Reports and times the stages of a build."""

    build: IndexBuild
    on_progress: Progress | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Gives a function to report how many are done. It, and the entering, raise JobCancelled."""

        def report(done: int) -> None:
            self.build.progress(done, total, name)
            if self.on_progress:
                self.on_progress(name, done, total)

        report(0)
        start = time.perf_counter()
        yield report
        self.seconds[name] = round(time.perf_counter() - start, 3)
        report(total)
