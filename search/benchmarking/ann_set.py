"""The descriptors that index libraries are compared on: projected, split, and searched exactly once."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from search.benchmarking.ann_peers import Array, K
from search.benchmarking.crops import BASE, QUERIES, STATE
from search.extraction.projection import Projection, fit
from search.types import Descriptors

DIM = 512
SAMPLE = 50_000
TUNING = 1000
BLOCK = 50_000
SEED = 7


@dataclass(frozen=True)
class AnnSet:
    """``base`` float16 (n, dim), memory-mapped; queries float32; truths (queries, K) row numbers."""

    folder: Path
    base: NDArray[np.float16]
    tuning: Descriptors
    measuring: Descriptors
    tuning_truth: Array
    measuring_truth: Array
    says: str

    def __len__(self) -> int:
        return len(self.base)

    @property
    def dim(self) -> int:
        return int(self.base.shape[1])

    @classmethod
    def of(cls, source: Path, count: int, queries: int) -> Self:
        """The first ``count`` descriptors of ``source``, to DIM dimensions; made once and kept beside them."""
        folder = source / f"ann-{count}-{queries}"
        if not (folder / "says.txt").exists():
            _make(source, folder, count, queries)
        return cls(
            folder=folder,
            base=np.load(folder / "base.npy", mmap_mode="r"),
            tuning=np.load(folder / "tuning.npy"),
            measuring=np.load(folder / "measuring.npy"),
            tuning_truth=np.load(folder / "tuning_truth.npy"),
            measuring_truth=np.load(folder / "measuring_truth.npy"),
            says=(folder / "says.txt").read_text(),
        )


def _make(source: Path, folder: Path, count: int, queries: int) -> None:
    plan = json.loads((source / STATE).read_text())
    raw = np.memmap(source / BASE, np.dtype("<f2"), "r").reshape(-1, plan["dim"])
    asked = np.memmap(source / QUERIES, np.dtype("<f2"), "r").reshape(-1, plan["dim"])
    if len(raw) < count or len(asked) < TUNING + queries:
        raise RuntimeError(f"{source} has {len(raw)} descriptors and {len(asked)} queries: too few.")
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.permutation(len(raw))[:count])
    projection = fit(np.asarray(raw[rows[:: max(1, count // SAMPLE)]], np.float32), DIM)
    base = _projected(raw, rows, projection, folder / "base.npy")
    picked = rng.permutation(len(asked))[: TUNING + queries]
    x = projection.apply(np.asarray(asked[picked], np.float32))
    truth = exact(base, x)
    for name, part in (("tuning", slice(0, TUNING)), ("measuring", slice(TUNING, None))):
        np.save(folder / f"{name}.npy", x[part])
        np.save(folder / f"{name}_truth.npy", truth[part])
    says = f"{plan['crops']} crops and flips of each of {plan['pictures'] - len(asked) // plan['crops']} pictures"
    explained = f"PCA {plan['dim']} to {DIM} fitted on the gallery ({projection.explained:.1%} of its variance)"
    (folder / "says.txt").write_text(f"{says}; {explained}")


def _projected(raw: Array, rows: Array, projection: Projection, path: Path) -> NDArray[np.float16]:
    out = np.lib.format.open_memmap(path, "w+", np.float16, (len(rows), projection.dim))
    for start in range(0, len(rows), BLOCK):
        out[start : start + BLOCK] = projection.apply(np.asarray(raw[rows[start : start + BLOCK]], np.float32))
        print(f"projected {min(start + BLOCK, len(rows))} of {len(rows)}", file=sys.stderr)
    out.flush()
    return out


def exact(base: Array, x: Descriptors, k: int = K) -> Array:
    """(len(x), k) row numbers by (-score, row): all inner products, block by block."""
    scores, ids = np.empty((len(x), 0), np.float32), np.empty((len(x), 0), np.int64)
    for start in range(0, len(base), BLOCK):
        block = x @ np.asarray(base[start : start + BLOCK], np.float32).T
        near = np.argpartition(-block, min(k, block.shape[1] - 1), axis=1)[:, :k]
        scores = np.hstack([scores, np.take_along_axis(block, near, 1)])
        ids = np.hstack([ids, near + start])
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
    return ids
