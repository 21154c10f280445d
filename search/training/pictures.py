"""Decoded pictures in a file: each is decoded once, however many epochs look at it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from catalog.errors import LookalikeError
from search.extraction.preprocess import Pixels

Load = Callable[[int], Pixels]  # place -> uint8 (side, side, 3); raises LookalikeError or OSError for a bad picture
Progress = Callable[[int, int], None]

MAX_BYTES = 8 << 30
MOST_OF_DISK = 0.5  # of what is free
AHEAD = 64  # pictures decoded before the file has taken earlier ones


class Pictures:
    """uint8 (side, side, 3) by place. What did not fit into the file is decoded again each time."""

    def __init__(self, path: Path, count: int, side: int, load: Load, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.side, self._load, self._count = path, side, load, count
        self._room = self._fitting(max_bytes)
        self._kept: Pixels | None = None
        self.bad: list[int] = []

    def _fitting(self, max_bytes: int) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        room = min(max_bytes, int(MOST_OF_DISK * shutil.disk_usage(self.path.parent).free))
        return min(self._count, room // (3 * self.side * self.side))

    def fill(self, on_progress: Progress, threads: int = 2) -> Sequence[int]:
        """Decode all that is not in the file yet; the places of those that cannot be. ``on_progress`` may raise."""
        note = self.path.with_suffix(".json")
        if not self._known(note):
            self._fill(on_progress, threads)
            note.write_text(json.dumps({"shape": self._shape, "bad": self.bad, "count": self._count}))
        if self._room:
            self._kept = np.memmap(self.path, np.uint8, "r", shape=self._shape)
        return self.bad

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return (self._room, self.side, self.side, 3)

    def _known(self, note: Path) -> bool:
        """Whether another process filled it to the end; the file is then as long as it was made."""
        try:
            found = json.loads(note.read_text())
            self._room = int(found["shape"][0])
            complete = found["count"] == self._count and tuple(found["shape"]) == self._shape
            self.bad = [int(place) for place in found["bad"]]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return False
        return complete and (not self._room or self.path.stat().st_size == int(np.prod(self._shape)))

    def _fill(self, on_progress: Progress, threads: int) -> None:
        into = np.memmap(self.path, np.uint8, "w+", shape=self._shape) if self._room else None
        self.bad = []
        with ThreadPoolExecutor(threads) as pool:
            try:
                for first in range(0, self._count, AHEAD):
                    places = list(islice(range(first, self._count), AHEAD))
                    for place, pixels in zip(places, pool.map(self._tried, places), strict=True):
                        if pixels is None:
                            self.bad.append(place)
                        elif into is not None and place < self._room:
                            into[place] = pixels
                    on_progress(places[-1] + 1, self._count)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        if into is not None:
            into.flush()

    def _tried(self, place: int) -> Pixels | None:
        try:
            return self._load(place)
        except (LookalikeError, FileNotFoundError):
            return None

    def __getitem__(self, place: int) -> Pixels:
        if self._kept is not None and place < self._room:
            return np.asarray(self._kept[place])
        return self._load(place)

    def close(self) -> None:
        """Let go of the file and delete it."""
        self._kept = None
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".json").unlink(missing_ok=True)
