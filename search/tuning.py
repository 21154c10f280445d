"""The factory and the search parameters that suit one collection, found by trying.

``SearchIndex.tuning`` keeps what was tried:

{
  "target": 0.95,          asked ann_recall@10, after the fine tier
  "queries": 200,          held out of the collection; half of them chose, the other half gave the figures
  "count": 123456,         pictures searched
  "made": "2026-01-31T12:00:00+00:00",
  "max_bytes": null,       asked bytes a picture in memory, at most; null: no limit
  "points": [              by rising latency
    {
      "factory": "RR,IVF1024_HNSW32,RaBitQ", "search_params": {"nprobe": 32}, "fine_depth": 200,
      "recall": 0.981,     ann_recall@10 after the fine tier
      "ms": 0.41,          median of one query on one thread, coarse and fine
      "p99_ms": 0.77,
      "bytes": 88.5,       a picture, in memory
      "frontier": true,    no other point is at least as good in all of recall, ms and bytes
      "chosen": true       one point at most; none if none reached the target
    }
  ]
}
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone

from catalog.errors import LookalikeError, gettext_noop
from search.building import BadEmbeddings
from search.indexes import build_index, set_threads
from search.indexes.trials import Ground, Point, Report, Trial, candidates, chosen_of, settings_for, shown, swept
from search.models import Engine, SearchIndex
from search.side import embeddings_of, stream
from search.types import Descriptors, Ids

SEED = 20
LEAST = 1000  # pictures
QUERIES = 200
SAMPLE_AT_LEAST, POINTS_PER_CELL, SAMPLE_MAX_BYTES = 50_000, 64, 1024**3


class TooFewToTune(LookalikeError):
    code = "too_few_to_tune"
    text = gettext_noop("The collection %(collection)s has %(count)s embedded pictures: too few to tune an index on.")
    cure = gettext_noop("Leave the factory empty: all pictures are compared, which is exact and takes well below 1 ms.")
    status = 409


class NotTunable(LookalikeError):
    code = "not_tunable"
    text = gettext_noop("The index %(index)s is kept by %(engine)s: only FAISS's indexes are tuned here.")
    cure = gettext_noop("Choose the engine FAISS for it, or tune another index.")
    status = 409


@dataclass(frozen=True)
class Tuning:
    """What was tried. ``chosen`` is among ``points``, or None if none reached the target."""

    points: list[Point]
    chosen: Point | None
    target: float
    max_bytes: float | None
    queries: int
    count: int

    def to_dict(self) -> dict[str, Any]:
        """As ``SearchIndex.tuning`` keeps it."""
        return {
            "target": self.target,
            "max_bytes": self.max_bytes,
            "queries": self.queries,
            "count": self.count,
            "made": timezone.now().isoformat(timespec="seconds"),
            "points": [_rounded(point) for point in self.points],
        }


def _rounded(point: Point) -> dict[str, Any]:
    digits = {"recall": 4, "ms": 4, "p99_ms": 4, "bytes": 1}
    return {name: round(value, digits[name]) if name in digits else value for name, value in asdict(point).items()}


def tune(
    index: SearchIndex,
    *,
    target: float = 0.95,
    max_bytes: float | None = None,
    factories: Sequence[str] = (),
    queries: int = QUERIES,
    report: Report = lambda _stage, _done, _total: None,
) -> Tuning:
    """Try ``factories``, or those that suit the size, on the index's own descriptors. Nothing is stored.

    ``target``: least ann_recall@10 after the fine tier; ``max_bytes``: most bytes a picture in memory.
    Raises TooFewToTune, NotTunable, BadFactory, BadEmbeddings. What ``report`` raises ends it.
    """
    if index.engine != Engine.FAISS:
        raise NotTunable(index=index, engine=index.get_engine_display())
    dim = index.feature_model.dim
    for factory in factories:
        build_index(factory, dim)  # raises before any work is done
    with _originals(index, dim, report) as rows:
        count = len(rows)
        held_out = max(2, min(queries, count // 5))
        ground = Ground.lay(lambda wanted: np.asarray(rows[wanted], np.float32), count, held_out, SEED, report)
        trials: list[Trial] = []
        for factory in factories or candidates(count, dim):
            trials += _tried(ground, factory, dim, report)
    best = chosen_of(trials, target, max_bytes)
    points = shown(trials, best)
    return Tuning(points, next((p for p in points if p.chosen), None), target, max_bytes, held_out, count)


def tuning_store(index: SearchIndex, tuning: Tuning, *, apply: bool = True) -> None:
    """Keep what was tried; with ``apply`` search as chosen from the next build on."""
    index.tuning, changed = tuning.to_dict(), ["tuning"]
    if apply and tuning.chosen is not None:
        index.preset, index.factory = "", tuning.chosen.factory
        index.search_params, index.fine_depth = dict(tuning.chosen.search_params), tuning.chosen.fine_depth
        changed += ["preset", "factory", "search_params", "fine_depth"]
    index.save(update_fields=changed)


def _tried(ground: Ground, factory: str, dim: int, report: Report) -> list[Trial]:
    set_threads(settings.FAISS_THREADS or os.cpu_count() or 1)
    index = build_index(factory, dim)
    ground.fill(index, _sample(ground.rows, factory, dim), lambda done, total: report(factory, done, total))
    set_threads(1)
    ways, trials = settings_for(index), list[Trial]()
    for number, way in enumerate(ways):
        report(f"{factory} searched", number, len(ways))
        trials += swept(index, factory, ground, [way])
    report(f"{factory} searched", len(ways), len(ways))
    return trials


def _sample(rows: Ids, factory: str, dim: int) -> Ids:
    """Of the rows, to train on; as large as a build takes it."""
    cells = re.search(r"IVF(\d+)", factory)
    size = max(SAMPLE_AT_LEAST, POINTS_PER_CELL * int(cells[1]) if cells else 0)
    size = min(size, SAMPLE_MAX_BYTES // (4 * dim), len(rows))
    return np.sort(np.random.default_rng(SEED).choice(rows, size, replace=False))


@contextmanager
def _originals(index: SearchIndex, dim: int, report: Report) -> Iterator[Descriptors]:
    """(n, dim) float16, as stored now, in a file that is gone afterwards."""
    wanted = embeddings_of(index)
    total = wanted.count()
    if total < LEAST:
        raise TooFewToTune(collection=index.collection.slug, count=total)
    root = Path(settings.INDEX_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="tuning-", dir=root) as folder:
        path, done = Path(folder) / "originals.f16", 0
        with path.open("wb") as file:
            try:
                for _, ids, x in stream(wanted, dim):
                    x.astype("<f2").tofile(file)
                    done += len(ids)
                    report("reading", done, max(done, total))
            except ValueError as error:
                raise BadEmbeddings(model=index.feature_model, reason=error) from error
        yield np.memmap(path, np.dtype("<f2"), "r", shape=(done, dim))
