"""Our id of each row of an index, and the rows of some ids."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import DuplicateIds
from search.types import Ids

_NONE: Ids = np.empty(0, np.int64)


class RowIds:
    """Ids by row number, each once, appended in chunks without a pass over those that are there.

    Ids that come in rising order need nothing beside them. Others are kept a second time while they are
    appended, in sorted runs, each at least twice as long as the next.
    """

    def __init__(self, ids: Ids = _NONE) -> None:
        """``ids`` are taken as they are, without a copy: they may be memory-mapped."""
        self._buffer, self._length = ids, len(ids)
        self._rising = bool(np.all(ids[1:] > ids[:-1]))
        self._runs: list[Ids] | None = None

    def __len__(self) -> int:
        return self._length

    @property
    def array(self) -> Ids:
        return self._buffer[: self._length]

    @property
    def nbytes(self) -> int:
        order = self.__dict__.get("_order")
        return 8 * self._length + (0 if order is None else int(order.nbytes))

    def check_new(self, ids: Ids) -> Ids:
        """The ids sorted. Raises DuplicateIds if they repeat themselves or what is there."""
        new = np.sort(np.asarray(ids, np.int64))
        repeated = [new[1:][new[1:] == new[:-1]], *(_common(run, new) for run in self._sorted_runs())]
        found = np.unique(np.concatenate(repeated))
        if found.size:
            raise DuplicateIds(count=found.size, example=int(found[0]))
        return new

    def append(self, ids: Ids) -> None:
        """Raises DuplicateIds, and then appends none."""
        new = self.check_new(ids)
        start, end = self._length, self._length + len(new)
        stays_rising = bool(np.array_equal(new, ids)) and (not start or not len(new) or new[0] > self.array[-1])
        if not (self._rising and stays_rising):
            self._runs = _merged([*self._sorted_runs(), new])
            self._rising = False
        if end > len(self._buffer):
            grown = np.empty(max(end, start + start // 2, 1024), np.int64)
            grown[:start] = self.array
            self._buffer = grown
        self._buffer[start:end] = ids
        self._length = end
        self.__dict__.pop("_order", None)

    def _sorted_runs(self) -> list[Ids]:
        if self._rising:
            return [self.array]
        if self._runs is None:
            self._runs = [np.sort(self.array)]
        return self._runs

    @cached_property
    def _order(self) -> NDArray[np.signedinteger] | None:
        """Rows by rising id; None where they stand so already."""
        if self._rising:
            return None
        order = np.argsort(self.array, kind="stable")
        return order.astype(np.int32) if self._length < 2**31 else order

    def rows_of(self, ids: Ids) -> Ids:
        """Row numbers of those ids that are here, in the order of ``ids``."""
        if not self._length:
            return _NONE
        known, order = self.array, self._order
        places = np.minimum(np.searchsorted(known, ids, sorter=order), self._length - 1)
        rows: Ids = places if order is None else order[places].astype(np.int64)
        held: Ids = rows[known[rows] == ids]
        return held


def _common(run: Ids, new: Ids) -> Ids:
    """Those of ``new`` that are in ``run``; both sorted."""
    if not len(run) or not len(new) or new[0] > run[-1] or new[-1] < run[0]:
        return _NONE
    places = np.minimum(np.searchsorted(run, new), len(run) - 1)
    found: Ids = new[run[places] == new]
    return found


def _merged(runs: list[Ids]) -> list[Ids]:
    while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
        last = runs.pop()
        runs[-1] = np.sort(np.concatenate([runs[-1], last]), kind="stable")
    return runs
