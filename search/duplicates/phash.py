"""The perceptual hash: 64 bits that scaling, another compression and a plain border leave nearly alone. No Django.

After Christoph Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010): the signs of low
frequencies of the discrete cosine transform. Ours differs in two points: a border of one colour is cut away first, and
the 64 coefficients are the lowest ones in zigzag order, without the first, which is the mean brightness.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, BITS, BYTES = 32, 64, 8
FLAT = 12.0  # grey levels: a border that varies by less is no part of the picture
MOST_TRIMMED = 0.35  # of a side, at each end
FLOOR = 3.0  # grey levels of a coefficient below which there is nothing but noise
_WORK = 128  # pixels: the border is looked for in a small copy

Grey = NDArray[np.float32]


def _cosines() -> Grey:
    """(SIDE, SIDE): the orthonormal DCT-II."""
    k, n = np.arange(SIDE)[:, None], np.arange(SIDE)[None, :]
    rows = np.cos(np.pi * (2 * n + 1) * k / (2 * SIDE)) * np.sqrt(2 / SIDE)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, np.float32)


def _zigzag() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    places = sorted((i + j, i, j) for i in range(16) for j in range(16))[1 : BITS + 1]
    return np.array([i for _, i, _ in places]), np.array([j for _, _, j in places])


_DCT = _cosines()
_ROWS, _COLUMNS = _zigzag()


def perceptual_hash(pixels: Image.Image) -> bytes:
    """8 bytes, big-endian: bit 63 is the lowest frequency."""
    grey = pixels.convert("L")
    small = grey.resize((SIDE, SIDE), Image.Resampling.BOX, box=content_box(grey), reducing_gap=None)
    x = _DCT @ np.asarray(small, np.float32) @ _DCT.T
    low = x[_ROWS, _COLUMNS]
    low[np.abs(low) < FLOOR] = 0.0  # a plain picture gets zeros, not the noise of its compression
    return np.packbits(low > 0).tobytes()


def content_box(grey: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what a border of one colour surrounds, in pixels; the whole where there is none."""
    small = grey.copy()
    small.thumbnail((_WORK, _WORK), Image.Resampling.BOX)
    x = np.asarray(small, np.float32)
    top, left, bottom, right = 0, 0, *x.shape
    for edge in (0, 1):  # a frame around a studio's white; what lies on the edge between them is of neither colour
        inner = x[top + edge : bottom - edge, left + edge : right - edge]
        if min(inner.shape) < 8 or (edge and inner.shape == (x.shape[0] - 2, x.shape[1] - 2)):
            break
        rows, columns = _inner(inner), _inner(inner.T)
        top, bottom = top + edge + rows[0], top + edge + rows[1]
        left, right = left + edge + columns[0], left + edge + columns[1]
    across, down = grey.width / small.width, grey.height / small.height
    return round(left * across), round(top * down), round(right * across), round(bottom * down)


def _inner(x: Grey) -> tuple[int, int]:
    """First row that is not border, and the one behind the last."""
    length = len(x)
    most = int(MOST_TRIMMED * length)
    start = _border(x, most)
    end = length - _border(x[::-1], most)
    return (start, end) if end - start >= max(2, length // 4) else (0, length)


def _border(x: Grey, most: int) -> int:
    """How many rows from the start are of the first row's one colour."""
    colour = float(np.median(x[0]))
    plain = np.abs(x[: most + 1] - colour).max(axis=1) <= FLAT
    return int(np.argmin(plain)) if not plain.all() else most


def hamming(first: bytes, second: bytes) -> int:
    """Bits that differ: 0 to 64; about 32 for two pictures that have nothing in common."""
    return (int.from_bytes(first) ^ int.from_bytes(second)).bit_count()
