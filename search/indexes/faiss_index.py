"""Every FAISS index that compares by inner product, named by its factory string.

FAISS numbers the rows itself, 0, 1, 2 …; our ids stand beside it (``RowIds``). So one selector over row
numbers serves every kind of index, wherever in a chain of transforms and refinements the search takes place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import BadFactory, BrokenIndex
from search.indexes.faiss_file import append_ids, read_faiss, read_ids, reason_of
from search.indexes.faiss_module import faiss
from search.indexes.ids import RowIds
from search.indexes.masks import RowMask
from search.indexes.parameters import knobs_of, search_parameters
from search.indexes.parts import code_bytes, set_training, train, unusable
from search.indexes.rows import RowIndex
from search.types import Descriptors, Ids, Scores

# In comparisons of two descriptors: what a step of a graph search costs, and passing a row that may not be found.
STEP, PASS = 25, 0.02


def set_threads(count: int) -> None:
    faiss.omp_set_num_threads(count)


class FaissIndex(RowIndex):
    """See ``Index``."""

    def __init__(self, owner: Any, inner: Any, ids: RowIds, factory: str, search_params: Mapping[str, Any]) -> None:
        # FAISS frees an index with the Python object that made it; ``inner`` is only a view of ``owner``.
        self._owner, self._inner = owner, inner
        super().__init__(int(inner.d), ids, factory, knobs_of(inner), search_params)

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

    def code_bytes(self) -> int:
        return code_bytes(self._inner) + self._ids.nbytes

    def train(self, x: Descriptors) -> None:
        """Raises BadFactory where ``x`` is too little for the index asked for."""
        try:
            train(self._inner, np.ascontiguousarray(x, np.float32))
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

    def _queries(self, x: Descriptors) -> NDArray[Any]:
        return np.ascontiguousarray(x, np.float32)

    def _made_parameters(self, selector: Any, values: dict[str, Any]) -> Any:
        return search_parameters(self._inner, selector, values)

    def _nearest(self, x: NDArray[Any], fetch: int, values: dict[str, Any]) -> tuple[Scores, Ids]:
        scores, rows = self._inner.search(x, fetch, params=self._parameters(values))
        return scores, rows

    def _nearest_of(self, x: NDArray[Any], fetch: int, mask: RowMask, values: dict[str, Any]) -> tuple[Scores, Ids]:
        selector = faiss.IDSelectorBitmap(mask.bits)
        wider = self._widened(values, mask)
        if self._scan_is_cheaper(wider, mask):
            scores, rows = self._inner.storage.search(x, fetch, params=faiss.SearchParameters(sel=selector))
            return scores, rows
        try:
            scores, rows = self._inner.search(x, fetch, params=self._made_parameters(selector, wider))
        except RuntimeError:  # a few kinds take no selector
            return self._struck(x, fetch, mask, values)
        return scores, rows

    def _scan_is_cheaper(self, values: dict[str, Any], mask: RowMask) -> bool:
        """A graph full of rows that may not be found is left aside, and all the allowed ones are compared."""
        if not isinstance(self._inner, faiss.IndexHNSW):
            return False
        return bool(mask.count + PASS * len(self) < STEP * values["efSearch"])

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
            inner = faiss.downcast_index(inner.index)
        if ids is None or len(ids) != inner.ntotal:
            raise BrokenIndex(path=path, reason="it does not hold an id for each row")
        return cls(owner, inner, RowIds(ids), path.name, search_params)
