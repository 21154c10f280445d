"""Whether two small pictures show the same pixels, one perhaps cut, framed or scaled. No Django.

A hash and a descriptor say that two pictures resemble each other. This says that they are one: the middle of the one
is looked for in the other at several scales (normalised cross-correlation, J. P. Lewis 1995, by FFT), both are laid on
each other, and what they share is compared block by block, in structure and in colour: two photos of the same kind of
thing fall apart, and so do two colours of one article.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.duplicates.phash import Grey, content_box

SIDE = 96  # pixels of the longer side that are compared
COARSE = 48  # pixels at which the scale is looked for
MIDDLE = 0.6  # share of the sides that is looked for in the other picture
SCALES: NDArray[np.float64] = np.power(1.03, np.arange(-12, 13), dtype=np.float64)  # 0.70 to 1.43
FINER: NDArray[np.float64] = np.power(1.01, np.arange(-3, 4), dtype=np.float64)
LEAST_FIT = 0.3  # correlation of the middle: below, there is nothing to lay on each other
ENOUGH = 0.9  # of the blocks: no other scale is tried
BLOCK = 8  # pixels
PLAIN = 4.0  # grey levels of standard deviation: a block that varies less says nothing
SAME = 0.8  # correlation of two blocks from which on they show the same
LIGHT, TINT = 25.0, 8.0  # levels by which the mean of a block may differ: in Y, and in Cb and Cr
GAIN = 1.5  # by which one picture may be of more contrast, or more colourful
LEAST_OVERLAP = 0.6  # of the area of either: what is left where 15 % of both sides were cut off, and a little


@dataclass(frozen=True)
class Small:
    """A picture without a plain border, its longer side SIDE pixels, as YCbCr."""

    colour: Image.Image
    grey: Image.Image

    @classmethod
    def of(cls, pixels: Image.Image) -> Small:
        box = content_box(pixels.convert("L"))
        width, height = box[2] - box[0], box[3] - box[1]
        scale = SIDE / max(width, height)
        size = max(8, round(width * scale)), max(8, round(height * scale))
        colour = pixels.convert("YCbCr").resize(size, Image.Resampling.LANCZOS, box=box)
        return cls(colour, colour.getchannel(0))


def agreement(first: Small, second: Small) -> float:
    """0 to 1: the share of what both show that is the same, laid on each other as well as it goes."""
    return max(_agreement(first, second), _agreement(second, first))


def _agreement(whole: Small, part: Small) -> float:
    """At their own scale, as most are; else where the middle is found. A shape may fit a smaller part of itself."""
    upright = _laid(whole, part, 1.0)
    if upright >= ENOUGH:
        return upright
    score, scale, _ = _best(whole.grey, part.grey, SCALES, COARSE)
    return max(upright, _laid(whole, part, scale)) if score >= LEAST_FIT else upright


def _laid(whole: Small, part: Small, scale: float) -> float:
    """The share of what is the same, at about this scale."""
    score, scale, (x, y) = _best(whole.grey, part.grey, scale * FINER, SIDE)
    return _blocks_alike(whole.colour, part.colour, scale, x, y) if score >= LEAST_FIT else 0.0


def _best(
    whole: Image.Image, part: Image.Image, scales: NDArray[np.float64], side: int
) -> tuple[float, float, tuple[float, float]]:
    """Correlation, scale of ``part`` in ``whole``, and where its upper left corner lies in ``whole``, in pixels."""
    shrink = side / SIDE
    size = max(8, round(whole.width * shrink)), max(8, round(whole.height * shrink))
    field = _Field(np.asarray(whole.resize(size, Image.Resampling.BOX) if shrink < 1 else whole, np.float32))
    margin = (1 - MIDDLE) / 2
    box = (part.width * margin, part.height * margin, part.width * (1 - margin), part.height * (1 - margin))
    best = (-1.0, 1.0, (0.0, 0.0))
    for scale in scales:
        width = round(part.width * MIDDLE * scale * shrink)
        height = round(part.height * MIDDLE * scale * shrink)
        if min(width, height) < 4 or width > size[0] or height > size[1]:
            continue
        template = np.asarray(part.resize((width, height), Image.Resampling.BILINEAR, box=box), np.float32)
        score, x, y = field.find(template)
        if score > best[0]:
            place = x / shrink - box[0] * scale, y / shrink - box[1] * scale
            best = (score, float(scale), place)
    return best


class _Field:
    """A picture to look for others in."""

    def __init__(self, x: Grey) -> None:
        self.x = x
        self.shape = tuple(1 << (n - 1).bit_length() for n in x.shape)
        self.mean = float(x.mean())
        self.spectrum = np.fft.rfft2(x - self.mean, self.shape)
        self.sums = _integral(x - self.mean)
        self.squares = _integral((x - self.mean) ** 2)

    def find(self, template: Grey) -> tuple[float, int, int]:
        """Highest normalised cross-correlation, and its column and row."""
        h, w = template.shape
        t = template - template.mean()
        norm = float(np.sqrt((t * t).sum()))
        if norm < PLAIN * np.sqrt(t.size) / 2:
            return -1.0, 0, 0
        product = np.fft.irfft2(self.spectrum * np.conj(np.fft.rfft2(t, self.shape)), self.shape)
        product = product[: self.x.shape[0] - h + 1, : self.x.shape[1] - w + 1]
        sums, squares = _windows(self.sums, h, w), _windows(self.squares, h, w)
        spread = np.sqrt(np.maximum(squares - sums * sums / t.size, (PLAIN / 2) ** 2 * t.size))
        scores = product / (norm * spread)
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        return float(scores[row, column]), int(column), int(row)


def _integral(x: Grey) -> NDArray[np.float64]:
    return np.pad(x.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _windows(integral: NDArray[np.float64], h: int, w: int) -> NDArray[np.float64]:
    return integral[h:, w:] - integral[:-h, w:] - integral[h:, :-w] + integral[:-h, :-w]


def _blocks_alike(whole: Image.Image, part: Image.Image, scale: float, x: float, y: float) -> float:
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(whole.width, x + part.width * scale), min(whole.height, y + part.height * scale)
    area = max(0.0, right - left) * max(0.0, bottom - top)
    if area < LEAST_OVERLAP * max(whole.width * whole.height, part.width * part.height * scale * scale):
        return 0.0
    size = int(right - left), int(bottom - top)
    if min(size) < 2 * BLOCK + 2:
        return 0.0
    one = whole.resize(size, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    box = ((left - x) / scale, (top - y) / scale, (right - x) / scale, (bottom - y) / scale)
    box = max(0.0, box[0]), max(0.0, box[1]), min(part.width, box[2]), min(part.height, box[3])
    other = part.resize(size, Image.Resampling.BILINEAR, box=box)
    return _share(np.asarray(one, np.float32), np.asarray(other, np.float32))


def _share(a: Grey, b: Grey) -> float:
    """(h, w, 3) each: of the blocks that show something, the share that is the same, in structure and in colour."""
    h, w = (a.shape[0] - 2) // BLOCK * BLOCK, (a.shape[1] - 2) // BLOCK * BLOCK
    a, b = a[: h + 2, : w + 2], b[: h + 2, : w + 2]
    alike, textured = _structure(a[..., 0], b[..., 0])
    tinted = ~_coloured_alike(_means(a[1:-1, 1:-1]), _means(b[1:-1, 1:-1]))
    counting = textured | tinted
    same = (alike > SAME) & textured & ~tinted
    return float(same[counting].mean()) if textured.any() else 0.0


def _structure(a: Grey, b: Grey) -> tuple[Grey, NDArray[np.bool_]]:
    """Correlation of each block, the second picture shifted by a pixel where that helps; whether it is textured."""
    h, w = a.shape[0] - 2, a.shape[1] - 2
    mine = _blocks(a[1:-1, 1:-1])
    spread = _spread(mine)
    alike = np.full(len(mine), -1.0, np.float32)
    for y in range(3):
        for x in range(3):
            other = _blocks(b[y : y + h, x : x + w])
            alike = np.maximum(alike, (mine * other).mean(1) / np.maximum(spread * _spread(other), 1e-6))
    return alike, np.maximum(spread, _spread(_blocks(b[1:-1, 1:-1]))) > PLAIN


def _coloured_alike(a: Grey, b: Grey) -> NDArray[np.bool_]:
    """(blocks, 3) means of Y, Cb, Cr -> whether they agree once brightness, contrast and saturation are made equal."""
    gain = np.clip(a[:, 0].std() / max(float(b[:, 0].std()), 1e-6), 1 / GAIN, GAIN)
    light = a[:, 0] - np.median(a[:, 0]) - gain * (b[:, 0] - np.median(b[:, 0]))
    mine, theirs = a[:, 1:] - 128, b[:, 1:] - 128
    gain = np.clip((mine * theirs).sum() / max(float((theirs * theirs).sum()), 1e-6), 1 / GAIN, GAIN)
    tint = np.abs(mine - gain * theirs).max(axis=1)
    return np.asarray((np.abs(light) < LIGHT) & (tint < TINT))


def _spread(blocks: Grey) -> Grey:
    return np.asarray(np.sqrt((blocks * blocks).mean(1)), np.float32)


def _cut(x: Grey) -> Grey:
    """(blocks, BLOCK * BLOCK)"""
    h, w = x.shape
    return x.reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK * BLOCK)


def _blocks(x: Grey) -> Grey:
    """Each about its own mean."""
    cut = _cut(x)
    return np.asarray(cut - cut.mean(axis=1, keepdims=True), np.float32)


def _means(x: Grey) -> Grey:
    return np.stack([_cut(x[..., channel]).mean(1) for channel in range(3)], axis=1)
