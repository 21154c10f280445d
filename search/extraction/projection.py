"""PCA and whitening of descriptors: fewer dimensions, and dimensions that weigh alike.

It belongs to the extractor, not to an index: it changes what 'similar' means, so descriptors of two
projections are never compared. Jégou and Chum, Negative evidences and co-occurences in image retrieval: the
benefit of PCA and whitening, ECCV 2012: centre, rotate to the principal axes, keep the first, divide by their
standard deviations (whitening only), L2-normalise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from search.extraction.attributes import ENTRY, AttributeBranch
from search.extraction.errors import BadConfiguration, WeightsChanged
from search.extraction.pooling import l2_normalise
from search.types import Descriptors

# Of the largest variance: axes below it are noise of the sample, which whitening would blow up.
SMALLEST_VARIANCE = 1e-6
BLOCK = 16_384  # rows added to the covariance at once


@dataclass(frozen=True)
class Projection:
    """``mean`` float32 (dim,), ``matrix`` float32 (dim, kept): row vectors become (x - mean) @ matrix."""

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]
    whiten: bool
    explained: float = 1.0  # share of the sample's variance in the axes that are kept

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def identity(self) -> str:
        """SHA-256 of the numbers that are applied."""
        digest = hashlib.sha256(f"{self.matrix.shape}".encode())
        for part in (self.mean, self.matrix):
            digest.update(np.ascontiguousarray(part, "<f4").tobytes())
        return digest.hexdigest()

    def apply(self, x: Descriptors) -> Descriptors:
        """(n, dim) -> (n, kept), rows L2-normalised. Raises BadConfiguration for another ``dim``."""
        if x.shape[1] != len(self.mean):
            raise BadConfiguration(
                reason=f"the projection is of {len(self.mean)} dimensions, the network gives {x.shape[1]}"
            )
        return l2_normalise(np.asarray((x - self.mean) @ self.matrix, np.float32))

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, mean=self.mean, matrix=self.matrix, whiten=self.whiten, explained=self.explained)

    @classmethod
    def load(cls, path: Path, sha256: str = "") -> Self:
        """Raises BadConfiguration, and WeightsChanged where ``sha256`` is another than the numbers'."""
        try:
            with np.load(path, allow_pickle=False) as data:
                parts = data["mean"].astype(np.float32), data["matrix"].astype(np.float32)
                found = cls(*parts, bool(data["whiten"]), float(data["explained"]))
        except (OSError, ValueError, EOFError, KeyError, IndexError, BadZipFile) as error:
            raise BadConfiguration(reason=f"the projection {path.name} cannot be read: {error}") from error
        if found.mean.shape != found.matrix.shape[:1] or found.matrix.ndim != 2:
            raise BadConfiguration(reason=f"the projection {path.name} has arrays of the wrong shape")
        if sha256 and found.identity != sha256:
            raise WeightsChanged(what=path.name, expected=sha256[:16], found=found.identity[:16])
        return found


AnyProjection: TypeAlias = Projection | AttributeBranch


def load_projection(path: Path, sha256: str = "") -> AnyProjection:
    """Either kind, told from the file. Raises BadConfiguration, WeightsChanged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            is_branch = ENTRY in data.files
    except (OSError, ValueError, EOFError, AttributeError, BadZipFile) as error:
        raise BadConfiguration(reason=f"the projection {path.name} cannot be read: {error}") from error
    return AttributeBranch.load(path, sha256) if is_branch else Projection.load(path, sha256)


def fit(x: Descriptors, dim: int, *, whiten: bool = False) -> Projection:
    """The first ``dim`` principal axes of the sample ``x`` (n, d), whose signs are fixed.

    Raises BadConfiguration where the sample is too small, or has not that many axes.
    """
    count, width = x.shape
    if not 0 < dim <= width:
        raise BadConfiguration(reason=f"{dim} dimensions cannot be kept of {width}")
    if count <= dim:
        raise BadConfiguration(reason=f"{count} descriptors are too few to find {dim} axes in")
    mean = x.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(_covariance(x, mean))
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]  # largest first
    # An eigenvector's sign is arbitrary, and libraries differ: the largest component is made positive.
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(width)]
    matrix = (axes * np.where(largest < 0, -1, 1))[:, :dim]
    if whiten:
        matrix = matrix / np.sqrt(np.maximum(variances[:dim], SMALLEST_VARIANCE * variances[0]))
    explained = float(variances[:dim].sum() / max(variances.sum(), np.finfo(np.float64).tiny))
    return Projection(mean.astype(np.float32), matrix.astype(np.float32), whiten, explained)


def _covariance(x: Descriptors, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK].astype(np.float64) - mean
        total += block.T @ block
    return total / len(x)
