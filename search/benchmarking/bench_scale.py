"""Ten thousand to ten million: build time, memory, disk and latency of what the size chooses, one process each.

Needs --descriptors; --gallery is the largest size. Beyond the real descriptors there, more are made of them: each a
mixture of two crops of one picture and a little of another picture, so that neighbourhoods overlap as real ones do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.benchmarking import Job, Report
from search.benchmarking.ann_set import AnnSet
from search.extraction.pooling import l2_normalise
from search.types import Descriptors

SMALLEST, TIMES = 10_000, 10
BLOCK = 50_000
SAME_PICTURE = 20  # rows: crops of one picture stand together
OTHER = 0.15  # at most, of another picture


def measure(job: Job) -> Report:
    """Raises RuntimeError without --descriptors, or where a child failed."""
    if not job.descriptors:
        raise RuntimeError("The benchmark scale needs --descriptors DIR; manage.py make_descriptors writes them.")
    source = Path(job.descriptors)
    real = json.loads((source / "pictures.json").read_text())["crops"] * 1000
    data = AnnSet.of(source, min(job.gallery, 1_000_000 if real > 1000 else real), job.queries)
    rows = [_measured(data, size) for size in sizes(job.gallery)]
    notes = [
        f"{data.says}; beyond {len(data):,}, mixtures of them",
        "built on all cores, searched by one thread, one query at a time, with the search parameters and the fine "
        "depth that a new index has; first 1,000 queries to warm the mapped files up, the next 1,000 measured",
        "own: memory of the process; the rest of it are pages of mapped files, which the kernel takes back at need",
    ]
    return Report("Scale", rows, notes)


def sizes(largest: int) -> list[int]:
    """Ten thousand and its tenfolds up to ``largest``, and that itself."""
    steps = [SMALLEST * TIMES**power for power in range(8)]
    return [*(step for step in steps if step < largest), largest]


def _measured(data: AnnSet, size: int) -> dict[str, Any]:
    base = base_of(data, size)
    row: dict[str, Any] = {"pictures": f"{size:,}"}
    for part in ("build", "serve"):
        print(f"{part} {size:,}", file=sys.stderr)
        arguments = [part, str(base), str(data.folder), str(size)]
        child = subprocess.run(  # noqa: S603  (our own module)
            [sys.executable, "-m", "search.benchmarking.scale_child", *arguments], stdout=subprocess.PIPE, text=True
        )
        if child.returncode:
            raise RuntimeError(f"{part} at {size:,} ended with status {child.returncode}; see above.")
        row |= json.loads(child.stdout)
    return row


def base_of(data: AnnSet, size: int) -> Path:
    """The .npy file with ``size`` descriptors: the data's own, evenly thinned, or grown; made once."""
    if size == len(data):
        return data.folder / "base.npy"
    path = data.folder / f"base-{size}.npy"
    if not path.exists():
        new = path.with_suffix(".new")
        out = np.lib.format.open_memmap(new, "w+", np.float16, (size, data.dim))
        rng = np.random.default_rng(size)
        for start in range(0, size, BLOCK):
            stop = min(start + BLOCK, size)
            thinned = np.linspace(0, len(data) - 1, size).astype(np.int64)[start:stop] if size < len(data) else None
            grown = None if thinned is not None else _grown(data.base, start, stop, rng)
            out[start:stop] = data.base[thinned] if grown is None else grown
        out.flush()
        new.replace(path)
    return path


def _grown(base: NDArray[np.float16], start: int, stop: int, rng: np.random.Generator) -> Descriptors:
    """Rows ``start`` to ``stop`` of the grown set: the base itself first, then mixtures of it, over and over."""
    rows = np.arange(start, stop) % len(base)
    x = np.asarray(base[rows], np.float32)
    if stop <= len(base):
        return x
    near = np.clip(rows + rng.integers(-SAME_PICTURE, SAME_PICTURE + 1, len(rows)), 0, len(base) - 1)
    far = np.sort(rng.integers(0, len(base), len(rows)))
    share, other = rng.random((len(rows), 1)), OTHER * rng.random((len(rows), 1))
    mixed = share * x + (1 - share) * base[near].astype(np.float32) + other * base[far].astype(np.float32)
    return l2_normalise(np.asarray(mixed, np.float32))
