"""A classical descriptor of colour, gradients and texture: no weights, no training.

The subject counts more than what it stands on: search.extraction.foreground tells where it probably is, and most
blocks are statistics of its window, each place counted by its weight. A smaller share of the score is statistics of
the whole picture, for scenes and for subjects that were not found. The blocks, each brought to length one and weighted:

- colour: soft histograms of CIELAB lightness and of the (a, b) plane, over the subject and its upper and lower half;
- gradients: HOG (Dalal and Triggs, CVPR 2005) in 8 x 8 cells of the subject's window, 4 x 4 of the picture;
- texture: uniform local binary patterns (Ojala et al., TPAMI 2002) over a spatial pyramid (Lazebnik, Schmid and Ponce,
  Beyond bags of features, CVPR 2006) at the picture's own scale.

Histograms have the square root taken (the Hellinger kernel as an inner product: Arandjelović and Zisserman, Three
things everyone should know, CVPR 2012); gradients and texture then lose their mean, which makes a correlation of the
inner product: what all pictures have in common, some of each pattern, is no likeness.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from search.extraction import foreground
from search.extraction.backbones import Backbone
from search.extraction.errors import BadConfiguration
from search.extraction.pooling import l2_normalise
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.runtimes import FLOAT, Place
from search.extraction.spec import ExtractorSpec

NAME = "color_gradient"
VERSION = 2  # raise it whenever the descriptor changes
SIDE = 128
# Shares of the score, square-rooted because a weight enters an inner product twice. Chosen among a dozen mixtures for
# mAP on the sample shop and, leave-one-out, on 1,795 other labelled pictures (clothes, waste, fruit); what
# docs/results.md measures on served for nothing here. Any share near these does about as well.
WEIGHTS = {
    "colour": 1.0,
    "gradients": 1.0,
    "texture": 0.5**0.5,
    "whole_colour": 0.25**0.5,
    "whole_gradients": 0.5**0.5,
    "whole_texture": 0.75**0.5,
}

Array = NDArray[np.float32]
LIGHT_BINS, AB_BINS, WHOLE_AB_BINS, AB_RANGE = 8, 12, 8, 64.0
ORIENTATIONS, CELLS = 9, 8
PATTERNS, FIELDS = 10, 16  # uniform patterns of 8 neighbours; fields to a side that they are counted in


def names() -> list[str]:
    return [NAME]


def _parts(high: int, wide: int) -> list[tuple[slice, slice]]:
    """The whole, the upper and the lower half, the centre and the quarters of a grid."""
    y, x = high // 2, wide // 2
    top, bottom, left, right = slice(0, y), slice(y, high), slice(0, x), slice(x, wide)
    every, middle = slice(0, wide), (slice(high // 4, high - high // 4), slice(wide // 4, wide - wide // 4))
    quarters = [(top, left), (top, right), (bottom, left), (bottom, right)]
    return [(slice(0, high), every), (top, every), (bottom, every), middle, *quarters]


WHOLE, HALVES, PYRAMID = (0,), (0, 1, 2), (0, 3, 4, 5, 6, 7)


def means(values: Array, weight: Array, parts: tuple[int, ...] = PYRAMID) -> Array:
    """Histograms (n, h, w, bins) and weights (n, h, w) -> weighted means over parts, (n, parts, bins)."""
    every = _parts(*values.shape[1:3])
    weighted = values * weight[..., None]
    sums = [
        weighted[:, y, x].sum(axis=(1, 2)) / weight[:, y, x].sum(axis=(1, 2))[:, None]
        for y, x in (every[part] for part in parts)
    ]
    return np.asarray(np.stack(sums, axis=1), np.float32)


def soft_bins(values: Array, low: float, high: float, bins: int) -> Array:
    """Each value shared linearly between the two nearest bin centres: (...,) -> (..., bins)."""
    places = (np.clip(values, low, high) - low) * ((bins - 1) / (high - low))
    return np.maximum(1.0 - np.abs(places[..., None] - np.arange(bins, dtype=np.float32)), 0.0)


def colour_bins(lab: Array, bins: int) -> Array:
    """CIELAB (..., 3) -> soft histograms of lightness and of the (a, b) plane, (..., 8 + bins * bins)."""
    light = soft_bins(lab[..., 0], 0.0, 100.0, LIGHT_BINS)
    a, b = (soft_bins(lab[..., channel], -AB_RANGE, AB_RANGE, bins) for channel in (1, 2))
    plane = (a[..., :, None] * b[..., None, :]).reshape(*a.shape[:-1], bins * bins)
    return np.concatenate([light, plane], axis=-1)


def grey(pixels: Pixels) -> Array:
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def pooled(values: Array, side: int) -> Array:
    """Means of square fields: (n, h, h, ...) -> (n, side, side, ...)."""
    n, high, _, *rest = values.shape
    step = high // side
    fields = values.reshape(n, side, step, side, step, *rest)
    return np.asarray(fields.mean(axis=(2, 4)), np.float32)


def _counts(kinds: NDArray[np.intp], fields: int, bins: int, amount: Array | None = None) -> Array:
    """Kinds (n, side, side) -> how much of each lies in each of fields x fields, (n, fields, fields, bins)."""
    n, side, _ = kinds.shape
    step = side // fields
    field = np.arange(n * fields * fields).reshape(n, fields, fields).repeat(step, axis=1).repeat(step, axis=2)
    places = (field * bins + kinds).ravel()
    found = np.bincount(places, None if amount is None else amount.ravel(), n * fields * fields * bins)
    return found.reshape(n, fields, fields, bins).astype(np.float32)


def cells(greys: Array) -> Array:
    """Grey (n, side, side) -> HOG of 8 x 8 cells, each normalised by L2-Hys alone, (n, 8, 8, 9)."""
    dy, dx = np.zeros_like(greys), np.zeros_like(greys)
    dy[:, 1:-1] = greys[:, 2:] - greys[:, :-2]
    dx[:, :, 1:-1] = greys[:, :, 2:] - greys[:, :, :-2]
    turn = np.arctan2(dy, dx) * np.float32(ORIENTATIONS / np.pi)  # unsigned: half a turn is the same again
    histograms = _counts(np.floor(turn).astype(np.intp) % ORIENTATIONS, CELLS, ORIENTATIONS, np.hypot(dy, dx))
    clipped = np.minimum(l2_normalise(histograms.reshape(-1, ORIENTATIONS)), 0.2)
    return l2_normalise(clipped).reshape(histograms.shape)


def _uniform() -> NDArray[np.intp]:
    """8-bit pattern -> the number of its ones if it changes at most twice around the circle, else 9."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), PATTERNS - 1)


