"""Which rows of an index a search may find, and how its answer is put in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from search.indexes.ids import RowIds
from search.types import Ids, Scores

STRUCK_OUT = 64  # rows left out by asking for so many more, rather than by a mask
_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class RowMask:
    """A bit for each row, and how many are set."""

    bits: NDArray[np.uint8]
    count: int
    length: int  # rows

    @classmethod
    def full(cls, length: int) -> Self:
        bits = np.full(-(-length // 8), 255, np.uint8)
        return cls(bits, length, length)

    def holds(self, rows: Ids) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = ((self.bits[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1).astype(bool)
        return held

    def without(self, rows: Ids) -> RowMask:
        """``rows``: each once."""
        gone = rows[self.holds(rows)]
        bits = self.bits.copy()
        np.bitwise_and.at(bits, gone >> 3, ~np.left_shift(1, gone & 7, dtype=np.int64).astype(np.uint8))
        return RowMask(bits, self.count - len(gone), self.length)


def mask_of(known: RowIds, ids: Ids) -> RowMask:
    """The rows of those ``ids`` that are held."""
    mask = np.zeros(len(known), bool)
    mask[known.rows_of(ids)] = True
    return RowMask(np.packbits(mask, bitorder="little"), int(np.count_nonzero(mask)), len(known))


def settled(nearest: Callable[[int], tuple[Scores, Ids]], ids: Ids, k: int, available: int) -> tuple[Scores, Ids]:
    """(n, k) scores and ids, ordered by (-score, id), of ``nearest``: scores, falling, and rows of the first so many.

    Where equal scores reach over the edge, more are fetched until the order by id decides who stays, within
    reason: coarse codes may give one score to half an index.
    """
    fetch, most = min(k + 1, available), min(available, 4 * k + 256)
    while True:
        scores, rows = nearest(fetch)
        undecided = fetch > k and bool(((scores[:, k - 1] == scores[:, -1]) & (rows[:, -1] >= 0)).any())
        if not undecided or fetch >= most:
            break
        fetch = min(2 * fetch, most)
    if rows.min() >= 0 and bool((scores[:, 1:] < scores[:, :-1]).all()):
        found = ids[rows]  # the common case: nothing to put in order
    else:
        scores, found = _in_order(scores, np.where(rows >= 0, ids[rows], _LAST))
    return _cut(scores, found, k)


def struck_out(scores: Scores, ids: Ids, gone: Ids, k: int) -> tuple[Scores, Ids]:
    """The first ``k`` that are not ``gone``."""
    keep = ~np.isin(ids, gone)
    if len(ids) == 1:
        return _cut(scores[:, keep[0]], ids[:, keep[0]], k)
    return _cut(*_in_order(np.where(keep, scores, -np.inf), np.where(keep & (ids >= 0), ids, _LAST)), k)


def _in_order(scores: Scores, ids: Ids) -> tuple[Scores, Ids]:
    scores = np.where(ids == _LAST, np.float32(-np.inf), scores)
    order = np.lexsort((ids, -scores), axis=-1)
    ids = np.take_along_axis(ids, order, 1)
    return np.take_along_axis(scores, order, 1), np.where(ids == _LAST, -1, ids)


def _cut(scores: Scores, ids: Ids, k: int) -> tuple[Scores, Ids]:
    """To ``k`` columns, padded with id -1 and score -inf."""
    missing = k - ids.shape[1]
    if missing > 0:
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
        ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
    return np.asarray(scores[:, :k], np.float32), ids[:, :k]
