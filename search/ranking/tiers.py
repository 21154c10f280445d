"""What each tier of a search did, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Tier:
    """``coarse``, ``fine``, ``rules``, or one rule by its name.

    ``moved``: of those that stayed, how many stand at another place among them than before.
    """

    name: str
    ms: float
    in_: int
    out: int
    moved: int = 0
    dropped: int = 0


def moved(before: Sequence[Hashable], after: Sequence[Hashable]) -> int:
    """How many of those in both stand at another place among them."""
    there, still = set(after), set(before)
    pairs = zip((key for key in before if key in there), (key for key in after if key in still), strict=True)
    return sum(old != new for old, new in pairs)


class Timer:
    """Adds up the milliseconds of named parts."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = dict.fromkeys(("coarse", "fine", "rules", "database"), 0.0)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.ms[part] += 1000 * (time.perf_counter() - start)
