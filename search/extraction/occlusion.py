"""Which parts of a picture a score hangs on, asked of any extractor: cover a part, and see how much is lost.

Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, section 4.2. It needs no feature
maps, costs some fifty extractions a picture, and says what decides, not what adds up to the score.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from search.extraction.extractor import Extractor
from search.extraction.preprocess import Pixels
from search.types import Descriptors

CELLS = 8  # of the grid, each way
COVER = 2  # cells that are covered at once, each way
BATCH = 32


def occlude(extractor: Extractor, pixels: Pixels, other: Descriptors) -> NDArray[np.float32]:
    """Prepared pixels, uint8 (side, side, 3), and the other picture's descriptor (dim,) -> float32 (8, 8).

    A cell holds its share of what the score loses, on average, where it is covered; below zero where that helps.
    """
    before = float(extractor.describe(pixels[None])[0] @ other)
    covered = np.stack(list(_covered(pixels)))
    after = [extractor.describe(covered[at : at + BATCH]) @ other for at in range(0, len(covered), BATCH)]
    return _by_cell(np.asarray(before - np.concatenate(after), np.float32))


def _corners() -> Iterator[tuple[int, int]]:
    steps = range(CELLS - COVER + 1)
    return ((row, column) for row in steps for column in steps)


def _covered(pixels: Pixels) -> Iterator[Pixels]:
    """The picture with each window in its mean colour."""
    high, wide, _ = pixels.shape
    colour = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    for row, column in _corners():
        copy = pixels.copy()
        rows = slice(row * high // CELLS, (row + COVER) * high // CELLS)
        copy[rows, column * wide // CELLS : (column + COVER) * wide // CELLS] = colour
        yield copy


def _by_cell(lost: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each window loses (windows,) -> each cell's share of the windows over it, averaged."""
    total, count = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for loss, (row, column) in zip(lost, _corners(), strict=True):
        total[row : row + COVER, column : column + COVER] += loss / COVER**2
        count[row : row + COVER, column : column + COVER] += 1
    return np.asarray(total / count, np.float32)
