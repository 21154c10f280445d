"""hnswlib, usearch and ScaNN on the same descriptors: a script for an interpreter that has them, without Django.

    python ann_peers.py FOLDER NAME TARGET

FOLDER holds what bench_ann wrote: base.npy float16 (n, dim), tuning.npy and measuring.npy float32 queries, and the
exact first ten of each in tuning_truth.npy and measuring_truth.npy. Builds NAME there once (its file and its figures
are kept), finds on the tuning queries the search parameters that reach TARGET soonest, and then answers each line
``round`` with the milliseconds of every measuring query, one thread, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

K = 10
BUILD_THREADS = 2
WIDTHS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
TRIES = 300  # tuning queries timed for each setting
Array = NDArray[Any]
Search = Callable[[Array], Array]  # (dim,) -> (K,) row numbers


class Peer(Protocol):
    says: str

    def build(self, x: Array, path: Path) -> None: ...
    def open(self, path: Path, x: Array) -> None: ...
    def settings(self) -> Iterator[dict[str, Any]]: ...
    def search(self, setting: dict[str, Any]) -> Search: ...
    def bytes_a_picture(self, path: Path, n: int, dim: int) -> float: ...


class Hnswlib:
    says = "hnswlib HNSW, float32, M=16, efConstruction=200"

    def _index(self, dim: int) -> Any:
        import hnswlib

        return hnswlib.Index(space="ip", dim=dim)

    def build(self, x: Array, path: Path) -> None:
        index = self._index(x.shape[1])
        index.init_index(max_elements=len(x), ef_construction=200, M=16, random_seed=1)
        index.set_num_threads(BUILD_THREADS)
        for start in range(0, len(x), 50_000):
            index.add_items(x[start : start + 50_000].astype(np.float32), np.arange(start, min(start + 50_000, len(x))))
            print(f"hnswlib: {start + 50_000} of {len(x)}", file=sys.stderr)
        index.save_index(str(path))

    def open(self, path: Path, x: Array) -> None:
        self.index = self._index(x.shape[1])
        self.index.load_index(str(path))
        self.index.set_num_threads(1)

    def settings(self) -> Iterator[dict[str, Any]]:
        return ({"ef": width} for width in WIDTHS)

    def search(self, setting: dict[str, Any]) -> Search:
        self.index.set_ef(setting["ef"])
        return lambda query: np.asarray(self.index.knn_query(query[None], k=K, num_threads=1)[0][0])

    def bytes_a_picture(self, path: Path, n: int, dim: int) -> float:
        return path.stat().st_size / n  # loaded as it lies on the disk


class Usearch:
    """Eight-bit or half-precision vectors in the graph."""

    def __init__(self, kind: str) -> None:
        self.kind, self.says = kind, f"usearch HNSW, {kind}, connectivity 16, expansion_add 128"

    def _index(self, dim: int) -> Any:
        from usearch.index import Index

        return Index(ndim=dim, metric="ip", dtype=self.kind, connectivity=16, expansion_add=128)

    def build(self, x: Array, path: Path) -> None:
        index = self._index(x.shape[1])
        for start in range(0, len(x), 50_000):
            block = x[start : start + 50_000].astype(np.float32)
            index.add(np.arange(start, start + len(block)), block, threads=BUILD_THREADS)
            print(f"usearch: {start + 50_000} of {len(x)}", file=sys.stderr)
        index.save(str(path))

    def open(self, path: Path, x: Array) -> None:
        self.index = self._index(x.shape[1])
        self.index.load(str(path))

    def settings(self) -> Iterator[dict[str, Any]]:
        return ({"expansion": width} for width in WIDTHS)

    def search(self, setting: dict[str, Any]) -> Search:
        self.index.expansion_search = setting["expansion"]
        return lambda query: np.asarray(self.index.search(query, K, threads=1).keys)

    def bytes_a_picture(self, path: Path, n: int, dim: int) -> float:
        return path.stat().st_size / n


class Scann:
    """A tree of cells over 4-bit anisotropic codes, the best re-scored with the originals, as its guide advises."""

    says = "ScaNN tree 2000, AH dims_per_block 2, threshold 0.2, reordering float32"

    def _builder(self, x: Array) -> Any:
        import scann

        builder = scann.scann_ops_pybind.builder(x, K, "dot_product")
        builder = builder.tree(num_leaves=2000, num_leaves_to_search=40, training_sample_size=250_000)
        return builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100)

    def build(self, x: Array, path: Path) -> None:
        path.mkdir()
        searcher = self._builder(x.astype(np.float32)).set_n_training_threads(BUILD_THREADS).build()
        searcher.serialize(str(path))

    def open(self, path: Path, x: Array) -> None:
        import scann

        self.searcher = scann.scann_ops_pybind.load_searcher(str(path))

    def settings(self) -> Iterator[dict[str, Any]]:
        return ({"leaves": leaves, "reorder": many} for leaves in WIDTHS for many in (30, 60, 100, 200, 400))

    def search(self, setting: dict[str, Any]) -> Search:
        options = {
            "final_num_neighbors": K,
            "pre_reorder_num_neighbors": setting["reorder"],
            "leaves_to_search": setting["leaves"],
        }
        return lambda query: np.asarray(self.searcher.search(query, **options)[0])

    def bytes_a_picture(self, path: Path, n: int, dim: int) -> float:
        return sum(file.stat().st_size for file in path.rglob("*")) / n


PEERS: dict[str, Callable[[], Peer]] = {
    "hnswlib": Hnswlib,
    "usearch-f16": lambda: Usearch("f16"),
    "usearch-i8": lambda: Usearch("i8"),
    "scann": Scann,
}


def recall(found: Array, truth: Array) -> float:
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), truth.tolist(), strict=True)]))


def timed(search: Search, queries: Array) -> tuple[Array, list[float]]:
    """The ids found and the milliseconds of each query."""
    found, times = [], []
    for query in queries:
        start = time.perf_counter()
        ids = search(query)
        times.append(1000 * (time.perf_counter() - start))
        found.append(np.pad(ids[:K].astype(np.int64), (0, K - len(ids[:K])), constant_values=-1))
    return np.array(found), times


def chosen(peer: Peer, folder: Path, target: float) -> tuple[dict[str, Any], float]:
    """The setting with the lowest median on the tuning queries among those that reach ``target``; else the best."""
    queries, truth = np.load(folder / "tuning.npy")[:TRIES], np.load(folder / "tuning_truth.npy")[:TRIES]
    reached: list[tuple[float, dict[str, Any], float]] = []
    best: tuple[float, dict[str, Any]] = (-1.0, {})
    for setting in peer.settings():
        found, times = timed(peer.search(setting), queries)
        got = recall(found, truth)
        best = max(best, (got, setting), key=lambda pair: pair[0])
        if got >= target:
            reached.append((float(np.median(times)), setting, got))
            if len(setting) == 1:  # wider is slower from here on
                break
    if not reached:
        return best[1], best[0]
    _, setting, got = min(reached, key=lambda entry: entry[0])
    return setting, got


def ready(peer: Peer, name: str, folder: Path) -> dict[str, Any]:
    """Build it, or take what an earlier run built; its figures."""
    path, figures = folder / f"peer-{name}", folder / f"peer-{name}.json"
    x = np.load(folder / "base.npy", mmap_mode="r")
    if not figures.exists():
        start = time.perf_counter()
        peer.build(x, path)
        facts = {"build_s": round(time.perf_counter() - start, 1)}
        facts["bytes"] = round(peer.bytes_a_picture(path, *x.shape), 1)
        figures.write_text(json.dumps(facts))
    peer.open(path, x)
    return dict(json.loads(figures.read_text()))


def main(folder: Path, name: str, target: float) -> None:
    peer = PEERS[name]()
    facts = ready(peer, name, folder)
    setting, tuned = chosen(peer, folder, target)
    search = peer.search(setting)
    queries, truth = np.load(folder / "measuring.npy"), np.load(folder / "measuring_truth.npy")
    timed(search, queries[:50])
    print(json.dumps(facts | {"says": peer.says, "setting": setting, "tuned": tuned}), flush=True)
    for _ in sys.stdin:
        found, times = timed(search, queries)
        print(json.dumps({"recall": recall(found, truth), "ms": times}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
