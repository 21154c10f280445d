"""One part of one size of bench_scale: ``build`` or ``serve``, in a process whose memory can be watched."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from search.benchmarking.ann_peers import recall, timed
from search.benchmarking.ann_set import exact
from search.benchmarking.ann_sides import build, searcher
from search.benchmarking.memory import Watch
from search.indexes import auto_factory, default_params, set_threads
from search.indexes.saved import SavedBuild

FINE_DEPTH = 200  # of a new index
JUDGED = 200  # queries whose exact answer is looked for


def built(base: Path, folder: Path) -> dict[str, Any]:
    x = np.load(base, mmap_mode="r")
    with Watch() as watch:
        facts = build(x, auto_factory(*x.shape)[0], folder)
    disk = sum(file.stat().st_size for file in folder.iterdir())
    parts = {f"{name} s": seconds for name, seconds in facts["seconds"].items()}
    return {
        "factory": facts["factory"],
        "build s": facts["build_s"],
        **parts,
        "bytes a picture": facts["bytes"],
        "disk MiB": round(disk / 2**20),
        **_memory("build", watch),
    }


def served(base: Path, folder: Path, queries: Path) -> dict[str, Any]:
    measuring = np.load(queries / "measuring.npy")[:1000]
    with Watch() as watch:
        saved = SavedBuild.open(folder)
        set_threads(1)
        search = searcher(saved, {**default_params(saved.manifest.factory), "fine_depth": FINE_DEPTH})
        timed(search, np.load(queries / "tuning.npy")[:1000])
        found, ms = timed(search, measuring)
    truth = exact(np.load(base, mmap_mode="r"), measuring[:JUDGED])
    return {
        "median ms": round(float(np.median(ms)), 3),
        "p99 ms": round(float(np.percentile(ms, 99)), 3),
        "ann_recall@10": round(recall(found[:JUDGED], truth), 4),
        **_memory("serve", watch),
    }


def _memory(part: str, watch: Watch) -> dict[str, int]:
    return {f"{part}: MiB": round(watch.highest["rss"]), f"{part}: own MiB": round(watch.highest["anon"])}


def main(part: str, base: Path, data: Path, size: int) -> None:
    folder = data / f"scale-{size}"
    print(json.dumps(built(base, folder) if part == "build" else served(base, folder, data)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