UNIFORM = _uniform()
AROUND = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]


def patterns(greys: NDArray[np.uint8]) -> Array:
    """Grey (n, side, side) -> shares of the uniform patterns of 3 x 3 pixels in 16 x 16 fields, (n, 16, 16, 10)."""
    _, high, wide = greys.shape
    padded = np.pad(greys, ((0, 0), (1, 1), (1, 1)), mode="edge")
    codes = np.zeros_like(greys)
    for bit, (y, x) in enumerate(AROUND):
        codes |= (padded[:, y : y + high, x : x + wide] >= greys).astype(np.uint8) << bit
    return np.asarray(_counts(UNIFORM[codes], FIELDS, PATTERNS) * (FIELDS**2 / (high * wide)), np.float32)


def hellinger(histograms: Array) -> Array:
    return np.asarray(np.sqrt(histograms).reshape(len(histograms), -1), np.float32)


def correlated(histograms: Array) -> Array:
    """The same, each histogram less its mean."""
    roots = np.sqrt(histograms)
    return np.asarray((roots - roots.mean(axis=-1, keepdims=True)).reshape(len(roots), -1), np.float32)


def blocks(pixels: Pixels) -> dict[str, Array]:
    """uint8 (n, 128, 128, 3) -> the blocks by name, in the order of WEIGHTS, each (n, its length)."""
    lab = foreground.lab(pixels)
    weight = foreground.weights(lab)
    subject, mask = foreground.cut(pixels, weight, foreground.windows(weight))
    greys = grey(pixels)
    texture, plain = patterns(greys.astype(np.uint8)), np.ones_like(weight)
    whole_cells = pooled(cells(pooled(greys, SIDE // 2)), CELLS // 2)
    return {
        "colour": hellinger(means(colour_bins(foreground.lab(subject), AB_BINS), mask, HALVES)),
        "gradients": correlated(cells(grey(subject)) * pooled(mask, CELLS)[..., None]),
        "texture": correlated(means(texture, pooled(weight, FIELDS))),
        "whole_colour": hellinger(means(colour_bins(lab, WHOLE_AB_BINS), plain, WHOLE)),
        "whole_gradients": correlated(whole_cells),
        "whole_texture": correlated(means(texture, pooled(plain, FIELDS))),
    }


class ColorGradient:
    precision = FLOAT

    def run(self, pixels: Pixels) -> Array:
        """uint8 (n, 128, 128, 3) -> (n, 1368)."""
        found = [WEIGHTS[name] * l2_normalise(block) for name, block in blocks(pixels).items()]
        return np.concatenate(found, axis=1, dtype=np.float32)


def load(spec: ExtractorSpec, place: Place) -> Backbone:
    if spec.preprocessing:
        raise BadConfiguration(reason=f"{NAME} takes no preprocessing")
    how = Preprocessing(resize=SIDE, crop=SIDE, fit="squash")
    return Backbone(ColorGradient(), how, hashlib.sha256(f"{NAME} {VERSION} {WEIGHTS}".encode()).hexdigest(), True)
