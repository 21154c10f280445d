"""Paired comparisons, with scipy's bootstrap and permutation test as oracles."""

from __future__ import annotations

import numpy as np
import pytest

from search.evaluation.comparison import bootstrap_interval, compare, randomisation_test


def scores(values: np.ndarray) -> dict[str, float | None]:
    return {f"q{n}": float(value) for n, value in enumerate(values)}


def drawn(seed: int, n: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.random(n)
    return first, np.clip(first + rng.normal(gain, 0.1, n), 0, 1)


@pytest.mark.parametrize(("n", "gain"), [(12, 0.05), (60, 0.02), (400, 0.0)])
def test_interval_against_scipy(n: int, gain: float) -> None:
    from scipy.stats import bootstrap

    first, second = drawn(n, n, gain)
    difference = second - first
    theirs = bootstrap(
        (difference,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(7)
    ).confidence_interval
    tolerance = 0.1 * difference.std() / np.sqrt(n)  # of quantiles of 10,000 draws, generously
    np.testing.assert_allclose(bootstrap_interval(difference), theirs, atol=tolerance)


@pytest.mark.parametrize(("n", "gain"), [(9, 0.06), (12, 0.02), (60, 0.02), (300, 0.0), (300, 0.03)])
def test_p_against_scipy(n: int, gain: float) -> None:
    """Below 14 queries scipy goes through every combination of signs: an exact oracle."""
    from scipy.stats import permutation_test

    first, second = drawn(n + 1, n, gain)
    theirs = permutation_test(
        (first, second),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        rng=np.random.default_rng(3),
    ).pvalue
    ours = randomisation_test(second - first)
    assert abs(ours - theirs) <= 4 * np.sqrt(theirs * (1 - theirs) / 10_000) * 1.5 + 2e-4


def test_by_hand() -> None:
    """Three queries, each better by 0.1: of eight combinations of signs two are as large."""
    result = compare({"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 0.2, "b": 0.3, "c": 0.4})
    assert result.difference == pytest.approx(0.1)
    assert (result.first, result.second) == (pytest.approx(0.2), pytest.approx(0.3))
    assert (result.low, result.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert result.p_value == pytest.approx(0.25, abs=0.02)
    assert (result.better, result.worse, result.same) == (3, 0, 0)


def test_nothing_changed() -> None:
    result = compare({"a": 0.5, "b": 0.7}, {"a": 0.5, "b": 0.7})
    assert (result.difference, result.low, result.high, result.p_value) == (0, 0, 0, 1)
    assert (result.same, result.changed_most(5)) == (2, [])


def test_queries_of_one_side_are_left_out() -> None:
    result = compare({"a": 0.5, "b": None, "c": 0.1}, {"a": 0.4, "b": 0.9, "d": 0.3})
    assert list(result.differences) == ["a"]
    assert result.difference == pytest.approx(-0.1)
    nothing = compare({"a": None}, {"a": 0.5})
    assert (nothing.difference, nothing.low, nothing.p_value) == (None, None, None)


def test_the_largest_changes_come_first() -> None:
    result = compare({"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5}, {"a": 0.6, "b": 0.1, "c": 0.5, "d": 0.7})
    assert result.changed_most(2) == ["b", "d"]
    assert result.changed_most(9) == ["b", "d", "a"]


def test_the_same_input_gives_the_same_figures_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = drawn(5, 40, 0.02)
    whole = compare(scores(first), scores(second))
    assert whole == compare(scores(first), scores(second))
    monkeypatch.setattr("search.evaluation.comparison.CELLS", 40 * 64)
    parts = compare(scores(first), scores(second))
    assert parts.low == pytest.approx(whole.low, abs=1e-3)
    assert parts.p_value == pytest.approx(whole.p_value, abs=0.02)


def test_p_is_fair_where_nothing_differs() -> None:
    """Of differences around zero about one in twenty is called significant at 5 %."""
    rng = np.random.default_rng(11)
    called = sum(randomisation_test(rng.normal(0, 1, 30), resamples=400) <= 0.05 for _ in range(400))
    assert 8 <= called <= 34
