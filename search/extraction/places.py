"""A descriptor as the sum of what each place of its picture adds to it.

Mean pooling is a sum over places, so the inner product of two descriptors is one too: Zhou et al., Learning deep
features for discriminative localization (class activation maps), CVPR 2016, eq. 1 and 2; for two pictures Stylianou,
Souvenir and Pless, Visualizing deep similarity networks, WACV 2019, section 3. The other poolings, the signed power and
the norms are homogeneous functions: by Euler's theorem their first order (value times derivative) sums to their value
up to a factor, so the parts below sum to the descriptor exactly, whatever the pooling. Norms count as constants.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.extraction.extractor import Extractor
from search.extraction.pooling import EPSILON, pool, regions, signed_power
from search.extraction.preprocess import Pixels
from search.extraction.spec import ExtractorSpec, Pooling

Floats = NDArray[np.float64]


def places_of(extractor: Extractor, pixels: Pixels) -> list[Floats]:
    """Prepared pixels, uint8 (n, side, side, 3) -> for each picture (h, w, c), whose sum over places is the descriptor
    before the projection (c,), of length one.

    What several views add is laid over the grid of the first. Raises UnsupportedNetwork where there are no maps.
    """
    sums: list[Floats] = [np.zeros(0)] * len(pixels)
    for number, view in enumerate(extractor.views(pixels)):
        mirrored = extractor.spec.flip and number % 2 == 1
        for at, found in enumerate(extractor.maps(view)):
            parts = _of_view(found.astype(np.float64), extractor.spec)
            parts = parts[:, ::-1] if mirrored else parts
            sums[at] = parts if number == 0 else sums[at] + regrid(parts, sums[at].shape[:2])
    return [each / _length(each.sum(axis=(0, 1))) for each in sums]


def _of_view(maps: Floats, spec: ExtractorSpec) -> Floats:
    """(c, h, w) -> (h, w, c), summing to what one view gives: pooled, its power taken, of length one."""
    parts = pooled_parts(maps, spec.pooling, spec.gem_p)
    pooled = np.asarray(parts.sum(axis=(1, 2)), np.float64)
    powered = signed_power(pooled.astype(np.float32), spec.power).astype(np.float64)
    scale = np.divide(powered, pooled, out=np.zeros_like(pooled), where=pooled != 0) / _length(powered)
    return np.asarray((parts * scale[:, None, None]).transpose(1, 2, 0), np.float64)


def _length(x: Floats) -> float:
    return float(np.linalg.norm(x)) or 1.0


def pooled_parts(maps: Floats, pooling: Pooling, gem_p: float = 3.0) -> Floats:
    """(c, h, w) -> the same shape, summing over places to what ``pool`` gives (c,)."""
    if pooling is Pooling.MEAN:
        return np.asarray(maps / (maps.shape[1] * maps.shape[2]), np.float64)
    if pooling is Pooling.GEM:
        return _gem_parts(maps, gem_p)
    if pooling is Pooling.MAX:
        return _largest(maps)
    parts = np.zeros_like(maps)
    for y, x, high, wide in regions(maps.shape[1], maps.shape[2]):
        found = _largest(maps[:, y : y + high, x : x + wide])
        parts[:, y : y + high, x : x + wide] += found / _length(found.sum(axis=(1, 2)))
    return parts


def _gem_parts(maps: Floats, p: float) -> Floats:
    """Each place's share is that of its p-th power: the derivative of GeM, times the value."""
    positive = np.maximum(maps, EPSILON)
    powers = (positive / positive.max(axis=(1, 2), keepdims=True)) ** p
    pooled = pool(maps[None].astype(np.float32), Pooling.GEM, p)[0].astype(np.float64)
    return np.asarray(powers / powers.sum(axis=(1, 2), keepdims=True) * pooled[:, None, None], np.float64)


def _largest(maps: Floats) -> Floats:
    """The maximum where it is, shared by the places that have it."""
    top = maps.max(axis=(1, 2), keepdims=True)
    where = maps == top
    return np.asarray(where * top / where.sum(axis=(1, 2), keepdims=True), np.float64)


def regrid(grid: Floats, shape: tuple[int, int]) -> Floats:
    """(h, w, ...) -> (*shape, ...): each cell's amount shared among the cells it lies over; the sum stays the same."""
    down, across = _overlaps(grid.shape[0], shape[0]), _overlaps(grid.shape[1], shape[1])
    return np.asarray(np.einsum("ai,bj,ij...->ab...", down, across, grid, optimize=True), np.float64)


def _overlaps(cells: int, wanted: int) -> Floats:
    """(wanted, cells): the share of each old cell of a line that lies in each new one."""
    old, new = np.arange(cells) / cells, np.arange(wanted)[:, None] / wanted
    inside = np.minimum(old + 1 / cells, new + 1 / wanted) - np.maximum(old, new)
    return np.asarray(np.maximum(inside, 0.0) * cells, np.float64)
