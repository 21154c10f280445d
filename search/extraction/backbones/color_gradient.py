"""A classical descriptor of colour, gradients and texture: no weights, no training.

Three blocks, each with the square root taken of its histograms (the Hellinger kernel as an inner product:
Arandjelović and Zisserman, Three things everyone should know, CVPR 2012), brought to length one and weighted:

- colour: soft histograms of CIELAB lightness and of the (a, b) plane, over the whole picture, its centre and its
  four quarters (a spatial pyramid: Lazebnik, Schmid and Ponce, Beyond bags of features, CVPR 2006);
- gradients: HOG (Dalal and Triggs, CVPR 2005) in 8 x 8 cells, and its sums over the pyramid;
- texture: uniform local binary patterns (Ojala et al., TPAMI 2002) over the pyramid.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.feature import hog, local_binary_pattern

from search.extraction.backbones import Backbone
from search.extraction.errors import BadConfiguration
from search.extraction.pooling import l2_normalise
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.runtimes import FLOAT, Place
from search.extraction.spec import ExtractorSpec

NAME = "color_gradient"
VERSION = 1  # raise it whenever the descriptor changes
SIDE = 128
# Shares of the score, square-rooted because a weight enters an inner product twice. Chosen on a coarse grid for
# leave-one-out mAP on 1,795 labelled pictures (clothes, waste, fruit) that serve for nothing else here; any share
# near these does about as well. Texture outweighs the rest because its histograms differ least between pictures.
WEIGHTS = {"colour": 0.5**0.5, "gradients": 1.0, "texture": 2.0**0.5}

Array = NDArray[np.float32]
LIGHT_BINS, AB_BINS, AB_RANGE = 8, 8, 64.0
ORIENTATIONS, CELLS = 9, 8
PATTERNS = 10  # uniform patterns of 8 neighbours


def names() -> list[str]:
    return [NAME]


def pyramid(values: Array) -> Array:
    """Per-place histograms (n, h, w, bins) -> means over the whole, the centre and the quarters, (n, 6, bins)."""
    _, high, wide, _ = values.shape
    y, x = high // 2, wide // 2
    parts = [
        values,
        values[:, high // 4 : high - high // 4, wide // 4 : wide - wide // 4],
        values[:, :y, :x],
        values[:, :y, x:],
        values[:, y:, :x],
        values[:, y:, x:],
    ]
    return np.stack([part.mean(axis=(1, 2), dtype=np.float32) for part in parts], axis=1)


def soft_bins(values: Array, low: float, high: float, bins: int) -> Array:
    """Each value shared linearly between the two nearest bin centres: (...,) -> (..., bins)."""
    places = (np.clip(values, low, high) - low) * ((bins - 1) / (high - low))
    return np.maximum(1.0 - np.abs(places[..., None] - np.arange(bins, dtype=np.float32)), 0.0)


def colour(pixels: Pixels) -> Array:
    """uint8 (n, 128, 128, 3) -> (n, 432)."""
    # Means of 4 x 4 pixels: colour does not live in the detail, and the conversion is a sixteenth of the work.
    n, high, wide, _ = pixels.shape
    small = pixels.reshape(n, high // 4, 4, wide // 4, 4, 3).mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    lab = rgb2lab(small).astype(np.float32)
    light = soft_bins(lab[..., 0], 0.0, 100.0, LIGHT_BINS)
    a, b = (soft_bins(lab[..., channel], -AB_RANGE, AB_RANGE, AB_BINS) for channel in (1, 2))
    plane = (a[..., :, None] * b[..., None, :]).reshape(*a.shape[:-1], AB_BINS * AB_BINS)
    return np.sqrt(pyramid(np.concatenate([light, plane], axis=-1))).reshape(n, -1)


def grey(pixels: Pixels) -> Array:
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def gradients(pixels: Pixels) -> Array:
    """uint8 (n, 128, 128, 3) -> (n, 630)."""
    cell = pixels.shape[1] // CELLS
    maps = [
        hog(one, ORIENTATIONS, (cell, cell), (1, 1), block_norm="L2-Hys", feature_vector=False)[:, :, 0, 0]
        for one in grey(pixels)
    ]
    cells = np.stack(maps).astype(np.float32)
    fine = np.sqrt(cells).reshape(len(pixels), -1)
    coarse = np.sqrt(pyramid(cells)).reshape(len(pixels), -1)
    return np.concatenate([l2_normalise(fine), l2_normalise(coarse)], axis=1)


def texture(pixels: Pixels) -> Array:
    """uint8 (n, 128, 128, 3) -> (n, 60)."""
    codes = [local_binary_pattern(one, 8, 1, "uniform") for one in grey(pixels).astype(np.uint8)]
    return np.sqrt(pyramid(_counts(np.stack(codes).astype(np.intp)))).reshape(len(pixels), -1)


def _counts(codes: NDArray[np.intp]) -> Array:
    """Patterns (n, h, w) -> their shares in 4 x 4 fields, (n, 4, 4, 10)."""
    n, high, wide = codes.shape
    field = np.arange(n * 16).reshape(n, 4, 4).repeat(high // 4, axis=1).repeat(wide // 4, axis=2)
    counts = np.bincount((field * PATTERNS + codes).ravel(), minlength=n * 16 * PATTERNS)
    shares = counts.reshape(n, 4, 4, PATTERNS) * (16 / (high * wide))
    return np.asarray(shares, np.float32)


BLOCKS = {"colour": colour, "gradients": gradients, "texture": texture}


class ColorGradient:
    precision = FLOAT

    def run(self, pixels: Pixels) -> Array:
        """uint8 (n, 128, 128, 3) -> (n, 1122)."""
        blocks = [WEIGHTS[name] * l2_normalise(block(pixels)) for name, block in BLOCKS.items()]
        return np.concatenate(blocks, axis=1, dtype=np.float32)


def load(spec: ExtractorSpec, place: Place) -> Backbone:
    if spec.preprocessing:
        raise BadConfiguration(reason=f"{NAME} takes no preprocessing")
    how = Preprocessing(resize=SIDE, crop=SIDE, fit="squash")
    return Backbone(ColorGradient(), how, hashlib.sha256(f"{NAME} {VERSION} {WEIGHTS}".encode()).hexdigest())
