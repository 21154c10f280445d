"""What compression would cost a collection: its own queries and labels on every factory, before any is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Benchmark, Query
from search.deep_ranking import deep_ranking
from search.embedding import descriptor_of
from search.evaluation import Ranking, Truth, parse_metrics, protocol_named
from search.evaluation.evaluate import judge, score
from search.evaluation.report import mean
from search.ground_truth import GroundTruth
from search.indexes import ExactIndex, Index, build_index, default_params
from search.models import SearchIndex
from search.ranking import Pipeline
from search.side import embeddings_of, stream
from search.types import Descriptors, Ids, Scores

# One of each kind. All codes are compared: what cells or a graph miss is another question (ann_recall, tune_index).
USUAL = (
    "Flat",
    "PCA512,Flat",
    "PCA256,Flat",
    "PCA128,Flat",
    "SQ8",
    "ITQ512",
    "ITQ256",
    "OPQ64,PQ64x4fs",
    "PQ64",
    "RR,RaBitQ",
)
METRICS = ("mAP", "mAP@10")
QUERIES_AT_ONCE = 128
TRAINED_ON = 50_000


class NothingToCompare(LookalikeError):
    code = "nothing_to_compare"
    text = gettext_noop("%(what)s is empty: there is nothing to compare factories on.")
    cure = gettext_noop("Embed the collection, and import labels or make a benchmark from its categories.")
    status = 409


@dataclass(frozen=True)
class Row:
    """``alone``: ranked by the codes; ``fine``: the first ``fine_depth`` re-scored with the original descriptors."""

    factory: str
    bytes_per_picture: float
    alone: dict[str, float | None]
    fine: dict[str, float | None]


class MemoryOriginals:
    """The descriptors themselves, for the fine tier. ``ids`` (n,) rising, ``rows`` (n, dim)."""

    def __init__(self, ids: Ids, rows: Descriptors) -> None:
        self._ids, self.rows = ids, rows

    @property
    def ids(self) -> Ids:
        return self._ids

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        return np.isin(ids, self._ids)

    def vectors(self, ids: Ids) -> Descriptors:
        return self.rows[np.searchsorted(self.ids, ids)]

    def scores(self, query: Descriptors, ids: Ids) -> Scores:
        return np.asarray(self.vectors(ids) @ query, np.float32)


@dataclass
class FactoryComparison:
    """Raises NothingToCompare at once; ``rows`` yields one factory after the other."""

    index: SearchIndex
    benchmark: Benchmark
    fine_depth: int = 2000
    limit: int = 0  # queries, evenly spread; 0: all
    protocol: str = "medium"
    _queries: list[Query] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._metrics = parse_metrics(METRICS)
        self._originals = self._gallery()
        rows = list(self.benchmark.queries.select_related("image__product").order_by("id"))
        self._queries = rows[:: max(1, len(rows) // self.limit)] if self.limit else rows
        if not len(self._originals.ids) or not self._queries:
            raise NothingToCompare(what=self.index if self._queries else self.benchmark)
        truth = GroundTruth(self.benchmark, protocol_named(self.protocol))
        self._truths = [judgement.truth for judgement in truth.of(self._queries)]
        model = self.index.feature_model
        self._x = np.stack([descriptor_of(query.image, model, _box(query)) for query in self._queries])

    def _gallery(self) -> MemoryOriginals:
        ids, rows = [np.empty(0, np.int64)], [np.empty((0, self.index.feature_model.dim), np.float32)]
        for _, image_ids, vectors in stream(embeddings_of(self.index), self.index.feature_model.dim):
            ids.append(image_ids)
            rows.append(vectors)
        every = np.concatenate(ids)
        order = np.argsort(every)
        return MemoryOriginals(every[order], np.concatenate(rows)[order])

    def rows(self, factories: Iterable[str] = USUAL) -> Iterator[Row]:
        """Raises BadFactory for one that cannot be made of these descriptors."""
        for factory in factories:
            index = self._built(factory)
            size = index.code_bytes() / len(index)
            yield Row(factory, size, self._scored(index, 0), self._scored(index, self.fine_depth))

    def _built(self, factory: str) -> Index:
        ids, x = self._originals.ids, self._originals.rows
        index = build_index(factory, x.shape[1], **default_params(factory))
        sample = np.random.default_rng(0).permutation(len(x))[:TRAINED_ON]
        index.train(x[np.sort(sample)])
        index.add(ids, x)
        return index

    def _scored(self, index: Index, fine: int) -> dict[str, float | None]:
        pipeline = Pipeline(side=ExactIndex(self._x.shape[1]), index=index, originals=self._originals)
        results = [
            score(self._metrics, judge(number, Ranking(ids[ids >= 0]), truth))
            for number, ids, truth in self._ranked(pipeline, fine)
        ]
        return {metric.name: mean(row.get(metric.per_query) for row in results) for metric in self._metrics}

    def _ranked(self, pipeline: Pipeline, fine: int) -> Iterator[tuple[int, Ids, Truth]]:
        """Of the queries that have positives. What leaves a ranking is fetched, and re-scored, beyond the depth."""
        numbers = [number for number, truth in enumerate(self._truths) if truth.relevant]
        for start in range(0, len(numbers), QUERIES_AT_ONCE):
            block = numbers[start : start + QUERIES_AT_ONCE]
            leaving = max(len(self._truths[number].ignored) for number in block) if fine else 0
            ids, _ = deep_ranking(pipeline, self._x[block], len(self._originals.ids), fine + leaving)
            for number, row in zip(block, ids, strict=True):
                yield number, row, self._truths[number]


def _box(query: Query) -> tuple[int, int, int, int] | None:
    if query.box is None:
        return None
    x, y, width, height = (round(value) for value in query.box)
    return x, y, width, height


def table(rows: Sequence[Row]) -> list[dict[str, object]]:
    """As plain values, each row's loss with the fine tier against the first row's figure alone."""
    whole = rows[0].alone["mAP"] if rows else None
    return [
        {
            "factory": row.factory,
            "bytes a picture": round(row.bytes_per_picture, 1),
            **{f"{name} alone": _rounded(value) for name, value in row.alone.items()},
            **{f"{name} fine": _rounded(value) for name, value in row.fine.items()},
            "loss with fine": None if whole is None or row.fine["mAP"] is None else round(whole - row.fine["mAP"], 4),
        }
        for row in rows
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
