"""What FAISS's indexes have in common here: rows numbered by FAISS, our ids beside them, filters by row."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import Allowed, Selection, selection_of
from search.indexes.ids import RowIds
from search.indexes.masks import STRUCK_OUT, RowMask, mask_of, settled, struck_out
from search.indexes.parameters import Knob, check_params
from search.types import Descriptors, Ids, Scores

KEPT = 64  # sets of search parameters kept ready


class RowIndex(ABC):
    """The searching half of ``Index``. ``search_params`` hold where a search gives none of its own.

    Raises BadParameter for a search parameter it does not have.
    """

    def __init__(
        self, dim: int, ids: RowIds, factory: str, knobs: Mapping[str, Knob], search_params: Mapping[str, Any]
    ) -> None:
        self.dim, self.factory = dim, factory
        self._ids, self._knobs = ids, knobs
        self.check(search_params)
        self.search_params = dict(search_params)
        self._values = {**{name: knob.default for name, knob in knobs.items()}, **self.search_params}
        self._ready: dict[tuple[tuple[str, Any], ...], Any] = {}

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def knobs(self) -> Mapping[str, Knob]:
        """Its search parameters by name."""
        return self._knobs

    def check(self, params: Mapping[str, Any]) -> None:
        check_params(self._knobs, self.factory, params)

    def prepare(self, allowed: Ids) -> Selection:
        chosen = selection_of(allowed)
        return Selection(chosen.ids, mask_of(self._ids, chosen.ids), self)

    def search(
        self, x: Descriptors, k: int, allowed: Allowed | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        if params:
            self.check(params)
        values = {**self._values, **params} if params else self._values
        queries = self._queries(x)
        gone = None if excluded is None or not len(excluded) else np.unique(self._ids.rows_of(excluded))
        if allowed is None and gone is not None and len(gone) <= STRUCK_OUT:
            scores, ids = self._search(queries, k + len(gone), None, values)
            return struck_out(scores, ids, self._ids.array[gone], k) if len(gone) else (scores, ids)
        return self._search(queries, k, self._mask(allowed, gone), values)

    def _mask(self, allowed: Allowed | None, gone: Ids | None) -> RowMask | None:
        """The rows that may be found; None for all of them."""
        if isinstance(allowed, Selection):
            ready = allowed.owner is self and allowed.rows.length == len(self)
            mask = allowed.rows if ready else mask_of(self._ids, allowed.ids)
        elif allowed is not None:
            mask = mask_of(self._ids, allowed)
        else:
            mask = None if gone is None else RowMask.full(len(self))
        return mask if gone is None or mask is None else mask.without(gone)

    def _search(self, x: NDArray[Any], k: int, mask: RowMask | None, values: dict[str, Any]) -> tuple[Scores, Ids]:
        available = len(self) if mask is None else mask.count
        if not available or not k or not len(x):
            return np.full((len(x), k), -np.inf, np.float32), np.full((len(x), k), -1, np.int64)
        if mask is None:
            return settled(lambda fetch: self._nearest(x, fetch, values), self._ids.array, k, available)
        return settled(lambda fetch: self._nearest_of(x, fetch, mask, values), self._ids.array, k, available)

    def _widened(self, values: dict[str, Any], mask: RowMask) -> dict[str, Any]:
        """Search wider under a filter, so that as many allowed rows are met as all rows without one."""
        share, knobs = mask.count / len(self), self._knobs
        return {
            name: min(math.ceil(value / share), max(knobs[name].most, value)) if knobs[name].widens else value
            for name, value in values.items()
        }

    def _struck(self, x: NDArray[Any], fetch: int, mask: RowMask, values: dict[str, Any]) -> tuple[Scores, Ids]:
        """Rank more, strike out those that may not be found, until enough are left or all are ranked."""
        ranked = min(len(self), 2 * fetch * len(self) // mask.count)
        while True:
            scores, rows = self._nearest(x, ranked, values)
            keep = (rows >= 0) & mask.holds(np.maximum(rows, 0))
            if ranked >= len(self) or bool(np.all(np.count_nonzero(keep, axis=1) >= fetch)):
                break
            ranked = min(len(self), 4 * ranked)
        front = np.argsort(~keep, axis=1, kind="stable")[:, :fetch]
        rows = np.where(keep, rows, -1)
        return np.take_along_axis(scores, front, 1), np.take_along_axis(rows, front, 1)

    def _parameters(self, values: dict[str, Any]) -> Any:
        """FAISS's search parameters without a selector, made once for each set of values: they are only read."""
        key = tuple(values.items())
        found = self._ready.get(key)
        if found is None:
            if len(self._ready) >= KEPT:
                self._ready.clear()
            found = self._ready[key] = self._made_parameters(None, values)
        return found

    @abstractmethod
    def _queries(self, x: Descriptors) -> NDArray[Any]:
        """What FAISS is given for ``x``."""

    @abstractmethod
    def _made_parameters(self, selector: Any, values: dict[str, Any]) -> Any:
        """FAISS's search parameters."""

    @abstractmethod
    def _nearest(self, x: NDArray[Any], fetch: int, values: dict[str, Any]) -> tuple[Scores, Ids]:
        """Scores, falling, and rows of the first ``fetch``; rows are -1 where there are no more."""

    @abstractmethod
    def _nearest_of(self, x: NDArray[Any], fetch: int, mask: RowMask, values: dict[str, Any]) -> tuple[Scores, Ids]:
        """The same among the rows of ``mask``."""
