"""The descriptor that several examples make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.examples import MOST, BadExamples, Example, away, combined, examples_check, liked
from search.types import Descriptors

DIM = 16
WEIGHTS = st.floats(0.1, 10)
SIGNS = st.lists(st.booleans(), min_size=1, max_size=8)


def unit_rows(count: int, seed: int = 0) -> Descriptors:
    """Rows that all resemble each other somewhat, as those of networks do."""
    x = np.random.default_rng(seed).standard_normal((count, DIM)) + 0.7
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def weights(signs: list[bool], seed: int) -> np.ndarray:
    heavy = np.random.default_rng(seed).uniform(0.1, 5, len(signs) + 1)
    return np.where([True, *signs], heavy, -heavy)


def test_one_example_is_itself() -> None:
    x = unit_rows(1)
    np.testing.assert_allclose(combined(x, np.array([3.0])), x[0], atol=1e-6)
    assert liked(x, np.array([3.0]))[1] == pytest.approx(1, abs=1e-6)


@given(SIGNS, st.integers(0, 10_000), st.floats(0.01, 100))
def test_only_the_ratio_of_weights_counts(signs: list[bool], seed: int, scale: float) -> None:
    x, w = unit_rows(len(signs) + 1, seed), weights(signs, seed)
    np.testing.assert_allclose(combined(x, w), combined(x, scale * w), atol=1e-5)


@given(SIGNS, st.integers(0, 10_000))
def test_the_order_of_examples_does_not_count(signs: list[bool], seed: int) -> None:
    x, w = unit_rows(len(signs) + 1, seed), weights(signs, seed)
    other = np.random.default_rng(seed).permutation(len(w))
    np.testing.assert_allclose(combined(x, w), combined(x[other], w[other]), atol=1e-5)


@given(SIGNS, st.integers(0, 10_000))
def test_negatives_never_turn_the_query_round(signs: list[bool], seed: int) -> None:
    x, w = unit_rows(len(signs) + 1, seed), weights(signs, seed)
    query = combined(x, w)
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)
    assert query @ liked(x, w)[0] > 0


@given(st.integers(1, 5), st.integers(0, 10_000), WEIGHTS)
def test_a_negative_lowers_its_own_score_more_the_heavier_it_is(likes: int, seed: int, weight: float) -> None:
    x = unit_rows(likes + 1, seed)
    scores = [x[-1] @ combined(x, np.array([*[1.0] * likes, -heavy])) for heavy in (1e-9, weight, 1.5 * weight)]
    assert scores[1] < scores[0] + 1e-6
    assert scores[2] <= scores[1] + 1e-6


def test_unlike_a_copy_of_what_is_liked_changes_nothing() -> None:
    x = np.repeat(unit_rows(1), 2, axis=0)
    np.testing.assert_allclose(combined(x, np.array([1.0, -1.0])), x[0], atol=1e-6)


def test_many_negatives_weigh_no_more_than_one() -> None:
    x = unit_rows(2)
    many = np.concatenate([x[:1], np.repeat(x[1:], 20, axis=0)])
    np.testing.assert_allclose(
        combined(many, np.array([1.0, *[-1.0] * 20])), combined(x, np.array([1.0, -1.0])), atol=1e-6
    )


def test_the_length_makes_the_score_a_mean_of_scores() -> None:
    x, w = unit_rows(5), np.array([1.0, 2.0, 0.5])
    query, length = liked(x[:3], w)
    np.testing.assert_allclose(length * (x @ query), np.average(x @ x[:3].T, axis=1, weights=w), atol=1e-6)
    np.testing.assert_array_equal(away(query, x[:3], w), query)


@pytest.mark.parametrize(
    ("examples", "reason"),
    [
        ([], "none of them"),
        ([Example(data=b"x", weight=-1)], "none of them"),
        ([Example()], "exactly one"),
        ([Example(data=b"x", weight=0)], "no weight"),
        ([Example(data=b"x", weight=float("nan"))], "no weight"),
        ([Example(data=b"x", weight=float("inf"))], "no weight"),
        ([Example(data=b"x")] * (MOST + 1), f"there are {MOST + 1}"),
    ],
)
def test_examples_that_cannot_be_searched_by(examples: list[Example], reason: str) -> None:
    with pytest.raises(BadExamples, match=reason):
        examples_check(examples)
