"""How much memory an index of so many pictures would take, known before it is built."""

from __future__ import annotations

from typing import Any

from search.indexes.base import BadFactory
from search.indexes.binary_index import KIND, BinaryIndex
from search.indexes.faiss_file import reason_of
from search.indexes.faiss_module import faiss
from search.indexes.parts import parts_of

FLOAT, ROW = 4, 8


def estimated_bytes(factory: str, dim: int, count: int) -> int:
    """Bytes of codes, cells, graph and ids of ``count`` descriptors; what holds the originals is not among them.

    Read from an empty index of the same factory, so nothing is trained. Raises BadFactory.
    """
    if factory == "exact":
        return count * (dim * FLOAT + ROW)
    if "ITQ" in factory:
        return ROW * count + _binary_bytes(factory, dim, count)
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except Exception as error:
        raise BadFactory(factory=factory, dim=dim, reason=reason_of(error)) from error
    return ROW * count + sum(_part_bytes(part, count) for part in parts_of(index))


def _binary_bytes(factory: str, dim: int, count: int) -> int:
    BinaryIndex.from_factory(factory, dim, {})  # refuses what cannot be
    match = KIND.fullmatch(factory)
    assert match is not None
    bits, cells, links = int(match["bits"]), int(match["cells"] or 0), int(match["links"] or 0)
    graph = FLOAT * (2 * links + links / max(1, links - 1)) + ROW + FLOAT if links else 0
    each = bits // 8 + (ROW if cells else 0) + graph
    return int(count * each) + cells * bits // 8 + dim * bits * FLOAT


def _part_bytes(part: Any, count: int) -> int:
    if hasattr(part, "pq"):  # its centroids: 2 ** bits of the whole dimension, whatever the parts
        return int(part.pq.ksub) * int(part.pq.d) * FLOAT + _rows_bytes(part, count)
    return _rows_bytes(part, count)


def _rows_bytes(part: Any, count: int) -> int:
    if isinstance(part, faiss.IndexPreTransform):
        return sum(_transform_bytes(part.chain.at(n)) for n in range(part.chain.size()))
    if isinstance(part, faiss.IndexRefine):
        return int(faiss.downcast_index(part.refine_index).sa_code_size()) * count
    if isinstance(part, faiss.IndexIVF):
        return count * (int(part.code_size) + ROW) + int(part.nlist) * int(part.d) * FLOAT
    if isinstance(part, faiss.IndexHNSW):
        storage = int(faiss.downcast_index(part.storage).sa_code_size())
        return int(count * (storage + _links(part.hnsw)))
    return count * int(part.sa_code_size())


def _transform_bytes(transform: Any) -> int:
    transform = faiss.downcast_VectorTransform(transform)
    return int(transform.d_in) * int(transform.d_out) * FLOAT if isinstance(transform, faiss.LinearTransform) else 0


def _links(graph: Any) -> float:
    """Bytes of a picture's neighbours: each level holds 1/M of the pictures of the one below."""
    lowest, above = int(graph.nb_neighbors(0)), int(graph.nb_neighbors(1))
    return FLOAT * (lowest + above / (above - 1)) + ROW + FLOAT  # and its offset and level
