"""Every FAISS index that compares by inner product, named by its factory string.

FAISS numbers the rows itself, 0, 1, 2 …; our ids stand beside it (``RowIds``). So one selector over row
numbers serves every kind of index, wherever in a chain of transforms and refinements the search takes place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from search.indexes.base import Allowed, BadFactory, BrokenIndex, Selection, selection_of
from search.indexes.faiss_file import append_ids, read_faiss, read_ids, reason_of
from search.indexes.faiss_module import faiss
from search.indexes.ids import RowIds
from search.indexes.masks import STRUCK_OUT, RowMask, mask_of, settled, struck_out
from search.indexes.parameters import check_params, knobs_of, search_parameters
from search.indexes.parts import code_bytes, set_training, unusable
from search.types import Descriptors, Ids, Scores

KEPT = 64  # sets of search parameters kept ready
# In distance computations: what a step of a graph search costs, and looking at a row that is not allowed.
STEP, LOOK = 25, 0.02


def set_threads(count: int) -> None:
    faiss.omp_set_num_threads(count)


class FaissIndex:
    """See ``Index``. ``search_params`` hold where a search gives none of its own."""

    def __init__(self, owner: Any, inner: Any, ids: RowIds, factory: str, search_params: Mapping[str, Any]) -> None:
        # FAISS frees an index with the Python object that made it; ``inner`` is only a view of ``owner``.
        self._owner, self._inner, self._ids, self.factory = owner, inner, ids, factory
        self.dim = int(inner.d)
        self._knobs = knobs_of(inner)
        self._ready: dict[tuple[tuple[str, Any], ...], Any] = {}
        self.check(search_params)
        self.search_params = dict(search_params)
        self._values = {**{name: knob.default for name, knob in self._knobs.items()}, **self.search_params}

    @classmethod
    def from_factory(cls, factory: str, dim: int, search_params: Mapping[str, Any]) -> Self:
        """Raises BadFactory and BadParameter."""
        try:
            owner = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        except Exception as error:
            raise BadFactory(factory=factory, dim=dim, reason=reason_of(error)) from error
        inner = faiss.downcast_index(owner)
        if reason := unusable(inner):
            raise BadFactory(factory=factory, dim=dim, reason=reason)
        set_training(inner)
        return cls(owner, inner, RowIds(), factory, search_params)

    def __len__(self) -> int:
        return len(self._ids)

    def check(self, params: Mapping[str, Any]) -> None:
        check_params(self._knobs, self.factory, params)

    def code_bytes(self) -> int:
        return code_bytes(self._inner) + self._ids.nbytes

    def train(self, x: Descriptors) -> None:
        """Raises BadFactory where ``x`` is too little for the index asked for."""
        try:
            self._inner.train(np.ascontiguousarray(x, np.float32))
        except RuntimeError as error:
            raise BadFactory(factory=self.factory, dim=self.dim, reason=reason_of(error)) from error

    def add(self, ids: Ids, x: Descriptors) -> None:
        """See ``Index``. Raises BadFactory where FAISS cannot add to this kind of index a second time."""
        self._ids.check_new(ids)
        try:
            self._inner.add(np.ascontiguousarray(x, np.float32))
        except RuntimeError as error:
            raise BadFactory(factory=self.factory, dim=self.dim, reason=reason_of(error)) from error
        self._ids.append(ids)

    def prepare(self, allowed: Ids) -> Selection:
        chosen = selection_of(allowed)
        return Selection(chosen.ids, mask_of(self._ids, chosen.ids), self)

    def search(
        self, x: Descriptors, k: int, allowed: Allowed | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        if params:
            self.check(params)
        values = {**self._values, **params} if params else self._values
        x = np.ascontiguousarray(x, np.float32)
        gone = None if excluded is None or not len(excluded) else np.unique(self._ids.rows_of(excluded))
        if allowed is None and gone is not None and len(gone) <= STRUCK_OUT:
            scores, ids = self._search(x, k + len(gone), None, values)
            return struck_out(scores, ids, self._ids.array[gone], k) if len(gone) else (scores, ids)
        return self._search(x, k, self._mask(allowed, gone), values)

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

    def _search(self, x: Descriptors, k: int, mask: RowMask | None, values: dict[str, Any]) -> tuple[Scores, Ids]:
        available = len(self) if mask is None else mask.count
        if not available or not k or not len(x):
            return np.full((len(x), k), -np.inf, np.float32), np.full((len(x), k), -1, np.int64)
        if mask is None:
            params = self._parameters(values)

            def nearest(fetch: int) -> tuple[Scores, Ids]:
                scores, rows = self._inner.search(x, fetch, params=params)
                return scores, rows
        else:
            chosen = mask

            def nearest(fetch: int) -> tuple[Scores, Ids]:
                return self._masked(x, fetch, chosen, values)

        return settled(nearest, self._ids.array, k, available)

    def _parameters(self, values: dict[str, Any]) -> Any:
        """Search parameters without a selector, made once for each set of values: FAISS only reads them."""
        key = tuple(values.items())
        found = self._ready.get(key)
        if found is None:
            if len(self._ready) >= KEPT:
                self._ready.clear()
            found = self._ready[key] = search_parameters(self._inner, None, values)
        return found

    def _masked(self, x: Descriptors, fetch: int, mask: RowMask, values: dict[str, Any]) -> tuple[Scores, Ids]:
        selector = faiss.IDSelectorBitmap(mask.bits)
        wider = self._widened(values, mask)
        if self._scan_is_cheaper(wider, mask):
            scores, rows = self._inner.storage.search(x, fetch, params=faiss.SearchParameters(sel=selector))
            return scores, rows
        try:
            scores, rows = self._inner.search(x, fetch, params=search_parameters(self._inner, selector, wider))
        except RuntimeError:  # a few kinds take no selector
            return self._struck(x, fetch, mask, values)
        return scores, rows

    def _scan_is_cheaper(self, values: dict[str, Any], mask: RowMask) -> bool:
        """A graph full of rows that may not be found is left aside, and all the allowed ones are compared."""
        if not isinstance(self._inner, faiss.IndexHNSW):
            return False
        return mask.count + LOOK * len(self) < STEP * values["efSearch"]

    def _widened(self, values: dict[str, Any], mask: RowMask) -> dict[str, Any]:
        """Search wider under a filter, so that as many allowed rows are met as all rows without one."""
        share, knobs = mask.count / len(self), self._knobs
        return {
            name: min(math.ceil(value / share), max(knobs[name].most, value)) if knobs[name].widens else value
            for name, value in values.items()
        }

    def _struck(self, x: Descriptors, fetch: int, mask: RowMask, values: dict[str, Any]) -> tuple[Scores, Ids]:
        """Rank more, strike out those that may not be found, until enough are left or all are ranked."""
        ranked, params = min(len(self), 2 * fetch * len(self) // mask.count), self._parameters(values)
        while True:
            scores, rows = self._inner.search(x, ranked, params=params)
            keep = (rows >= 0) & mask.holds(np.maximum(rows, 0))
            if ranked >= len(self) or bool(np.all(np.count_nonzero(keep, axis=1) >= fetch)):
                break
            ranked = min(len(self), 4 * ranked)
        front = np.argsort(~keep, axis=1, kind="stable")[:, :fetch]
        rows = np.where(keep, rows, -1)
        return np.take_along_axis(scores, front, 1), np.take_along_axis(rows, front, 1)

    def save(self, path: Path) -> None:
        faiss.write_index(self._inner, str(path))
        append_ids(path, self._ids.array)

    @classmethod
    def load(cls, path: Path, *, mmap: bool, search_params: Mapping[str, Any]) -> Self:
        """Raises BrokenIndex and BadParameter."""
        owner = read_faiss(path, mmap=mmap)
        inner, ids = faiss.downcast_index(owner), read_ids(path, mmap=mmap)
        if isinstance(inner, faiss.IndexIDMap):  # as files were written before
            ids = faiss.vector_to_array(inner.id_map)
            inner.id_map.resize(0)
            inner = faiss.downcast_index(inner.index)
        if ids is None or len(ids) != inner.ntotal:
            raise BrokenIndex(path=path, reason="it does not hold an id for each row")
        return cls(owner, inner, RowIds(ids), path.name, search_params)
