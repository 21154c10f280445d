"""FAISS on a GPU, where its GPU build is installed: searching, learning cells, finding the cell of each row.

Two searches at once are unsafe on a GPU: one lock a device. What a GPU cannot do is done on the CPU, with a word
in the log: kinds it does not know, filters, more hits than it sorts, too little of its memory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.indexes.device import CUDA, device_lock, wanted
from search.indexes.faiss_index import FaissIndex
from search.indexes.faiss_module import faiss
from search.indexes.parameters import search_parameters
from search.types import Descriptors, Ids, Scores

logger = logging.getLogger(__name__)

MOST_HITS, MOST_CELLS = 2048, 2048  # of one search on a GPU: FAISS's own limits for k and nprobe

_resources: Any = None
_said: set[str] = set()


def is_there() -> bool:
    """Whether FAISS is to use a GPU and can. Wanted by name and not there: a warning, once."""
    if wanted() == "cpu":
        return False
    found = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    if wanted() == "cuda" and not found:
        _say("FAISS_DEVICE is cuda, and FAISS finds no GPU (is its GPU package installed?): the CPU works instead")
    return bool(found)


def _say(text: str) -> None:
    if text not in _said:
        _said.add(text)
        logger.warning(text)


def moved(inner: Any) -> Any:
    """A copy of a FAISS index on the GPU. Raises RuntimeError for a kind it does not know, or too little memory."""
    global _resources
    if _resources is None:
        _resources = faiss.StandardGpuResources()
    options = faiss.GpuClonerOptions()
    options.useFloat16 = True  # as the originals are stored
    return faiss.index_cpu_to_gpu(_resources, 0, inner, options)


def kmeans(x: Descriptors, cells: int, rounds: int, points: int) -> NDArray[np.float32]:
    """(cells, dim) centroids of unit length, learnt on the GPU."""
    learning = faiss.Kmeans(
        x.shape[1], cells, niter=rounds, spherical=True, gpu=1, max_points_per_centroid=points,
        min_points_per_centroid=1,
    )  # fmt: skip
    learning.train(x)
    centroids: NDArray[np.float32] = learning.centroids
    return centroids


class GpuIndex(FaissIndex):
    """A FAISS index with a copy on the GPU for searches without a filter; made by ``on_gpu``."""

    _copy: Any = None  # on the GPU
    _cells: Any = None  # its cells alone, on the GPU, while it is filled

    def train(self, x: Descriptors) -> None:
        """Cells are learnt on the GPU; what lies behind them, and other kinds, as ever."""
        inner = self._inner
        if isinstance(inner, faiss.IndexIVF) and not inner.quantizer.ntotal and len(x) >= inner.nlist:
            self._cells = self._tried("learning cells", lambda: self._learnt(np.ascontiguousarray(x, np.float32)))
        super().train(x)

    def _learnt(self, x: Descriptors) -> Any:
        inner = self._inner
        centroids = kmeans(x, inner.nlist, inner.cp.niter, inner.cp.max_points_per_centroid)
        inner.quantizer.add(centroids)  # FAISS learns no cells where they are all there
        return moved(inner.quantizer)

    def add(self, ids: Ids, x: Descriptors) -> None:
        """The GPU finds each row's cell, the CPU keeps the codes."""
        self._ids.check_new(ids)
        x, self._copy = np.ascontiguousarray(x, np.float32), None
        if self._cells is None:
            super().add(ids, x)
            return
        assigned = self._tried("filling cells", lambda: self._cells.search(x, 1)[1].ravel())
        if assigned is None:
            self._cells = None
            super().add(ids, x)
            return
        pointer, assigned = faiss.swig_ptr, np.ascontiguousarray(assigned, np.int64)
        self._inner.add_core(len(x), pointer(x), None, pointer(assigned), None)
        self._ids.append(ids)

    def load_copy(self) -> None:
        """Put the copy on the GPU; where it cannot be, the CPU goes on alone."""
        self._cells = None
        self._copy = self._tried("a copy for searching", lambda: moved(self._inner))

    def _tried(self, what: str, work: Callable[[], Any]) -> Any:
        """What ``work`` gives, with the GPU to itself; None where it cannot be done there, and a word in the log."""
        try:
            with device_lock(CUDA):
                return work()
        except (RuntimeError, MemoryError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            logger.warning("%s of the index %s is not done on the GPU but on the CPU: %s", what, self.factory, reason)
            return None

    def _nearest(self, x: NDArray[Any], fetch: int, values: dict[str, Any]) -> tuple[Scores, Ids]:
        copy = self._copy
        if copy is None or fetch > MOST_HITS or values.get("nprobe", 1) > MOST_CELLS:
            return super()._nearest(x, fetch, values)
        how = search_parameters(self._inner, None, values)
        found: tuple[Scores, Ids] | None = self._tried("a search", lambda: copy.search(x, fetch, params=how))
        if found is None:
            self._copy = None  # no search waits for the next failure
            return super()._nearest(x, fetch, values)
        return found


def on_gpu(index: Any) -> Any:
    """``index`` with a copy on the GPU, where it is a FAISS index and a GPU is to be used; else itself."""
    if not isinstance(index, FaissIndex) or not is_there():
        return index
    made = building_on_gpu(index)
    made.load_copy()
    return made


def building_on_gpu(index: Any) -> Any:
    """An empty ``index`` that learns its cells and is filled with the help of a GPU, where one is to be used."""
    if not isinstance(index, FaissIndex) or not is_there():
        return index
    return GpuIndex(index._owner, index._inner, index._ids, index.factory, index.search_params)


def forget() -> None:
    """A child after a fork starts with no GPU: CUDA does not outlive one."""
    global _resources
    _resources = None


os.register_at_fork(after_in_child=forget)
