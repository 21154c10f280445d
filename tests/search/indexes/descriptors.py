"""Descriptors that are as hard as real ones: overlapping clusters, a decaying spectrum."""

from __future__ import annotations

import numpy as np

from search.types import Descriptors


def clustered(count: int, dim: int = 64, clusters: int = 60, seed: int = 0) -> Descriptors:
    """(count, dim) unit rows. The clusters are the same for every seed; isolated ones would flatter an index."""
    scale = (np.arange(dim) + 1.0) ** -0.7
    centres = np.random.default_rng(1000 + clusters).standard_normal((clusters, dim))
    rng = np.random.default_rng(seed)
    x = (0.7 * centres[rng.integers(0, clusters, count)] + rng.standard_normal((count, dim))) * scale
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
