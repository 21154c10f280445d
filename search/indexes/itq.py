"""Iterative quantisation: descriptors to binary codes whose Hamming distance keeps what is similar together.

Y. Gong, S. Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", CVPR 2011:
the first principal axes, rotated so that the signs of the coordinates lie nearest to the coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.types import Descriptors

ROUNDS = 50  # the paper's
ROWS_PER_BIT, ROWS_AT_LEAST = 20, 5000  # of the training sample: more change nothing
SEED = 20

Codes = NDArray[np.uint8]  # (n, bits / 8), the first coordinate in the lowest bit


@dataclass(frozen=True, eq=False)
class BinaryCoder:
    """A descriptor x becomes the signs of (x - mean) @ axes."""

    mean: NDArray[np.float32]  # (dim,)
    axes: NDArray[np.float32]  # (dim, bits)

    @property
    def bits(self) -> int:
        return int(self.axes.shape[1])

    def encode(self, x: Descriptors) -> Codes:
        """(n, dim) -> (n, bits / 8)."""
        projected = (np.asarray(x, np.float32) - self.mean) @ self.axes
        return np.packbits(projected > 0, axis=1, bitorder="little")


def learn(x: Descriptors, bits: int, rounds: int = ROUNDS) -> BinaryCoder:
    """A coder of ``bits`` <= dim fitted on ``x`` (n, dim)."""
    random = np.random.default_rng(SEED)
    most = max(ROWS_AT_LEAST, ROWS_PER_BIT * bits)
    sample = np.asarray(x if len(x) <= most else x[np.sort(random.choice(len(x), most, replace=False))], np.float32)
    mean = sample.mean(axis=0)
    centred = sample - mean
    _, axes = np.linalg.eigh(centred.T @ centred)  # by rising variance
    axes = axes[:, ::-1][:, :bits]
    return BinaryCoder(mean, np.ascontiguousarray(axes @ _rotation(centred @ axes, rounds, random), np.float32))


def _rotation(projected: Descriptors, rounds: int, random: np.random.Generator) -> NDArray[np.float32]:
    """(bits, bits): signs and rotation are found in turn, each the best for the other."""
    bits = projected.shape[1]
    rotation = np.linalg.qr(random.standard_normal((bits, bits)))[0].astype(np.float32)
    for _ in range(rounds):
        signs = np.where(projected @ rotation > 0, np.float32(1), np.float32(-1))
        left, _, right = np.linalg.svd(projected.T @ signs)
        rotation = left @ right
    return rotation
