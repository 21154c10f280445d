"""Our side of the comparison: builds as the site writes and opens them, searched by the pipeline that serves."""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.benchmarking.ann_peers import TRIES, K, Search, recall, timed
from search.benchmarking.ann_set import AnnSet
from search.indexes import ExactIndex, auto_factory, build_index, default_params, set_threads
from search.indexes.saved import EMBEDDINGS, IDS, INDEX, ORIGINALS, Manifest, SavedBuild, describe
from search.ranking import Facts, Pipeline
from search.types import Descriptors

WIDTHS: dict[str, tuple[int, ...]] = {
    "nprobe": (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192),
    "efSearch": (16, 24, 32, 48, 64, 96, 128, 192, 256),
}
FINE = (20, 50, 100, 200, 400)
CHUNK = 4096
BESIDE = ("HNSW32,SQ8",)  # measured beside the factory that the size chooses


@dataclass(frozen=True)
class Ours:
    search: Search
    facts: dict[str, Any]


def sides(data: AnnSet, target: float, factories: Sequence[str] = ()) -> Iterator[Ours]:
    """The factory that is chosen for this many, and a few others, each at its fastest setting at ``target``."""
    usual = (auto_factory(len(data), data.dim)[0], *BESIDE)
    for factory in dict.fromkeys(factories or usual):
        folder = data.folder / f"ours-{hashlib.sha256(factory.encode()).hexdigest()[:12]}"
        if not (folder / "facts.json").exists():
            build(data.base, factory, folder)
        facts = json.loads((folder / "facts.json").read_text())
        saved = SavedBuild.open(folder)
        set_threads(1)
        setting, tuned = chosen(saved, data, target)
        facts |= {"says": f"ours, {factory} and fine tier", "setting": setting, "tuned": tuned}
        yield Ours(searcher(saved, setting), facts)


def build(base: NDArray[np.float16], factory: str, folder: Path) -> dict[str, Any]:
    """As the site's builds do it: train on a sample, add in chunks, originals beside the codes. Its figures."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    set_threads(os.cpu_count() or 1)
    count, dim = base.shape
    seconds, start = {}, time.perf_counter()
    index = build_index(factory, dim, **default_params(factory))
    index.train(_sample(base, factory))
    _let_go(base)
    seconds["training"], start = round(time.perf_counter() - start, 1), time.perf_counter()
    ids = np.arange(1, count + 1, dtype=np.int64)
    with (folder / ORIGINALS).open("wb") as originals:
        for first in range(0, count, CHUNK):
            block = base[first : first + CHUNK]
            index.add(ids[first : first + CHUNK], np.asarray(block, np.float32))
            block.astype("<f2").tofile(originals)
            _let_go(base)
    seconds["adding"], start = round(time.perf_counter() - start, 1), time.perf_counter()
    index.save(folder / INDEX)
    for name in (IDS, EMBEDDINGS):
        ids.astype("<i8").tofile(folder / name)
    manifest = Manifest(factory, dim, count, "0" * 64, count, default_params(factory), files=describe(folder))
    manifest.write(folder)
    seconds["writing"] = round(time.perf_counter() - start, 1)
    facts = {"build_s": round(sum(seconds.values()), 1), "bytes": round(index.code_bytes() / count, 1)}
    facts |= {"seconds": seconds, "factory": factory}
    (folder / "facts.json").write_text(json.dumps(facts))
    return facts


def _let_go(base: NDArray[np.float16]) -> None:
    """Give pages that were read back to the kernel, as the site's builds do: a build's memory is its own."""
    mapping = getattr(base, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def _sample(base: NDArray[np.float16], factory: str) -> Descriptors:
    cells = re.search(r"IVF(\d+)", factory)
    size = max(50_000, 64 * int(cells[1]) if cells else 0)
    rows = np.sort(np.random.default_rng(0).permutation(len(base))[:size])
    return np.asarray(base[rows], np.float32)


def searcher(saved: SavedBuild, setting: Mapping[str, Any]) -> Search:
    """A query to row numbers, through the pipeline; its fine depth is one of the setting."""
    params = {name: value for name, value in setting.items() if name != "fine_depth"}
    pipeline = Pipeline(
        side=ExactIndex(saved.manifest.dim),
        index=saved.index,
        originals=saved.originals,
        search_params=params,
        fine_depth=setting["fine_depth"],
    )
    facts = Facts()
    lookup = lambda ids: dict.fromkeys(ids, facts)  # noqa: E731  (rows of a database are another benchmark's)
    return lambda query: np.array([hit.id - 1 for hit in pipeline.search(query, K, lookup).hits], np.int64)


def chosen(saved: SavedBuild, data: AnnSet, target: float) -> tuple[dict[str, Any], float]:
    """The setting with the lowest median on tuning queries among those that reach ``target``; else the best."""
    queries, truth = data.tuning[:TRIES], data.tuning_truth[:TRIES]
    tried: list[tuple[float, float, dict[str, Any]]] = []
    for setting in _settings(saved):
        found, times = timed(searcher(saved, setting), queries)
        tried.append((recall(found, truth), float(np.median(times)), setting))
    reached = [entry for entry in tried if entry[0] >= target]
    got, _, setting = min(reached, key=lambda entry: entry[1]) if reached else max(tried, key=lambda entry: entry[0])
    return setting, got


def _settings(saved: SavedBuild) -> Iterator[dict[str, Any]]:
    names = [name for name in WIDTHS if name in default_params(saved.manifest.factory)]
    for values in itertools.product(*(WIDTHS[name] for name in names), FINE):
        yield dict(zip((*names, "fine_depth"), values, strict=True))
