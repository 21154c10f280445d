"""A build as the site makes it, from rows of the database, and the swap to another one under constant searches."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from catalog.models import Collection, Image
from search.benchmarking import Job, Report
from search.benchmarking.ann_set import AnnSet
from search.benchmarking.memory import Watch, settled, status
from search.builds import build_create
from search.models import Embedding, FeatureModel, IndexBuild, SearchIndex
from search.ranking import Facts
from search.serving import live
from search.types import Descriptors, Ids
from search.vectors import to_bytes

BATCH = 20_000
K = 20
SEARCHERS = 1  # one core searches, the other builds


def measure(job: Job) -> Report:
    """Raises RuntimeError without --descriptors, or where a build or a search failed."""
    if not job.descriptors:
        raise RuntimeError("The benchmark build needs --descriptors DIR; manage.py make_descriptors writes them.")
    data = AnnSet.of(Path(job.descriptors), job.gallery, job.queries)
    index, ids = _rows(data)
    first, peak = _built(index)
    swap = _Swap(index, data, ids).run()
    rows: list[dict[str, Any]] = [{"what": f"build, {name}", "s": seconds} for name, seconds in first.timings.items()]
    rows.append({"what": "build, all of it", "s": round(first.seconds or 0, 1)})
    rows.append(
        {"what": "build, peak memory of its process", "MiB": round(peak["rss"]), "own MiB": round(peak["anon"])}
    )
    rows += swap.rows()
    notes = [
        f"{first.count} rows of {data.dim} dimensions in {_vendor()}; factory {first.factory}, "
        f"{first.code_bytes / first.count:.1f} bytes a picture in memory, ann_recall@10 {first.ann_recall:.3f} "
        "before the fine tier",
        f"swap: {SEARCHERS} thread searches without a pause while another process builds and activates; a search fails "
        f"if it raises, finds less than {K}, or does not find a stored descriptor first",
        "own: memory of the process; the rest of rss are pages of mapped files, which the kernel takes back at need",
    ]
    return Report(f"Build and swap at {first.count:,} pictures", rows, notes)


def _vendor() -> str:
    from django.db import connection

    return connection.display_name


def _rows(data: AnnSet) -> tuple[SearchIndex, Ids]:
    """Pictures and embeddings as an import leaves them; the files themselves are not needed to build."""
    collection = Collection.objects.create(name="benchmark", slug="benchmark", is_public=True)
    model = FeatureModel.objects.create(name="descriptors", backbone="onnx", dim=data.dim, fingerprint="f" * 64)
    for start in range(0, len(data), BATCH):
        block = range(start, min(start + BATCH, len(data)))
        images = Image.objects.bulk_create([_image(collection, number) for number in block], batch_size=1000)
        vectors = to_bytes(np.asarray(data.base[block.start : block.stop], np.float32))
        Embedding.objects.bulk_create(
            [
                Embedding(image=image, feature_model=model, vector=vector)
                for image, vector in zip(images, vectors, strict=True)
            ],
            batch_size=1000,
        )
        print(f"rows {block.stop} of {len(data)}", file=sys.stderr)
    ids = np.fromiter(Image.objects.order_by("id").values_list("id", flat=True), np.int64)
    return SearchIndex.objects.create(collection=collection, feature_model=model), ids


def _image(collection: Collection, number: int) -> Image:
    name = f"images/{number}.jpg"
    return Image(
        collection=collection, file=name, sha256=f"{number:064x}", size=1, width=9, height=9, format="JPEG", source=name
    )


def _built(index: SearchIndex) -> tuple[IndexBuild, dict[str, float]]:
    """In a process of its own, as a worker does it."""
    build = build_create(index)
    code = f"import django; django.setup(); from search.builds import build_run; build_run({build.pk})"
    child = subprocess.Popen([sys.executable, "-c", code])  # noqa: S603  (our own code)
    with Watch(child.pid) as watch:
        child.wait()
    build.refresh_from_db()
    if build.state != build.State.DONE:
        raise RuntimeError(f"The build failed: {build.error}")
    index.refresh_from_db()
    return build, watch.highest


@dataclass
class _Swap:
    index: SearchIndex
    data: AnnSet
    ids: Ids
    failed: list[str] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    builds: set[int] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> _Swap:
        searchers = [threading.Thread(target=self._search, args=(seed,)) for seed in range(SEARCHERS)]
        for thread in searchers:
            thread.start()
        time.sleep(20)  # the pages of the first build are in memory
        self.steady = settled()
        with Watch() as watch:
            self.second, _ = _built(self.index)
            before = len(self.ms)
            while len(self.builds) < 2 or len(self.ms) < before + 2000:
                time.sleep(0.1)
        self.highest = watch.highest
        self._stop.set()
        for thread in searchers:
            thread.join()
        self.after = status()
        return self

    def _search(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not self._stop.is_set():
            row = int(rng.integers(len(self.ids)))
            query = np.asarray(self.data.base[row], np.float32)
            start = time.perf_counter()
            try:
                self._judged(query, row)
            except Exception as error:
                self.failed.append(f"{type(error).__name__}: {error}")
            self.ms.append(1000 * (time.perf_counter() - start))

    def _judged(self, query: Descriptors, row: int) -> None:
        ranking, state = live(self.index).search(query, K, _facts)
        found = [hit.id for hit in ranking.hits]
        best = max(hit.score for hit in ranking.hits)
        # Copies of one crop may be there: the stored descriptor is first, or one with the very same score.
        if len(found) < K or ranking.hits[0].score < best or abs(best - float(query @ query)) > 1e-3:
            self.failed.append(f"{len(found)} hits, {best:.4f} first, for row {row}")
        if state.build is not None:
            self.builds.add(state.build.pk)

    def rows(self) -> Sequence[dict[str, Any]]:
        """Raises RuntimeError if a search failed: a figure beside a failure means nothing."""
        if self.failed:
            raise RuntimeError(f"{len(self.failed)} of {len(self.ms)} searches failed, first: {self.failed[0]}")
        return [
            {"what": f"swap, {len(self.ms)} searches, failed", "count": len(self.failed)},
            {"what": "swap, a search, median", "ms": round(float(np.median(self.ms)), 3)},
            {"what": "swap, a search, p99", "ms": round(float(np.percentile(self.ms, 99)), 3)},
            {
                "what": "swap, memory before",
                "MiB": round(self.steady["rss"]),
                "own MiB": round(self.steady["anon"]),
            },
            {
                "what": "swap, highest memory",
                "MiB": round(self.highest["rss"]),
                "own MiB": round(self.highest["anon"]),
                "times before": round(self.highest["rss"] / self.steady["rss"], 2),
            },
        ]


def _facts(ids: Sequence[int]) -> dict[int, Facts]:
    return dict.fromkeys(ids, Facts())
