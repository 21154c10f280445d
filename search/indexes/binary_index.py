"""Binary codes (ITQ) compared by Hamming distance: ITQ256, and for more pictures IVF1024,ITQ256 or HNSW32,ITQ256.

FAISS has such codes for Euclidean distance only, so this is a kind of our own. A score is
1 - 2 * distance / bits: the cosine of two vectors of signs, 1 for equal codes, -1 for opposite ones.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import BadFactory, BrokenIndex
from search.indexes.faiss_file import append_ids, append_padding, ids_start, read_faiss, read_ids, reason_of
from search.indexes.faiss_module import faiss
from search.indexes.ids import RowIds
from search.indexes.itq import BinaryCoder, learn
from search.indexes.masks import RowMask
from search.indexes.parameters import Knob
from search.indexes.parts import POINTS_PER_CELL, ROUNDS
from search.indexes.rows import RowIndex
from search.types import Descriptors, Ids, Scores

KIND = re.compile(r"(?:IVF(?P<cells>\d+),|HNSW(?P<links>\d+),)?ITQ(?P<bits>\d+)")
LEAST_BITS, MOST_BITS = 64, 1024
CODER = struct.Struct("<qq8s")  # dim, bits and a mark, behind the coder's mean and axes
MARK = b"lookitq1"


class BinaryIndex(RowIndex):
    """See ``Index``. Scores are Hamming similarities, not inner products."""

    def __init__(
        self, inner: Any, coder: BinaryCoder | None, dim: int, ids: RowIds, factory: str, params: Mapping[str, Any]
    ) -> None:
        self._inner, self._coder = inner, coder
        super().__init__(dim, ids, factory, _knobs(inner), params)

    @classmethod
    def from_factory(cls, factory: str, dim: int, search_params: Mapping[str, Any]) -> Self:
        """Raises BadFactory, also for more bits than dimensions: there are no more axes to cut."""
        match = KIND.fullmatch(factory)
        if match is None:
            raise BadFactory(factory=factory, dim=dim, reason="binary codes are written ITQ256 or IVF1024,ITQ256")
        bits = int(match["bits"])
        if reason := _unfit(bits, dim, match["cells"], match["links"]):
            raise BadFactory(factory=factory, dim=dim, reason=reason)
        return cls(_empty(bits, match["cells"], match["links"]), None, dim, RowIds(), factory, search_params)

    def code_bytes(self) -> int:
        coder = 0 if self._coder is None else self._coder.mean.nbytes + self._coder.axes.nbytes
        return coder + _code_bytes(self._inner) + self._ids.nbytes

    def train(self, x: Descriptors) -> None:
        """Raises BadFactory where ``x`` is too little for the cells asked for."""
        self._coder = learn(x, int(self._inner.d))
        try:
            self._inner.train(self._coder.encode(x))
        except RuntimeError as error:
            raise BadFactory(factory=self.factory, dim=self.dim, reason=reason_of(error)) from error

    def add(self, ids: Ids, x: Descriptors) -> None:
        self._ids.check_new(ids)
        if len(ids):
            self._inner.add(self._queries(x))
        self._ids.append(ids)

    def _queries(self, x: Descriptors) -> NDArray[Any]:
        if self._coder is None:
            if len(self):
                raise BadFactory(factory=self.factory, dim=self.dim, reason="it is not trained")
            return np.zeros((len(x), int(self._inner.d) // 8), np.uint8)
        return self._coder.encode(x)

    def _made_parameters(self, selector: Any, values: dict[str, Any]) -> Any:
        if isinstance(self._inner, faiss.IndexBinaryIVF):
            return faiss.SearchParametersIVF(nprobe=int(values["nprobe"]))
        given = {} if selector is None else {"sel": selector}
        if isinstance(self._inner, faiss.IndexBinaryHNSW):
            return faiss.SearchParametersHNSW(**given, efSearch=int(values["efSearch"]))
        return faiss.SearchParameters(**given) if given else None

    def _nearest(self, x: NDArray[Any], fetch: int, values: dict[str, Any]) -> tuple[Scores, Ids]:
        return self._scored(*self._inner.search(x, fetch, params=self._parameters(values)))

    def _nearest_of(self, x: NDArray[Any], fetch: int, mask: RowMask, values: dict[str, Any]) -> tuple[Scores, Ids]:
        wider = self._widened(values, mask)
        if isinstance(self._inner, faiss.IndexBinaryIVF):  # it takes no selector
            return self._struck(x, fetch, mask, wider)
        selector = faiss.IDSelectorBitmap(mask.bits)
        inner, params = self._inner, self._made_parameters(selector, wider)
        if isinstance(inner, faiss.IndexBinaryHNSW) and mask.count <= 10 * wider["efSearch"]:
            inner, params = inner.storage, faiss.SearchParameters(sel=selector)  # comparing all of them costs less
        return self._scored(*inner.search(x, fetch, params=params))

    def _scored(self, distances: NDArray[np.int32], rows: Ids) -> tuple[Scores, Ids]:
        scores = 1 - distances * np.float32(2 / int(self._inner.d))
        return np.where(rows >= 0, scores, -np.inf).astype(np.float32), rows

    def save(self, path: Path) -> None:
        faiss.write_index_binary(self._inner, str(path))
        coder = self._coder or BinaryCoder(np.zeros(0, np.float32), np.zeros((0, 0), np.float32))
        append_padding(path)
        with path.open("ab") as file:
            for part in (coder.mean, coder.axes):
                part.astype("<f4", copy=False).tofile(file)
            file.write(b"\0" * (-file.tell() % 8))
            file.write(CODER.pack(len(coder.mean), coder.bits, MARK))
        append_ids(path, self._ids.array)

    @classmethod
    def load(cls, path: Path, *, mmap: bool, search_params: Mapping[str, Any]) -> Self:
        """Raises BrokenIndex and BadParameter."""
        inner = read_faiss(path, mmap=mmap, read=faiss.read_index_binary)
        ids, coder = read_ids(path, mmap=mmap), _read_coder(path)
        if ids is None or len(ids) != inner.ntotal or coder.bits != inner.d:
            raise BrokenIndex(path=path, reason="it does not hold an id for each row, or not its coder")
        return cls(inner, coder, len(coder.mean), RowIds(ids), path.name, search_params)


def _unfit(bits: int, dim: int, cells: str | None, links: str | None) -> str:
    if bits % 8 or not LEAST_BITS <= bits <= MOST_BITS:
        return f"bits are a multiple of 8 from {LEAST_BITS} to {MOST_BITS}"
    if bits > dim:
        return f"{bits} bits cannot be cut from {dim} dimensions: ask for at most {dim - dim % 8}"
    if cells is not None and not int(cells):
        return "it has no cells"
    return "a graph needs 2 links or more" if links is not None and int(links) < 2 else ""


def _empty(bits: int, cells: str | None, links: str | None) -> Any:
    if links is not None:
        return faiss.IndexBinaryHNSW(bits, int(links))
    if cells is None:
        return faiss.IndexBinaryFlat(bits)
    index = faiss.index_binary_factory(bits, f"BIVF{cells}")
    index.cp.niter, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = ROUNDS, POINTS_PER_CELL, 1
    return index


def _knobs(index: Any) -> dict[str, Knob]:
    if isinstance(index, faiss.IndexBinaryIVF):
        return {"nprobe": Knob(int(index.nprobe), int(index.nlist))}
    if isinstance(index, faiss.IndexBinaryHNSW):
        return {"efSearch": Knob(int(index.hnsw.efSearch), 4096)}
    return {}


def _code_bytes(index: Any) -> int:
    codes = int(index.ntotal) * int(index.code_size)
    if isinstance(index, faiss.IndexBinaryIVF):
        return codes + 8 * int(index.ntotal) + int(index.nlist) * int(index.code_size)
    if isinstance(index, faiss.IndexBinaryHNSW):
        graph = index.hnsw
        return codes + 4 * int(graph.neighbors.size() + graph.levels.size()) + 8 * int(graph.offsets.size())
    return codes


def _read_coder(path: Path) -> BinaryCoder:
    """Raises BrokenIndex."""
    end = (ids_start(path) or CODER.size) - CODER.size
    with path.open("rb") as file:
        file.seek(end)
        dim, bits, mark = CODER.unpack(file.read(CODER.size))
        numbers = dim + dim * bits
        start = end - 4 * numbers - (-4 * numbers % 8)
        if mark != MARK or min(dim, bits, start) < 0:
            raise BrokenIndex(path=path, reason="it holds no coder")
        values = np.fromfile(path, np.dtype("<f4"), numbers, offset=start)
    return BinaryCoder(values[:dim], values[dim:].reshape(dim, bits))
