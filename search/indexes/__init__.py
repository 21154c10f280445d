"""Descriptors to nearest ids. No Django here.

``build_index`` makes any index FAISS has a factory string for, and Milvus's; ``load_index`` opens a saved one.
FAISS is imported when one of them is first called: a process that forks must not have used it before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.indexes.base import BadFactory, BadParameter, BrokenIndex, DuplicateIds, Index, IndexFault, Selection
from search.indexes.exact import ExactIndex
from search.indexes.sizes import auto_factory, default_params

__all__ = [
    "BadFactory",
    "BadParameter",
    "BrokenIndex",
    "DuplicateIds",
    "ExactIndex",
    "Index",
    "IndexFault",
    "Selection",
    "auto_factory",
    "build_index",
    "default_params",
    "load_index",
    "set_threads",
]


def build_index(factory: str, dim: int, *, engine: str = "faiss", **search_params: Any) -> Index:
    """An empty index of ``dim`` dimensions. ``search_params`` hold where a search gives none of its own.

    ``exact`` is the oracle in NumPy; ``torch`` does the same on a GPU; ITQ256, IVF1024,ITQ256 and
    HNSW32,ITQ256 are binary codes; everything else is a FAISS factory string. With the engine ``milvus`` it is
    one of Milvus's index types; its server is not asked before something is added. Raises BadFactory and
    BadParameter.
    """
    if engine == "milvus":
        from search.indexes.milvus_index import MilvusIndex

        return MilvusIndex.create(factory, dim, search_params)
    if factory == "exact":
        return ExactIndex(dim)
    if factory in {"torch", "torch_exact"}:
        from search.indexes.torch_exact import TorchExactIndex

        return TorchExactIndex(dim, search_params=search_params)
    if "ITQ" in factory:
        from search.indexes.binary_index import BinaryIndex

        return BinaryIndex.from_factory(factory, dim, search_params)
    from search.indexes.faiss_index import FaissIndex

    return FaissIndex.from_factory(factory, dim, search_params)


def load_index(path: Path, mmap: bool = True, **search_params: Any) -> Index:
    """Open a saved FAISS index, by memory map where its kind allows. Raises BrokenIndex, BadParameter."""
    from search.indexes.binary_index import BinaryIndex
    from search.indexes.faiss_file import is_binary
    from search.indexes.faiss_index import FaissIndex

    if is_zip(path):  # what torch's index writes
        from search.indexes.torch_exact import TorchExactIndex

        return TorchExactIndex.load(path, search_params=search_params)
    kind = BinaryIndex if is_binary(path) else FaissIndex
    return kind.load(path, mmap=mmap, search_params=search_params)


def is_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def set_threads(count: int) -> None:
    """How many threads FAISS may use for calls of this thread (OpenMP keeps the number per thread)."""
    from search.indexes.faiss_index import set_threads as set_faiss_threads

    set_faiss_threads(count)
