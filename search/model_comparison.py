"""Which feature model suits a collection: its own queries and labels, ranked exactly with each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from catalog.models import Benchmark
from search.embedding import embed_pending, feature_model_prepare
from search.factory_comparison import FactoryComparison
from search.models import FeatureModel, SearchIndex

Progress = Callable[[FeatureModel, int, int], None]


@dataclass(frozen=True)
class Row:
    """``metrics``: of exact search over the whole gallery."""

    model: FeatureModel
    metrics: dict[str, float | None]


def compare(
    benchmark: Benchmark, models: Iterable[FeatureModel], *, limit: int = 0, on_progress: Progress | None = None
) -> Iterator[Row]:
    """Embed the benchmark's collection with each model, as far as it is not yet, and measure. No index is made.

    ``limit``: queries, evenly spread; 0: all. Raises NothingToCompare, and what opening a model raises.
    """
    collection = benchmark.collection
    for model in models:
        ready = model if model.fingerprint else feature_model_prepare(model)

        def report(done: int, total: int, model: FeatureModel = ready) -> None:
            if on_progress:
                on_progress(model, done, total)

        embed_pending(collection, ready, on_progress=report)
        comparison = FactoryComparison(SearchIndex(collection=collection, feature_model=ready), benchmark, limit=limit)
        (row,) = comparison.rows(["Flat"])
        yield Row(ready, row.alone)
