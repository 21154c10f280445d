"""What a FAISS index is made of: its parts, whether it can be used here, how it is trained, what it weighs."""

from __future__ import annotations

from typing import Any

from search.indexes.faiss_module import faiss
from search.types import Descriptors

# k-means: FAISS's 25 rounds over 256 points a cell take fourteen times as long, for 0.989 and not 0.980 (decision 12).
ROUNDS, POINTS_PER_CELL = 6, 32
# Cells: from here on each point finds its cell through a graph, or learning 32,768 cells would take an hour.
GRAPH_FROM, GRAPH_LINKS = 8192, 16
# FAISS's 40 leaves near-copies in bundles that a search from outside does not reach: of 100,000 crops, 55 of each
# photo, HNSW32,SQ8 found 0.962 at efSearch 64, with 200 it found 0.996; a build takes four times as long (16 s).
EF_CONSTRUCTION = 200
OPQ_ROUNDS, OPQ_POINTS = 10, 65_536
TABLE_ENTRY = 4  # bytes of a float32, and of a neighbour in a graph


def parts_of(index: Any) -> list[Any]:
    """An index and what it is wrapped around, outermost first, each as its own class."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return [index, *parts_of(index.index)]
    if isinstance(index, faiss.IndexRefine):
        return [index, *parts_of(index.base_index)]
    return [index]


def transforms_of(index: Any) -> list[Any]:
    """The linear transforms in front of an index."""
    fronts = [part for part in parts_of(index) if isinstance(part, faiss.IndexPreTransform)]
    return [transform for front in fronts for transform in transforms_of_one(front)]


def unusable(index: Any) -> str:
    """Why an index that FAISS made cannot be used here; empty if it can."""
    for part in parts_of(index):
        if part.metric_type != faiss.METRIC_INNER_PRODUCT:
            return "it does not compare by inner product"
        if isinstance(part, faiss.IndexIDMap):
            return "ids are kept already, IDMap has no place in it"
        if isinstance(part, faiss.IndexIVF) and part.nlist < 1:
            return "it has no cells"
    return ""


def set_training(index: Any) -> None:
    """Bound how long an index learns: FAISS's own settings take hours where minutes give the same.

    Product quantisers also skip the training for Hamming comparison, which is not used here.
    """
    for part in parts_of(index):
        if isinstance(part, faiss.IndexPQ | faiss.IndexIVFPQ):
            part.do_polysemous_training = False
        if isinstance(part, faiss.IndexIVF):
            _set_cells(part)
        if isinstance(part, faiss.IndexHNSW):
            part.hnsw.efConstruction = EF_CONSTRUCTION
        if hasattr(part, "pq"):
            part.pq.cp.min_points_per_centroid = 1
    for transform in transforms_of(index):
        if isinstance(transform, faiss.OPQMatrix):
            transform.niter, transform.max_train_points = OPQ_ROUNDS, OPQ_POINTS


def _set_cells(index: Any) -> None:
    index.cp.niter, index.cp.max_points_per_centroid = ROUNDS, POINTS_PER_CELL
    index.cp.min_points_per_centroid = 1  # a warning is of no use: too few are refused anyway


def train(index: Any, x: Descriptors) -> None:
    """Teach an index and what it is wrapped in, as FAISS does, but let PCA leave the mean where it is.

    FAISS subtracts the mean from query and picture alike. What is left of their inner product orders pictures
    otherwise than before, the more so the farther the mean is from 0 (decision 12 has the figures).
    """
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        for transform in transforms_of_one(index):
            transform.train(x)
            if isinstance(transform, faiss.PCAMatrix):
                transform.have_bias = False
                transform.PCAMat.resize(0)  # all axes; those that are kept lie in A
            x = transform.apply(x)
        train(index.index, x)
        index.is_trained = True
    elif isinstance(index, faiss.IndexRefine):
        train(index.base_index, x)
        index.refine_index.train(x)
        index.is_trained = True
    elif isinstance(index, faiss.IndexIVF) and index.nlist >= GRAPH_FROM:
        graph = faiss.IndexHNSWFlat(index.d, GRAPH_LINKS)  # L2: centroids are unit vectors, so the order is the same
        index.clustering_index = graph  # FAISS does not keep it alive
        index.train(x)
        index.clustering_index = None
    else:
        index.train(x)


def code_bytes(index: Any) -> int:
    """Bytes of an index in memory: codes, row numbers in cells, centroids, graph, transforms, tables."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return code_bytes(index.index) + sum(map(_matrix, transforms_of_one(index)))
    if isinstance(index, faiss.IndexRefine):
        return code_bytes(index.base_index) + code_bytes(index.refine_index)
    if isinstance(index, faiss.IndexIVF):
        return code_bytes(index.quantizer) + _cells(index) + _tables(index)
    if isinstance(index, faiss.IndexHNSW):
        return code_bytes(index.storage) + _graph(index.hnsw)
    if isinstance(index, faiss.IndexNSG):
        return code_bytes(index.storage) + TABLE_ENTRY * int(index.ntotal) * int(index.nsg.R)
    return _flat(index) + _tables(index)


def transforms_of_one(index: Any) -> list[Any]:
    return [faiss.downcast_VectorTransform(index.chain.at(place)) for place in range(index.chain.size())]


def _matrix(transform: Any) -> int:
    return TABLE_ENTRY * int(transform.A.size()) if isinstance(transform, faiss.LinearTransform) else 0


def _cells(index: Any) -> int:
    """Codes and 8-byte row numbers of all cells. Fast-scan codes lie in blocks of ``bbs``, the last one padded."""
    lists = index.invlists
    if not isinstance(faiss.downcast_InvertedLists(lists), faiss.BlockInvertedLists):
        return int(index.ntotal) * (int(index.code_size) + 8)
    blocks = faiss.downcast_InvertedLists(lists)
    sizes = (lists.list_size(number) for number in range(index.nlist))
    return sum(-(-size // int(blocks.n_per_block)) * int(blocks.block_size) + 8 * size for size in sizes)


def _graph(hnsw: Any) -> int:
    return TABLE_ENTRY * int(hnsw.neighbors.size() + hnsw.levels.size()) + 8 * int(hnsw.offsets.size())


def _flat(index: Any) -> int:
    if isinstance(index, faiss.IndexFastScan):
        return int(index.codes.size())
    return int(index.ntotal) * int(index.sa_code_size())


def _tables(index: Any) -> int:
    quantiser = getattr(index, "pq", None)
    return 0 if quantiser is None else TABLE_ENTRY * int(quantiser.centroids.size())
