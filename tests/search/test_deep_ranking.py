"""Whole rankings against the exact index, and the tiers they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.deep_ranking import ExactTop, collapsed, deep_ranking, ruled
from search.indexes import ExactIndex, build_index
from search.ranking import Facts, Pipeline, rules_from

DIM = 24


class Stored:
    """Originals in memory."""

    def __init__(self, ids: np.ndarray, x: np.ndarray) -> None:
        self.ids, self.x = ids, x

    def holds(self, ids: np.ndarray) -> np.ndarray:
        return np.isin(ids, self.ids)

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        return self.x[np.searchsorted(self.ids, ids)]

    def scores(self, query: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return self.x[np.searchsorted(self.ids, ids)] @ query


def unit(count: int, seed: int = 0) -> np.ndarray:
    """Overlapping clusters with a decaying spectrum."""
    rng = np.random.default_rng(seed)
    x = (
        rng.standard_normal((count, DIM)) / np.sqrt(np.arange(1, DIM + 1))
        + rng.standard_normal((8, DIM))[rng.integers(0, 8, count)]
    )
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def pipeline_of(ids: np.ndarray, x: np.ndarray, factory: str, **params: int) -> Pipeline:
    index = build_index(factory, DIM)
    index.train(x)
    index.add(ids, x)
    return Pipeline(side=ExactIndex(DIM), index=index, originals=Stored(ids, x), search_params=params)


def rows(ids: np.ndarray) -> list[list[int]]:
    return [[i for i in row if i >= 0] for row in ids.tolist()]


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.arange(10, 610, dtype=np.int64), unit(600), unit(9, seed=1)


@pytest.mark.parametrize("fine", [0, 5, 700])
def test_a_flat_index_ranks_like_exact_search(data, fine):
    ids, x, queries = data
    exact = ExactIndex(DIM)
    exact.add(ids, x)
    found, _ = deep_ranking(pipeline_of(ids, x, "Flat"), queries, 600, fine)
    assert rows(found) == exact.search(queries, 600)[1].tolist()


def test_the_head_is_fine_and_the_tail_stays_coarse(data):
    """A coarse index is not judged by an exact search in disguise: behind the head its own order stands."""
    ids, x, queries = data
    pipeline = pipeline_of(ids, x, "PQ4x4")
    coarse = pipeline.index.search(queries, 600)[1]
    found, scores = deep_ranking(pipeline, queries, 600, 50)
    for row, query in enumerate(queries):
        head = coarse[row, :50]
        true = {int(i): float(x[i - 10] @ query) for i in head}
        assert rows(found)[row][:50] == sorted(true, key=lambda i: (-true[i], i))
        assert rows(found)[row][50:] == coarse[row, 50:].tolist()
        kept = scores[row][found[row] >= 0][:50]
        np.testing.assert_allclose(kept, sorted(true.values(), reverse=True), atol=1e-6)


def test_every_picture_comes_once_and_newer_ones_take_their_place(data):
    ids, x, queries = data
    fresh, moved = np.arange(1000, 1030, dtype=np.int64), ids[:5]
    side = ExactIndex(DIM)
    side.add(np.concatenate([moved, fresh]), np.concatenate([-x[:5], unit(30, seed=2)]))
    pipeline = replace(pipeline_of(ids, x, "Flat"), side=side, superseded=moved)
    exact = ExactIndex(DIM)
    exact.add(ids[5:], x[5:])
    exact.add(side.ids, np.concatenate([-x[:5], unit(30, seed=2)]))
    for fine in (20, 700):
        found, _ = deep_ranking(pipeline, queries, 630, fine)
        assert rows(found) == exact.search(queries, 630)[1].tolist()


def test_the_head_is_asked_for_as_a_visitor_asks(data):
    """Asked for all 600, this index refines all of them; the head must not profit from that."""
    ids, x, queries = data
    pipeline = pipeline_of(ids, x, "PQ4x4,RFlat")
    as_served = pipeline.index.search(queries, 4)[1]
    assert (pipeline.index.search(queries, 600)[1][:, :4] != as_served).any()
    found, _ = deep_ranking(pipeline, queries, 600, 4)
    assert [row[:4] for row in rows(found)] == as_served.tolist()


def test_exact_top_is_exact_in_any_blocks():
    rng = np.random.default_rng(4)
    x = unit(500)
    x[100:120] = x[7]  # ties
    ids = rng.permutation(5000)[:500].astype(np.int64)
    queries = np.concatenate([unit(6, seed=3), x[7:8]])
    exact = ExactIndex(DIM)
    exact.add(ids, x)
    for block in (1, 13, 500):
        top = ExactTop(queries, 15)
        for start in range(0, 500, block):
            top.add(ids[start : start + block], x[start : start + block])
        scores = np.take_along_axis(queries @ x.T, np.argsort(ids)[np.searchsorted(np.sort(ids), top.ids)], 1)
        wanted = exact.search(queries, 15)[1]
        np.testing.assert_allclose(scores, -np.sort(-(queries @ x.T), axis=1)[:, :15], atol=1e-6)
        assert (np.sort(top.ids[:6], axis=1) == np.sort(wanted[:6], axis=1)).all()
        # 21 equal descriptors want 15 places: the smaller ids have them.
        assert top.ids[6].tolist() == sorted([int(ids[7]), *ids[100:120].tolist()])[:15]


def test_exact_top_of_fewer_than_k():
    top = ExactTop(unit(2), 10)
    top.add(np.array([3, 1], np.int64), unit(2, seed=5))
    assert top.ids.shape == (2, 2)


def test_collapsed_keys_do_not_meet():
    assert collapsed(np.array([0, 1, 2, 3]), {1: 7, 3: 7}).tolist() == [-1, 7, -3, 7]


def test_rules_are_the_ones_that_serve():
    pipeline = Pipeline(side=ExactIndex(DIM), rules=rules_from([{"rule": "min_score", "score": 0.5}]))
    ids, scores = ruled(pipeline, np.array([5, 6, 7]), np.array([0.9, 0.6, 0.1]), {5: Facts(), 7: Facts()})
    assert ids.tolist() == [5]
    assert scores.tolist() == [np.float32(0.9)]


def test_rules_reach_as_deep_as_in_a_search(data):
    """A pinned picture is found wherever it stands; what moves hits sees the first ``rules_depth`` alone."""
    ids, x, queries = data
    rules = rules_from([{"rule": "boost", "category": "b", "by": 0.5}, {"rule": "pin", "skus": ["last"]}])
    pipeline = replace(pipeline_of(ids, x, "Flat"), rules=rules, rules_depth=20)
    before, scores = deep_ranking(pipeline, queries[:1], 600, 200)
    order = before[0][before[0] >= 0]
    facts = {int(i): Facts(int(i), category="b" if place % 3 == 0 else "a") for place, i in enumerate(order)}
    facts[int(order[-1])] = Facts(1, sku="last")
    after, _ = ruled(pipeline, order, scores[0][before[0] >= 0], facts)
    assert after[0] == order[-1]
    assert sorted(after[1:21]) == sorted(order[:20])
    assert after[1:21].tolist() != order[:20].tolist()
    assert after[21:].tolist() == order[20:-1].tolist()


def test_diversity_is_judged_too(data):
    ids, x, queries = data
    pipeline = replace(pipeline_of(ids, x, "Flat"), rules=rules_from([{"rule": "diversity", "weight": 0.1}]))
    found, scores = deep_ranking(pipeline, queries[:1], 100, 100)
    after, _ = ruled(pipeline, found[0], scores[0], {int(i): Facts() for i in found[0]})
    assert after.tolist() != found[0].tolist()
    assert sorted(after) == sorted(found[0])
