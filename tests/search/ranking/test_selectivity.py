"""Filters inside the search, at every selectivity and with every main kind of index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from search.indexes import ExactIndex, build_index
from search.ranking import Facts, Pipeline
from search.ranking.selectivity import exact_up_to
from search.types import Ids
from tests.search.indexes.descriptors import clustered
from tests.search.ranking.test_pipeline import Originals

COUNT, DIM, K = 20_000, 32, 10
X, QUERIES = clustered(COUNT, DIM), clustered(60, DIM, seed=1)
IDS = np.random.default_rng(2).permutation(3 * COUNT)[:COUNT].astype(np.int64)


class Kind(NamedTuple):
    factory: str
    params: dict[str, Any]


KINDS = [
    Kind("Flat", {}),
    Kind("HNSW16,SQ8", {"efSearch": 64}),
    Kind("IVF128,SQ8", {"nprobe": 8}),
    Kind("IVF128,RaBitQ", {"nprobe": 12}),
    Kind("IVF128,PQ16x4fs", {"nprobe": 12}),
]


@pytest.fixture(scope="module", params=KINDS, ids=[kind.factory for kind in KINDS])
def served(request: pytest.FixtureRequest) -> Pipeline:
    kind: Kind = request.param
    index = build_index(kind.factory, DIM)
    index.train(X)
    index.add(IDS, X)
    return Pipeline(
        side=ExactIndex(DIM), index=index, originals=Originals(IDS, X), search_params=kind.params, fine_depth=200
    )


@pytest.fixture(scope="module")
def oracle() -> ExactIndex:
    oracle = ExactIndex(DIM)
    oracle.add(IDS, X)
    return oracle


def there(ids: Sequence[int]) -> Mapping[int, Facts]:
    return dict.fromkeys(ids, Facts())


def ann_recall(pipeline: Pipeline, oracle: ExactIndex, allowed: Ids | None = None) -> float:
    """Of the first ten, against exact search under the same filter; every search full."""
    prepared = None if allowed is None or pipeline.index is None else pipeline.index.prepare(allowed)
    truth = oracle.search(QUERIES, K, allowed)[1]
    wanted, overlap = COUNT if allowed is None else len(allowed), []
    for query, row in zip(QUERIES, truth, strict=True):
        found = [hit.id for hit in pipeline.search(query, K, there, allowed=prepared).hits]
        assert len(set(found)) == min(K, wanted)
        overlap.append(len(set(found) & set(row.tolist())) / max(1, len(found)))
    return float(np.mean(overlap))


@pytest.mark.parametrize("by_the_index", [False, True], ids=["as served", "by the index alone"])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_a_filter_costs_no_recall(served: Pipeline, oracle: ExactIndex, share: float, by_the_index: bool) -> None:
    unfiltered = ann_recall(served, oracle)
    assert unfiltered > 0.8
    allowed = np.random.default_rng(int(share * 1000)).choice(IDS, int(share * COUNT), replace=False)
    found = ann_recall(replace(served, exact_up_to=0) if by_the_index else served, oracle, allowed)
    assert found >= unfiltered - 1 / (K * len(QUERIES))  # but for one hit of six hundred
    if not by_the_index and len(allowed) <= exact_up_to(COUNT):
        assert found == 1.0


@pytest.mark.parametrize("by_the_index", [False, True])
def test_a_filter_that_lets_nothing_through(served: Pipeline, by_the_index: bool) -> None:
    for allowed in (np.empty(0, np.int64), np.array([10**9, 10**9 + 1])):
        ranking = replace(served, exact_up_to=0 if by_the_index else None).search(QUERIES[0], K, there, allowed=allowed)
        assert (ranking.hits, ranking.has_more) == ([], False)


@pytest.mark.parametrize("by_the_index", [False, True])
def test_what_passes_lies_where_the_index_does_not_look(
    served: Pipeline, oracle: ExactIndex, by_the_index: bool
) -> None:
    """Filters are not chance: all shoes lie together, and far from the query, a cup."""
    pipeline, found = replace(served, exact_up_to=0 if by_the_index else None), []
    for query in QUERIES[:20]:
        far = oracle.search(-query[None], 3000)[1][0]
        hits = [hit.id for hit in pipeline.search(query, K, there, allowed=far).hits]
        assert len(hits) == K
        found.append(len(set(hits) & set(oracle.search(query[None], K, far)[1][0].tolist())) / K)
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize("filtered", [False, True])
def test_of_very_many_the_codes_are_looked_through_not_the_originals(
    served: Pipeline, oracle: ExactIndex, filtered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten million originals would be read from the disk: all cells are searched instead, and k is filled."""
    if "nprobe" not in served.search_params:
        pytest.skip("it does not look in cells")
    monkeypatch.setattr("search.ranking.retrieval.MOST", 1000)
    narrow = replace(served, search_params={"nprobe": 1}, exact_up_to=0)
    far = oracle.search(-QUERIES[:1], 3000)[1][0] if filtered else None
    narrow.originals.scored = 0  # type: ignore[union-attr]
    k = 50 if filtered else 1500
    hits = [hit.id for hit in narrow.search(QUERIES[0], k, there, allowed=far).hits]
    assert len(set(hits)) == k
    assert narrow.originals.scored <= 4 * 1501  # type: ignore[union-attr]
    truth = oracle.search(QUERIES[:1], k, far)[1][0]
    rough = filtered and "SQ8" not in served.index.factory  # type: ignore[union-attr]
    assert len(set(hits) & set(truth.tolist())) >= (0.4 if rough else 0.9) * k  # few bits tell little far away
