"""Trying factories and search parameters on the descriptors of one collection. No Django.

Each factory is built over all rows but the queries. The queries are halves: one chooses, the other
gives the figures that are shown, so that luck in choosing does not flatter them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import Index
from search.indexes.recall import K, Vectors, exact_ids
from search.indexes.rows import RowIndex
from search.indexes.sizes import HNSW_UP_TO, axes_for, cells_for, compact_factory
from search.types import Descriptors, Ids

EXACT_UP_TO = 20_000  # pictures: comparing all of them is among the choices
SHARES = (512, 256, 128, 64, 32, 16, 8)  # of the cells are probed: one in so many
EF_SEARCH = (16, 32, 64, 128, 256)
K_FACTORS = (2, 8)
DEPTHS = (50, 100, 200, 400)
CHUNK = 8192
Report = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@dataclass(frozen=True)
class Point:
    """One way to search, and what it costs. ``bytes`` a picture; ``ms`` of one query on one thread."""

    factory: str
    search_params: dict[str, Any]
    fine_depth: int
    recall: float  # ann_recall@10 after the fine tier
    ms: float
    p99_ms: float
    bytes: float
    frontier: bool = False
    chosen: bool = False


@dataclass(frozen=True)
class Trial:
    """The same way to search on the half that chooses and on the half that measures."""

    choosing: Point
    surely: float  # a lower bound of the choosing half's recall: one standard error below it
    measuring: Point


@dataclass(frozen=True)
class Ground:
    """What is searched, and the exact answer. ``rows``: of ``vectors``, without the queries."""

    vectors: Vectors
    rows: Ids
    queries: Descriptors
    truth: Ids  # (queries, K) rows

    @classmethod
    def lay(cls, vectors: Vectors, count: int, queries: int, seed: int, report: Report) -> Ground:
        """Hold ``queries`` of the ``count`` rows out and search them exactly among the others."""
        random = np.random.default_rng(seed)
        chosen = random.choice(count, queries, replace=False)
        rows = np.setdiff1d(np.arange(count), chosen, assume_unique=True)
        x = vectors(np.sort(chosen))[np.argsort(np.argsort(chosen))]
        report("exact search", 0, 1)
        truth = exact_ids(rows, lambda block: vectors(rows[block]), x, K)
        report("exact search", 1, 1)
        return cls(vectors, rows, x, truth)

    def fill(self, index: Index, sample: Ids, report: Callable[[int, int], None]) -> None:
        """Train ``index`` on ``sample``, of the rows, and add all rows."""
        index.train(self.vectors(sample))
        for start in range(0, len(self.rows), CHUNK):
            report(start, len(self.rows))
            block = self.rows[start : start + CHUNK]
            index.add(block, self.vectors(block))
        report(len(self.rows), len(self.rows))


def candidates(count: int, dim: int) -> list[str]:
    """Factories worth trying for so many pictures: what is chosen by size, and what else may suit."""
    cells = cells_for(count)
    few, many = ["SQfp16", "SQ8", "HNSW32,SQfp16", "HNSW32,SQ8"], [f"{cells},SQ8", compact_factory(count, dim)]
    if count <= EXACT_UP_TO:
        return few
    middle = ["HNSW32,SQ8", f"{cells},SQfp16"] if count <= HNSW_UP_TO else []
    return [*middle, *many, *([f"RR,{cells},RaBitQ"] if dim > axes_for(dim) else [])]


def settings_for(index: Index) -> list[dict[str, Any]]:
    """Search parameters to try, from narrow to wide."""
    knobs = index.knobs if isinstance(index, RowIndex) else {}
    choices: list[list[tuple[str, Any]]] = []
    if "nprobe" in knobs:
        nlist = int(knobs["nprobe"].most)
        choices.append([("nprobe", n) for n in sorted({max(1, nlist // share) for share in SHARES})])
    if "efSearch" in knobs:
        choices.append([("efSearch", ef) for ef in EF_SEARCH])
    if "k_factor" in knobs:
        choices.append([("k_factor", factor) for factor in K_FACTORS])
    return [dict(pairs) for pairs in product(*choices)]


def swept(index: Index, factory: str, ground: Ground, settings: Sequence[Mapping[str, Any]]) -> Iterator[Trial]:
    """A trial for every set of search parameters and every depth."""
    middle, size = len(ground.queries) // 2, index.code_bytes() / max(1, len(index))
    for params in settings:
        for depth in DEPTHS:
            shares, seconds = _searched(index, ground, params, depth)
            halves = [
                Point(factory, dict(params), depth, float(np.mean(shares[half])), *_times(seconds[half]), size)
                for half in (slice(0, middle), slice(middle, None))
            ]
            error = float(np.std(shares[:middle])) / np.sqrt(max(1, middle))
            yield Trial(halves[0], halves[0].recall - error, halves[1])


def _searched(
    index: Index, ground: Ground, params: Mapping[str, Any], depth: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of the exact first K found by each query, and its seconds: coarse, and fine on the originals."""
    shares, seconds = np.empty(len(ground.queries)), np.empty(len(ground.queries))
    index.search(ground.queries[:8], depth, **params)  # what is first touched is not measured
    for number, query in enumerate(ground.queries):
        start = time.perf_counter()
        _, found = index.search(query[None], depth, **params)
        rows = found[0][found[0] >= 0]
        best = rows[np.argsort(-(ground.vectors(rows) @ query), kind="stable")[:K]]
        seconds[number] = time.perf_counter() - start
        shares[number] = len(set(best.tolist()) & set(ground.truth[number].tolist())) / K
    return shares, seconds


def _times(seconds: NDArray[np.float64]) -> tuple[float, float]:
    return 1000 * float(np.median(seconds)), 1000 * float(np.percentile(seconds, 99))


def chosen_of(trials: Sequence[Trial], target: float, max_bytes: float | None) -> Trial | None:
    """The fastest that surely reaches the target on the choosing half within the memory; None if none does."""
    fit = [t for t in trials if max_bytes is None or t.choosing.bytes <= max_bytes]
    sure = [t for t in fit if t.surely >= target or t.choosing.recall == 1.0]
    return min(sure, key=lambda trial: trial.choosing.ms, default=None)


def shown(trials: Sequence[Trial], chosen: Trial | None) -> list[Point]:
    """The measuring half's points by rising latency, the frontier and the choice marked."""
    points = [
        replace(trial.measuring, frontier=_is_best(trial.measuring, trials), chosen=trial is chosen) for trial in trials
    ]
    return sorted(points, key=lambda point: point.ms)


def _is_best(point: Point, trials: Sequence[Trial]) -> bool:
    """Whether no other point is at least as good in everything and better in something."""
    mine = (-point.recall, point.ms, point.bytes)
    others = ((-t.measuring.recall, t.measuring.ms, t.measuring.bytes) for t in trials)
    return not any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in others)
