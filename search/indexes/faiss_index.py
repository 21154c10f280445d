"""Every FAISS index that compares by inner product, named by its factory string.

FAISS numbers the rows itself, 0, 1, 2 …; our ids stand in an array beside it, in memory, and in an IDMap
around the index in its file. So one selector over row numbers serves every kind of index, wherever
in a chain of transforms and refinements the search takes place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import BadFactory, BrokenIndex, check_new
from search.indexes.faiss_module import faiss
from search.indexes.parameters import check_params, knobs_of, search_parameters, skip_polysemous_training, unusable
from search.types import Descriptors, Ids, Scores

_LAST = np.iinfo(np.int64).max


def set_threads(count: int) -> None:
    faiss.omp_set_num_threads(count)


class FaissIndex:
    """See ``Index``. ``search_params`` hold where a search gives none of its own."""

    def __init__(self, owner: Any, inner: Any, ids: Ids, factory: str, search_params: Mapping[str, Any]) -> None:
        # FAISS frees an index with the Python object that made it; ``inner`` is only a view of ``owner``.
        self._owner, self._inner, self._ids, self.factory = owner, inner, ids, factory
        self.dim = int(inner.d)
        self.check(search_params)
        self.search_params = dict(search_params)

    @classmethod
    def from_factory(cls, factory: str, dim: int, search_params: Mapping[str, Any]) -> Self:
        """Raises BadFactory and BadParameter."""
        try:
            owner = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        except Exception as error:
            raise BadFactory(factory=factory, dim=dim, reason=_reason(error)) from error
        inner = faiss.downcast_index(owner)
        if reason := unusable(inner):
            raise BadFactory(factory=factory, dim=dim, reason=reason)
        skip_polysemous_training(inner)
        return cls(owner, inner, np.empty(0, np.int64), factory, search_params)

    def __len__(self) -> int:
        return len(self._ids)

    def check(self, params: Mapping[str, Any]) -> None:
        check_params(self._inner, self.factory, params)

    def train(self, x: Descriptors) -> None:
        """Raises BadFactory where ``x`` is too little for the index asked for."""
        try:
            self._inner.train(np.ascontiguousarray(x, np.float32))
        except RuntimeError as error:
            raise BadFactory(factory=self.factory, dim=self.dim, reason=_reason(error)) from error

    def add(self, ids: Ids, x: Descriptors) -> None:
        """See ``Index``. Raises BadFactory where FAISS cannot add to this kind of index a second time."""
        check_new(self._ids, ids)
        try:
            self._inner.add(np.ascontiguousarray(x, np.float32))
        except RuntimeError as error:
            raise BadFactory(factory=self.factory, dim=self.dim, reason=_reason(error)) from error
        self._ids = np.concatenate([self._ids, np.asarray(ids, np.int64)])
        self.__dict__.pop("_sorted", None)

    def search(
        self, x: Descriptors, k: int, allowed: Ids | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        self.check(params)
        x = np.ascontiguousarray(x, np.float32)
        mask = self._mask(allowed, excluded)
        available = len(self) if mask is None else int(np.count_nonzero(mask))
        if not available or not k or not len(x):
            return np.full((len(x), k), -np.inf, np.float32), np.full((len(x), k), -1, np.int64)
        values = self._widened({**self.search_params, **params}, available)
        scores, ids = self._settled(x, k, available, mask, values)
        missing = max(0, k - ids.shape[1])
        return (
            np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)[:, :k],
            np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)[:, :k],
        )

    def _settled(
        self, x: Descriptors, k: int, available: int, mask: NDArray[np.bool_] | None, values: dict[str, Any]
    ) -> tuple[Scores, Ids]:
        """Rows ordered by (-score, id). Where equal scores reach over the edge, more are fetched until the
        order by id decides who stays, within reason: coarse codes may give one score to half an index."""
        fetch, most = min(k + 1, available), min(available, 4 * k + 256)
        while True:
            scores, rows = self._inner_search(x, fetch, mask, values)
            real = rows >= 0
            undecided = fetch > k and bool(np.any(real[:, -1] & (scores[:, k - 1] == scores[:, -1])))
            if not undecided or fetch >= most:
                break
            fetch = min(2 * fetch, most)
        ids = np.where(real, self._ids[np.maximum(rows, 0)], _LAST)
        scores = np.where(real, scores, -np.inf).astype(np.float32)
        order = np.lexsort((ids, -scores), axis=-1)
        ids = np.take_along_axis(ids, order, 1)
        return np.take_along_axis(scores, order, 1), np.where(ids == _LAST, -1, ids)

    def _inner_search(
        self, x: Descriptors, fetch: int, mask: NDArray[np.bool_] | None, values: dict[str, Any]
    ) -> tuple[Scores, Ids]:
        selector = None
        if mask is not None:
            bits = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
        try:
            scores, rows = self._inner.search(x, fetch, params=search_parameters(self._inner, selector, values))
        except RuntimeError:
            if mask is None:
                raise
            # A few kinds take no selector: then all are ranked and the others struck out.
            scores, rows = self._inner.search(x, len(self), params=search_parameters(self._inner, None, values))
            rows = np.where((rows >= 0) & mask[np.maximum(rows, 0)], rows, -1)
            front = np.argsort(rows < 0, axis=1, kind="stable")[:, :fetch]
            scores, rows = np.take_along_axis(scores, front, 1), np.take_along_axis(rows, front, 1)
        return scores, rows

    def _widened(self, values: dict[str, Any], available: int) -> dict[str, Any]:
        """Search wider under a filter, so that as many allowed rows are met as all rows without one."""
        widest = knobs_of(self._inner)
        share = available / len(self)
        return {
            name: min(math.ceil(value / share), max(widest[name].most, value)) if widest[name].widens else value
            for name, value in {**{n: knob.default for n, knob in widest.items()}, **values}.items()
        }

    def _mask(self, allowed: Ids | None, excluded: Ids | None) -> NDArray[np.bool_] | None:
        """True for the rows that may be found; None for all of them."""
        if allowed is None and (excluded is None or not len(excluded)):
            return None
        mask = np.full(len(self), allowed is None)
        if allowed is not None:
            mask[self._rows_of(allowed)] = True
        if excluded is not None:
            mask[self._rows_of(excluded)] = False
        return mask

    @cached_property
    def _sorted(self) -> tuple[Ids, Ids]:
        order = np.argsort(self._ids, kind="stable")
        return self._ids[order], order

    def _rows_of(self, ids: Ids) -> Ids:
        """Row numbers of those ids that are held."""
        known, order = self._sorted
        if not len(known):
            return order
        places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        rows: Ids = order[places[known[places] == ids]]
        return rows

    def save(self, path: Path) -> None:
        wrapped = faiss.IndexIDMap(faiss.IndexFlatIP(self.dim))  # it takes an empty index only
        wrapped.index, wrapped.ntotal = self._inner, len(self)
        faiss.copy_array_to_vector(self._ids, wrapped.id_map)
        faiss.write_index(wrapped, str(path))

    @classmethod
    def load(cls, path: Path, *, mmap: bool, search_params: Mapping[str, Any]) -> Self:
        """Raises BrokenIndex and BadParameter."""
        try:
            owner = _read(path, mmap)
            wrapped = faiss.downcast_index(owner)
        except Exception as error:
            raise BrokenIndex(path=path, reason=_reason(error)) from error
        if not isinstance(wrapped, faiss.IndexIDMap):
            raise BrokenIndex(path=path, reason="it holds no ids")
        inner = faiss.downcast_index(wrapped.index)
        return cls(owner, inner, faiss.vector_to_array(wrapped.id_map), path.name, search_params)


def _read(path: Path, mmap: bool) -> Any:
    """Memory-mapped where FAISS can map this kind of index, read into memory where it cannot."""
    if mmap:
        try:
            return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError:
            pass
    return faiss.read_index(str(path))


def _reason(error: Exception) -> str:
    """FAISS's message without the source line it came from."""
    message = re.sub(r"^Error in .* at \S+:\d+: (Error: )?", "", str(error).strip(), flags=re.DOTALL)
    return message.rstrip(". ") or type(error).__name__
