"""Maximal marginal relevance, against the formula written out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from search.ranking import Candidate, Context, rules_from
from tests.search.indexes.descriptors import clustered

X = clustered(60, 16, clusters=5)
QUERY = clustered(1, 16, clusters=5, seed=3)[0]


def given() -> list[Candidate]:
    scores = X @ QUERY
    return [Candidate(int(n), float(scores[n])) for n in np.argsort(-scores, kind="stable")]


def vectors(ids: Sequence[int]) -> np.ndarray:
    return X[list(ids)]


def diversified(candidates: list[Candidate], **options: object) -> list[Candidate]:
    return rules_from([{"rule": "diversity", **options}])[0].apply(candidates, Context(vectors=vectors))


def by_the_formula(candidates: list[Candidate], weight: float) -> list[int]:
    left, placed = list(candidates), [candidates[0].id]
    left.pop(0)
    while left:
        values = [
            weight * c.score - (1 - weight) * max(float(np.float64(X[c.id]) @ np.float64(X[p])) for p in placed)
            for c in left
        ]
        placed.append(left.pop(int(np.argmax(values))).id)
    return placed


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7])
def test_it_is_maximal_marginal_relevance(weight: float) -> None:
    found = diversified(given(), weight=weight, within=60)
    assert [c.id for c in found] == by_the_formula(given(), weight)


def test_a_weight_of_one_changes_nothing() -> None:
    assert diversified(given(), weight=1) == given()


def test_copies_come_later_and_say_why() -> None:
    x = np.eye(4, dtype=np.float32)[[0, 0, 1]]
    copies = [Candidate(0, 0.9), Candidate(1, 0.89), Candidate(2, 0.5)]
    rule = rules_from([{"rule": "diversity", "weight": 0.5}])[0]
    found = rule.apply(copies, Context(vectors=lambda ids: x[list(ids)]))
    assert [(c.id, [str(r) for r in c.reasons]) for c in found] == [
        (0, []),
        (2, ["unlike the hits before it: moved up 1"]),
        (1, ["like a hit before it: moved down 1"]),
    ]


def test_only_the_first_are_spread() -> None:
    found = diversified(given(), weight=0.2, within=10)
    assert {c.id for c in found[:10]} == {c.id for c in given()[:10]}
    assert found[10:] == given()[10:]


def test_nothing_and_one() -> None:
    assert diversified([]) == []
    assert diversified(given()[:1]) == given()[:1]
