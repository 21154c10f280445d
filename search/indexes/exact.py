"""Exact search in NumPy: the oracle of every test, and the small index beside a build."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from search.indexes.base import Allowed, BadParameter, BrokenIndex, Selection, check_new, ordered, selection_of
from search.types import Descriptors, Ids, Scores

BLOCK = 16_384  # rows scored at once: 64 MB at 1024 dimensions


class ExactIndex:
    """All descriptors, all inner products. ``dtype`` float16 halves the memory and costs time.

    Adding leaves what a running search sees untouched: rows are appended behind the ones it reads,
    and the new length is published in one assignment.
    """

    def __init__(self, dim: int, dtype: DTypeLike = np.float32) -> None:
        self.dim = dim
        self._ids: Ids = np.empty(0, np.int64)
        self._rows: NDArray[Any] = np.empty((0, dim), dtype)
        self._view: tuple[Ids, NDArray[Any]] = (self._ids, self._rows)

    def __len__(self) -> int:
        return len(self._view[0])

    @property
    def ids(self) -> Ids:
        return self._view[0]

    def vectors(self, ids: Ids) -> Descriptors:
        """(len(ids), dim) float32. Raises KeyError for an id that is not held."""
        held, rows = self._view
        order = np.argsort(held)
        places = order[np.searchsorted(held, ids, sorter=order).clip(max=max(len(held) - 1, 0))] if len(held) else order
        if len(places) != len(ids) or not np.array_equal(held[places], ids):
            raise KeyError(f"not held: {np.setdiff1d(ids, held)[:3].tolist()}")
        return rows[places].astype(np.float32)

    def train(self, x: Descriptors) -> None:
        """Nothing to learn."""

    def add(self, ids: Ids, x: Descriptors) -> None:
        check_new(self.ids, ids)
        start, end = len(self), len(self) + len(ids)
        if end > len(self._ids):
            self._grow(max(end, 2 * start))
        self._ids[start:end], self._rows[start:end] = ids, x
        self._view = (self._ids[:end], self._rows[:end])

    def _grow(self, capacity: int) -> None:
        ids, rows = np.empty(capacity, np.int64), np.empty((capacity, self.dim), self._rows.dtype)
        ids[: len(self)], rows[: len(self)] = self._view
        self._ids, self._rows = ids, rows

    def without(self, ids: Ids) -> Self:
        """A new index of the other rows."""
        keep = ~np.isin(self.ids, ids)
        other = type(self)(self.dim, self._rows.dtype)
        other.add(self.ids[keep], self._view[1][keep])
        return other

    def search(
        self, x: Descriptors, k: int, allowed: Allowed | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        self.check(params)
        ids, rows = self._view
        if allowed is not None:
            chosen = allowed if isinstance(allowed, Selection) else selection_of(allowed)
            keep = np.flatnonzero(chosen.holds(ids))
            ids, rows = ids[keep], rows[keep]
        # Dropped after scoring: leaving a few rows out would copy all the others.
        wanted = None if excluded is None or not len(excluded) else ~np.isin(ids, excluded)
        best = [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in range(len(x))]
        for start in range(0, len(ids), BLOCK):
            block = slice(start, start + BLOCK)
            scores = np.asarray(x, np.float32) @ rows[block].astype(np.float32, copy=False).T
            hits = ids[block]
            if wanted is not None:
                scores, hits = scores[:, wanted[block]], hits[wanted[block]]
            best = [_merge(old, row, hits, k) for old, row in zip(best, scores, strict=True)]
        found = [ordered(scores, hits, k) for scores, hits in best]
        return (
            np.array([scores for scores, _ in found], np.float32).reshape(len(x), k),
            np.array([hits for _, hits in found], np.int64).reshape(len(x), k),
        )

    def prepare(self, allowed: Ids) -> Selection:
        return selection_of(allowed)

    def code_bytes(self) -> int:
        ids, rows = self._view
        return int(ids.nbytes + rows.nbytes)

    def check(self, params: Mapping[str, Any]) -> None:
        if params:
            raise BadParameter(factory="exact", name=next(iter(params)), choices="none")

    def save(self, path: Path) -> None:
        ids, rows = self._view
        with path.open("wb") as file:
            np.savez(file, ids=ids, rows=rows)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises BrokenIndex."""
        try:
            with np.load(path, allow_pickle=False) as data:
                index = cls(data["rows"].shape[1], data["rows"].dtype)
                index.add(data["ids"], data["rows"])
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise BrokenIndex(path=path, reason=error) from error
        return index


def _merge(best: tuple[Scores, Ids], scores: Scores, ids: Ids, k: int) -> tuple[Scores, Ids]:
    """The first ``k`` of both, ties at the edge included, so that the order by id decides them."""
    scores, ids = np.concatenate([best[0], scores]), np.concatenate([best[1], ids])
    if k and len(scores) > k:
        edge = np.partition(scores, len(scores) - k)[len(scores) - k]
        scores, ids = scores[scores >= edge], ids[scores >= edge]
    return scores, ids
