"""Where in a picture its subject probably is, from colours alone: no weights, no training.

A thing that is photographed to be shown seldom touches the frame, so what the frame looks like is background
(the boundary prior: Wei, Wen, Zhu and Sun, Geodesic saliency using background priors, ECCV 2012), and it mostly
stands near the middle. Both are told by densities of colour, compared as Swain and Ballard compare histograms
(Color indexing, IJCV 1991). Where the two densities agree, as in a scene, every place weighs the same.

The descriptor color_gradient is built on this: who changes what comes out here raises its VERSION.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from search.extraction.preprocess import Pixels

Array = NDArray[np.float32]

GRID = 32  # places to a side that have a colour and a weight
# Widths of the Gaussians, in CIELAB units and in sides of the picture. Lightness is given more room than the hue,
# for shadows on the background. FLOOR is what a place weighs that is surely background.
LIGHT_WIDTH, HUE_WIDTH = 8.0, 5.0
MIDDLE, PRIOR, SMOOTH, FLOOR = 0.25, 0.35, 1.0 / GRID, 0.02
MARGIN, SMALLEST = 1.1, 0.375  # of the window: its share beyond the subject, and its least side

_LINEAR = np.arange(256) / 255
_LINEAR = np.where(_LINEAR > 0.04045, ((_LINEAR + 0.055) / 1.055) ** 2.4, _LINEAR / 12.92).astype(np.float32)
_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_XYZ = (_XYZ / np.array([[0.95047], [1.0], [1.08883]])).astype(np.float32)  # under the white of D65
_LAB = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]], np.float32)

_CENTRES = ((np.arange(GRID) + 0.5) / GRID).astype(np.float32)
_SAMPLES = np.arange(GRID * GRID).reshape(GRID, GRID)[::2, ::2]  # a quarter of the places, for the densities


def _gaussian(width: float) -> Array:
    """A bump about the middle of the grid, (GRID, GRID); ``width`` in sides."""
    line = np.exp(-((_CENTRES - 0.5) ** 2) / (2 * width**2))
    return np.asarray(np.outer(line, line), np.float32)


def _blur(width: float) -> Array:
    """The matrix that smooths a line of the grid, rows sum to one."""
    rows = np.exp(-((_CENTRES[:, None] - _CENTRES) ** 2) / (2 * width**2))
    return np.asarray(rows / rows.sum(1, keepdims=True), np.float32)


def _ring_and_middle() -> Array:
    """The two sets that densities are taken over, as shares of the sampled places, (samples, 2)."""
    middle = _gaussian(MIDDLE)
    ring = np.ones_like(middle)
    ring[2:-2, 2:-2] = 0
    both = np.stack([ring.ravel(), middle.ravel()], axis=1)[_SAMPLES.ravel()]
    return np.asarray(both / both.sum(axis=0), np.float32)


_SETS, _PRIOR, _SMOOTH = _ring_and_middle(), _gaussian(PRIOR), _blur(SMOOTH)


def lab(pixels: Pixels) -> Array:
    """uint8 (n, side, side, 3), side a multiple of 32 -> CIELAB of its 32 x 32 fields, (n, 32, 32, 3).

    Each field has the mean of its linear light, as an eye would see it from afar (IEC 61966-2-1, CIE 15).
    """
    n, side, _, _ = pixels.shape
    step = side // GRID
    rows = _LINEAR[pixels].reshape(n, GRID, step, side * 3).sum(axis=2)
    light = rows.reshape(n, GRID, GRID, step, 3).sum(axis=3) / np.float32(step * step)
    xyz = light @ _XYZ.T
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    found = np.asarray(f @ _LAB.T, np.float32)
    found[..., 0] -= 16
    return found


def weights(colours: Array) -> Array:
    """CIELAB (n, 32, 32, 3) -> how much each place counts, above zero to about one, (n, 32, 32).

    With the kernel densities of a place's colour in the frame, B, and about the middle, C, the weight is
    max(0, (C - B) / (C + B)): twice the posterior of "middle" by Bayes less one, so that it is zero where the frame
    explains the colour as well. Smoothed, times a Gaussian about the middle, plus a floor.
    """
    z = (colours / np.array([LIGHT_WIDTH, HUE_WIDTH, HUE_WIDTH], np.float32)).reshape(len(colours), -1, 3)
    half = -0.5 * (z * z).sum(axis=2, keepdims=True)
    ones = np.ones_like(half)
    left, right = np.concatenate([z, half, ones], axis=2), np.concatenate([z, ones, half], axis=2)
    # A picture at a time stays in the cache; the exponent is -|z - z'|^2 / 2.
    found = np.stack([np.exp(a @ b[_SAMPLES.ravel()].T) @ _SETS for a, b in zip(left, right, strict=True)])
    ring, middle = found[..., 0], found[..., 1]
    contrast = np.maximum((middle - ring) / (middle + ring + 1e-6), 0).reshape(-1, GRID, GRID)
    return np.asarray((_SMOOTH @ contrast @ _SMOOTH.T) * _PRIOR + FLOOR, np.float32)


def windows(weight: Array) -> Array:
    """Weights (n, 32, 32) -> where the subject is: left, top, right, bottom in sides of the picture, (n, 4).

    Mean ± √3 standard deviations an axis, which for a uniform rectangle is just that rectangle (normalisation by
    moments: Hu, IRE Trans. Information Theory 1962), so a picture without a subject keeps its whole.
    """
    middle, reach = [], []
    for axis in (1, 2):  # first the columns' profile: x
        profile = weight.sum(axis=axis)
        profile = profile / profile.sum(axis=1, keepdims=True)
        mean = profile @ _CENTRES
        spread = (profile * (_CENTRES - mean[:, None]) ** 2).sum(axis=1) ** 0.5
        middle.append(mean)
        reach.append(np.maximum(MARGIN * 3**0.5 * spread, SMALLEST / 2))
    x, half_x, y, half_y = middle[0], reach[0], middle[1], reach[1]
    boxes = np.stack([x - half_x, y - half_y, x + half_x, y + half_y], axis=1)
    return np.asarray(np.clip(boxes, 0, 1), np.float32)


def cut(pixels: Pixels, weight: Array, window: Array) -> tuple[Pixels, Array]:
    """Pictures and their weights, each window stretched over the square again; the shapes stay."""
    side = pixels.shape[1]
    pictures = [_cut(PIL.Image.fromarray(one), box * side) for one, box in zip(pixels, window, strict=True)]
    masks = [_cut(PIL.Image.fromarray(one), box * GRID) for one, box in zip(weight, window, strict=True)]
    return np.stack(pictures).astype(np.uint8), np.stack(masks).astype(np.float32)


def _cut(picture: PIL.Image.Image, box: Array) -> NDArray[np.generic]:
    left, top, right, bottom = (float(value) for value in box)
    return np.asarray(picture.resize(picture.size, PIL.Image.Resampling.BILINEAR, box=(left, top, right, bottom)))
