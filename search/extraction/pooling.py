"""Feature map -> one vector a picture. Pure NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from search.extraction.spec import Pooling
from search.types import Descriptors

Array = NDArray[np.float32]
EPSILON = 1e-6
OVERLAP, MOST_EXTRA = 0.4, 6  # of R-MAC: wanted of neighbouring regions; regions that a long map may have more


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
    positive = np.maximum(maps, np.float32(EPSILON))
    top = positive.max(axis=(2, 3), keepdims=True)  # factored out, or x^p leaves the range of floats for a large p
    powers = np.power(positive / top, np.float32(p)).mean(axis=(2, 3), dtype=np.float64)
    return np.asarray(top[:, :, 0, 0] * np.power(powers, 1.0 / p), np.float32)


def rmac(maps: Array) -> Array:
    """Sum over regions of their maxima, each of length one, (n, c, h, w) -> (n, c): R-MAC.

    Tolias, Sicre and Jégou, Particular object retrieval with integral max-pooling, ICLR 2016, section 4 (R-MAC),
    without the whitening of each region: whitening is a projection of the whole here.
    """
    places = np.ascontiguousarray(maps.transpose(2, 3, 0, 1))  # a maximum over the first axes is five times as fast
    found = (
        l2_normalise(places[y : y + high, x : x + wide].max(axis=(0, 1)))
        for y, x, high, wide in regions(maps.shape[2], maps.shape[3])
    )
    return np.asarray(sum(found), np.float32)


@cache
def regions(high: int, wide: int, levels: int = 3) -> tuple[tuple[int, int, int, int], ...]:
    """The squares of R-MAC, each (y, x, height, width), as the authors' published code lays them.

    First the whole map, which the paper's text leaves out. Then for each level l squares of floor(2 short / (l + 1)),
    l of them along the short side and l + extra along the long one, evenly spread; ``extra`` is what brings the
    overlap of neighbours at level 1 nearest to 40 %.
    """
    short, extra = min(high, wide), _extra(high, wide)
    found = [(0, 0, high, wide)]
    for level in range(1, levels + 1):
        if not (side := 2 * short // (level + 1)):
            continue
        rows = _starts(high, side, level + (extra if high > wide else 0))
        columns = _starts(wide, side, level + (extra if wide > high else 0))
        found += [(y, x, side, side) for y in rows for x in columns]
    return tuple(found)


def _extra(high: int, wide: int) -> int:
    """Regions along the long side beyond those along the short one."""
    short, long = sorted((high, wide))
    if short == long:
        return 0
    return min(range(1, MOST_EXTRA + 1), key=lambda extra: abs(1 - (long - short) / extra / short - OVERLAP))


def _starts(length: int, side: int, count: int) -> list[int]:
    return [0] if count == 1 else [step * (length - side) // (count - 1) for step in range(count)]


def pool(maps: Array, pooling: Pooling, gem_p: float = 3.0) -> Array:
    """(n, c, h, w) -> (n, c). What is (n, c) already passes through."""
    if maps.ndim == 2:
        return maps
    if pooling is Pooling.GEM:
        return gem(maps, gem_p)
    return {Pooling.MAX: maximum, Pooling.RMAC: rmac, Pooling.MEAN: mean}[pooling](maps)


def signed_power(x: Array, power: float) -> Array:
    """sign(x) |x|^power of each number; 1 changes nothing.

    Perronnin, Sánchez and Mensink, Improving the Fisher kernel for large-scale image classification, ECCV 2010,
    section 2.2. 0.5 keeps the loudest channels from deciding alone.
    """
    return x if power == 1 else np.asarray(np.copysign(np.abs(x) ** np.float32(power), x), np.float32)


def l2_normalise(x: Array) -> Descriptors:
    """Rows to unit length, however small they are; a row of zeros stays as it is."""
    exact = x.astype(np.float64)  # squares of small float32 numbers would be zero
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(exact / np.where(norms == 0, 1.0, norms), np.float32)
