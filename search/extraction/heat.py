"""What each place of a picture adds to a score, in the coordinates of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

Rect = tuple[float, float, float, float]  # left, top, right, bottom in upright original pixels
Floats = NDArray[np.float32]

MOST_OF_IT = 0.5  # share that is called most of it


@dataclass(frozen=True)
class Heat:
    """``values`` float32 (h, w), a grid over ``box``, the part of a picture of ``size`` that the network saw.

    Every place adds something to nearly every score, a wall as well as a lamp. What tells why is where a picture adds
    more than an even share, the mean of all places: ``excess``.
    """

    values: Floats
    box: Rect
    size: tuple[int, int]  # width, height

    @property
    def excess(self) -> Floats:
        """(h, w), never below zero."""
        even = np.float32(self.values.mean(dtype=np.float64))
        return np.asarray(np.maximum(self.values - even, 0), np.float32)

    @property
    def warmth(self) -> Floats:
        """(h, w) from 0, an even share or less, to 1, the most; lower where no place has twice an even share."""
        even = float(np.maximum(self.values, 0).mean(dtype=np.float64))
        most = max(float(self.excess.max()), even)
        return np.asarray(self.excess / most if most else self.excess, np.float32)

    def picture(self, side: int) -> Floats:
        """``warmth`` (high, wide) in the picture's own shape, its long side ``side`` pixels, between the places'
        centres interpolated; NaN where the network saw nothing."""
        left, top, right, bottom = self.pixels(side)
        whole = np.full(self.shape(side), np.nan, np.float32)
        grid = PIL.Image.fromarray(self.warmth)
        smooth = np.asarray(grid.resize((right - left, bottom - top), PIL.Image.Resampling.BICUBIC))
        whole[top:bottom, left:right] = smooth.clip(0, 1)
        return whole

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def height(self) -> int:
        return self.size[1]

    @property
    def seen(self) -> float:
        """Share of the picture that the network saw."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top) / (self.size[0] * self.size[1])

    def shape(self, side: int) -> tuple[int, int]:
        """Height and width of the picture at that long side."""
        scale = side / max(self.size)
        return max(1, round(self.size[1] * scale)), max(1, round(self.size[0] * scale))

    def pixels(self, side: int) -> tuple[int, int, int, int]:
        """``box`` in whole pixels of the picture at that long side, at least one each way."""
        high, wide = self.shape(side)
        across, down = wide / self.size[0], high / self.size[1]
        left, top = min(round(self.box[0] * across), wide - 1), min(round(self.box[1] * down), high - 1)
        right, bottom = round(self.box[2] * across), round(self.box[3] * down)
        return left, top, min(max(right, left + 1), wide), min(max(bottom, top + 1), high)

    @property
    def where(self) -> str:
        """The smallest named part of the picture that holds most of the excess; "" where none does."""
        x, y = self._centres()
        good = self.excess
        if not (total := float(good.sum())):
            return ""
        for parts, least in PARTS:
            shares = {
                name: float(good[((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None]].sum())
                for name, (left, top, right, bottom) in parts.items()
            }
            best = max(shares, key=lambda name: shares[name])
            if shares[best] >= least * total:
                return best
        return ""

    def _centres(self) -> tuple[Floats, Floats]:
        """Of the places, along and down, as shares of the picture's width and height."""
        high, wide = self.values.shape
        left, top, right, bottom = self.box
        x = (left + (np.arange(wide) + 0.5) / wide * (right - left)) / self.size[0]
        y = (top + (np.arange(high) + 0.5) / high * (bottom - top)) / self.size[1]
        return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _squares(edges: tuple[float, ...], rows: tuple[str, ...], columns: tuple[str, ...]) -> dict[str, Rect]:
    """The cells of a grid by name."""
    return {
        f"{row}_{column}": (edges[x], edges[y], edges[x + 1], edges[y + 1])
        for y, row in enumerate(rows)
        for x, column in enumerate(columns)
    }


# Parts of a picture as people name them, the small ones first; and the share of the excess that makes one worth naming.
PARTS: tuple[tuple[dict[str, Rect], float], ...] = (
    (_squares((0, 1 / 3, 2 / 3, 1), ("upper", "middle", "lower"), ("left", "centre", "right")), MOST_OF_IT),
    (
        _squares((0, 0.5, 1), ("upper", "lower"), ("left", "right")) | {"middle_centre": (0.25, 0.25, 0.75, 0.75)},
        MOST_OF_IT,
    ),
    (
        {
            "upper_half": (0, 0, 1, 0.5),
            "lower_half": (0, 0.5, 1, 1),
            "left_half": (0, 0, 0.5, 1),
            "right_half": (0.5, 0, 1, 1),
        },
        0.65,
    ),
)


def inner(picture: Floats, share: float = MOST_OF_IT) -> NDArray[np.bool_]:
    """The smallest part of a picture of heat (high, wide) that holds ``share`` of it."""
    heat = np.nan_to_num(picture)
    warm = np.sort(heat[heat > 0])[::-1]
    if not len(warm):
        return np.zeros(picture.shape, bool)
    count = int(np.searchsorted(np.cumsum(warm, dtype=np.float64), share * warm.sum(dtype=np.float64)))
    return np.asarray(heat >= warm[min(count, len(warm) - 1)], bool)
