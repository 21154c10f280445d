"""Database-side augmentation: each stored descriptor moves towards its nearest neighbours.

x' = normalised(x + sum of s^alpha x_i) over its k nearest, s their inner product with x. What stands alone
changes little, what lies in a crowd takes on what the crowd has in common. (Turcot and Lowe, 2009, for the
augmentation; Radenovic et al., 2018, for the weights.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import Index
from search.types import Descriptors, Ids, Scores

ALPHA = 3.0
BLOCK = 512  # rows at once
GATHERED_BYTES = 64 * 1024**2  # neighbours' descriptors in memory at once
EXACT_UP_TO = 20_000  # rows: comparing all with all takes some ten seconds

Vectors = Callable[[slice | NDArray[Any]], Descriptors]  # of some rows


def augmented(
    index: Index, vectors: Vectors, count: int, dim: int, k: int, alpha: float = ALPHA
) -> Iterator[Descriptors]:
    """The rows of ``vectors``, augmented, in blocks (n, dim); ``index`` holds them under their row numbers."""
    at_once = max(1, min(BLOCK, GATHERED_BYTES // (4 * dim * (k + 1))))
    for start in range(0, count, at_once):
        rows = np.arange(start, min(start + at_once, count))
        x = vectors(rows)
        near = _others(rows, *index.search(x, k + 1), k)
        yield mean(x, vectors(np.maximum(near, 0).ravel()).reshape(*near.shape, dim), near >= 0, alpha)


def _others(rows: Ids, scores: Scores, near: Ids, k: int) -> Ids:
    """(len(rows), k) neighbours without the row itself; -1 where there is none."""
    is_self = near == rows[:, None]
    is_self[~is_self.any(axis=1), -1] = True  # an approximate index may miss it: then the last one goes
    others: Ids = near[~is_self].reshape(len(rows), -1)[:, :k]
    return others


def mean(x: Descriptors, neighbours: NDArray[np.float32], real: NDArray[np.bool_], alpha: float) -> Descriptors:
    """(n, dim) from ``x`` (n, dim) and ``neighbours`` (n, k, dim), of which only ``real`` ones (n, k) count."""
    similar = np.clip(np.einsum("nd,nkd->nk", x, neighbours), 0.0, 1.0) ** alpha
    total = x + np.einsum("nk,nkd->nd", np.where(real, similar, 0.0).astype(np.float32), neighbours)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    moved: Descriptors = (total / np.maximum(length, 1e-12)).astype(np.float32)
    return moved
