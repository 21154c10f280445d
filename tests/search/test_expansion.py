"""Query expansion against a plain loop over all descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from search.expansion import BadExpansion, Expansion, expand, expanded
from search.indexes import ExactIndex, build_index
from search.ranking import Pipeline
from search.types import Descriptors, Ids
from tests.search.indexes.descriptors import clustered

DIM, COUNT = 32, 600
IDS = np.arange(COUNT, dtype=np.int64) * 3 + 5


class Held:
    """Originals in memory."""

    def __init__(self, ids: Ids, x: Descriptors) -> None:
        self.ids, self._x = ids, x

    def holds(self, ids: Ids) -> np.ndarray:
        return np.isin(ids, self.ids)

    def vectors(self, ids: Ids) -> Descriptors:
        return self._x[np.searchsorted(self.ids, ids)]

    def scores(self, query: Descriptors, ids: Ids) -> np.ndarray:
        return self.vectors(ids) @ query


@pytest.fixture(scope="module")
def x() -> Descriptors:
    return clustered(COUNT, DIM, seed=1)


@pytest.fixture(params=["side", "build", "both"])
def pipeline(request: pytest.FixtureRequest, x: Descriptors) -> Iterator[Pipeline]:
    """All beside a build, all in one, and half in each with some pictures embedded again."""
    side = ExactIndex(DIM)
    if request.param == "side":
        side.add(IDS, x)
        yield Pipeline(side=side)
        return
    old = x.copy()
    superseded = np.empty(0, np.int64)
    in_build = np.arange(COUNT) < (COUNT if request.param == "build" else 400)
    if request.param == "both":
        side.add(IDS[350:], x[350:])
        superseded, old[350:400] = IDS[350:400], -x[350:400]
    index = build_index("Flat", DIM)
    index.train(old[in_build])
    index.add(IDS[in_build], old[in_build])
    yield Pipeline(side=side, index=index, originals=Held(IDS[in_build], old[in_build]), superseded=superseded)


def naive(x: Descriptors, query: Descriptors, expansion: Expansion, banned: Ids) -> Descriptors:
    scores = [(-float(row @ query), id_, row) for id_, row in zip(IDS.tolist(), x, strict=True) if id_ not in banned]
    whole = query.astype(np.float64)
    for score, _, row in sorted(scores, key=lambda entry: entry[:2])[: expansion.k]:
        weight = max(-score, 0.0) ** expansion.alpha if expansion.method == "alpha" else 1.0
        whole = whole + weight * row
    return whole / np.linalg.norm(whole)


@pytest.mark.parametrize("expansion", [Expansion("average", 5), Expansion("alpha", 8, 3.0), Expansion("alpha", 1, 0.0)])
def test_it_is_what_the_plain_loop_gives(pipeline: Pipeline, x: Descriptors, expansion: Expansion) -> None:
    queries = clustered(300, DIM, seed=2)[:270]  # more than a block
    banned = [IDS[np.argsort(-(x @ query))[:2]] if n % 2 else IDS[:0] for n, query in enumerate(queries)]
    found = expand(pipeline, queries, expansion, banned)
    for query, got, ids in zip(queries, found, banned, strict=True):
        np.testing.assert_allclose(got, naive(x, query, expansion, ids), atol=1e-5)


def test_alpha_nought_is_the_average(pipeline: Pipeline) -> None:
    queries = clustered(5, DIM, seed=3)
    alpha, average = (expand(pipeline, queries, Expansion(method, 4, 0.0)) for method in ("alpha", "average"))
    np.testing.assert_allclose(alpha, average, atol=1e-6)


def test_a_score_times_the_length_is_a_mean_of_scores(pipeline: Pipeline, x: Descriptors) -> None:
    query = clustered(1, DIM, seed=4)
    rows, lengths = expanded(pipeline, query, Expansion("average", 3))
    best = np.argsort(-(x @ query[0]))[:3]
    np.testing.assert_allclose(
        lengths[0] * (x @ rows[0]), (x @ np.concatenate([query, x[best]]).T).mean(axis=1), atol=1e-5
    )


def test_nothing_to_average_with_leaves_the_query() -> None:
    query = clustered(2, DIM)
    empty = Pipeline(side=ExactIndex(DIM))
    np.testing.assert_allclose(expand(empty, query, Expansion("average", 3)), query, atol=1e-6)
    assert expand(empty, query, Expansion.none()) is query


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ([], "expansion"),
        ("alpha", "expansion"),
        ({"method": "beta"}, "method"),
        ({"method": ["alpha"]}, "method"),
        ({"k": 0}, "k"),
        ({"k": 1000}, "k"),
        ({"k": 2.5}, "k"),
        ({"k": True}, "k"),
        ({"alpha": -1}, "alpha"),
        ({"alpha": "3"}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"depth": 3}, "depth"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given: Any, name: str) -> None:
    with pytest.raises(BadExpansion, match=rf"^{name} of the query expansion cannot be"):
        Expansion.from_dict(given)


def test_it_is_read_as_it_is_written() -> None:
    assert not Expansion.from_dict({})
    assert Expansion.from_dict({"method": "alpha", "k": 7, "alpha": 2}) == Expansion("alpha", 7, 2.0)
    assert Expansion.from_dict(Expansion("average", 3).to_dict()) == Expansion("average", 3)
    assert not Expansion.from_dict({"method": "none"})
