"""How much of exact search an index finds: ann_recall@K."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import Index
from search.indexes.exact import ExactIndex
from search.types import Descriptors, Ids

K = 10
QUERIES_AT_ONCE, ROWS_AT_ONCE = 50, 16_384

Vectors = Callable[[slice | NDArray[Any]], Descriptors]  # of some rows


def ann_recall(
    index: Index, ids: Ids, vectors: Vectors, queries: Ids, report: Callable[[int], None], k: int = K
) -> float:
    """Share of the exact first ``k`` that the index finds for the rows ``queries``, each left out of its own hits.

    ``ids`` (n,) and ``vectors`` are all that the index holds, row by row. What is compared are the index's
    own scores, before the fine tier. 1.0 where there is but one row.
    """
    k = min(k, len(ids) - 1)
    if k < 1:
        return 1.0
    found = 0
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        block = queries[start : start + QUERIES_AT_ONCE]
        x = vectors(block)
        for own, truth, answer in zip(
            ids[block], exact_ids(ids, vectors, x, k + 1), index.search(x, k + 1)[1], strict=True
        ):
            found += len(set(truth[truth != own][:k]) & set(answer[answer != own][:k]))
        report(start + len(block))
    return found / (k * len(queries))


def exact_ids(ids: Ids, vectors: Vectors, x: Descriptors, k: int) -> Ids:
    """(len(x), k) exact nearest ids, block by block: the whole never lies in memory."""
    best_scores, best_ids = np.empty((len(x), 0), np.float32), np.empty((len(x), 0), np.int64)
    for start in range(0, len(ids), ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        part = ExactIndex(x.shape[1])
        part.add(ids[block], vectors(block))
        scores, near = part.search(x, k)
        scores, near = np.hstack([best_scores, scores]), np.hstack([best_ids, near])
        order = np.lexsort((near, -scores), axis=-1)[:, :k]
        best_scores, best_ids = np.take_along_axis(scores, order, 1), np.take_along_axis(near, order, 1)
    return best_ids
