"""Feature map -> one vector a picture. Pure NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.extraction.spec import Pooling
from search.types import Descriptors

Array = NDArray[np.float32]
EPSILON = 1e-6


def mean(maps: Array) -> Array:
    """Average over places, (n, c, h, w) -> (n, c): SPoC without its centre prior.

    Babenko and Lempitsky, Aggregating deep convolutional features for image retrieval, ICCV 2015, eq. 3.
    """
    return np.asarray(maps.mean(axis=(2, 3)), np.float32)


def maximum(maps: Array) -> Array:
    """Largest response over places, (n, c, h, w) -> (n, c): MAC.

    Tolias, Sicre and Jégou, Particular object retrieval with integral max-pooling, ICLR 2016, eq. 2.
    """
    return np.asarray(maps.max(axis=(2, 3)), np.float32)


def gem(maps: Array, p: float) -> Array:
    """Generalised mean over places, (n, c, h, w) -> (n, c): (mean(max(x, eps)^p))^(1/p).

    Radenović, Tolias and Chum, Fine-tuning CNN image retrieval with no human annotation, TPAMI 2019, eq. 3;
    eps = 1e-6 as in its code. p = 1 is the mean, p -> infinity the maximum (of responses not below zero).
    """
    positive = np.maximum(maps, EPSILON).astype(np.float64)
    top = positive.max(axis=(2, 3), keepdims=True)  # factored out, or x^p leaves the range of floats for a large p
    powers = np.power(positive / top, p).mean(axis=(2, 3))
    return np.asarray(top[:, :, 0, 0] * np.power(powers, 1.0 / p), np.float32)


def pool(maps: Array, pooling: Pooling, gem_p: float = 3.0) -> Array:
    """(n, c, h, w) -> (n, c). What is (n, c) already passes through."""
    if maps.ndim == 2:
        return maps
    if pooling is Pooling.GEM:
        return gem(maps, gem_p)
    return maximum(maps) if pooling is Pooling.MAX else mean(maps)


def l2_normalise(x: Array) -> Descriptors:
    """Rows to unit length, however small they are; a row of zeros stays as it is."""
    exact = x.astype(np.float64)  # squares of small float32 numbers would be zero
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(exact / np.where(norms == 0, 1.0, norms), np.float32)
