"""Probabilities from scores: against scikit-learn, and against a truth that is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from search import curves
from search.calibration import Calibration, TooFewLabels, TooFewPictures, fit_labels, fit_statistics
from search.curves import brier, expected_calibration_error, isotonic, logistic, pool_adjacent_violators


def hits(seed: int = 0, queries: int = 120, each: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, what is relevant, whose hits they are, and the probability that each had."""
    random = np.random.default_rng(seed)
    scores = random.beta(6, 3, queries * each)
    truth = expit(14 * (scores - 0.75))
    return scores, (random.random(len(scores)) < truth).astype(float), np.repeat(np.arange(queries), each), truth


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 9)), min_size=1, max_size=60))
def test_pooling_is_scikit_learns_isotonic_regression(pairs: list[tuple[float, float]]) -> None:
    y, weights = (np.array(column) for column in zip(*pairs, strict=True))
    wanted = IsotonicRegression().fit_transform(np.arange(len(y)), y, sample_weight=weights)
    np.testing.assert_allclose(pool_adjacent_violators(y, weights), wanted, atol=1e-9)


def test_the_isotonic_curve_is_near_scikit_learns() -> None:
    scores, relevant, _, _ = hits()
    wanted = IsotonicRegression(out_of_bounds="clip").fit(scores, relevant)
    assert np.abs(isotonic(scores, relevant)(scores) - wanted.predict(scores)).mean() < 0.03


def test_the_logistic_curve_is_scikit_learns() -> None:
    scores, relevant, _, _ = hits()
    wanted = LogisticRegression(C=np.inf, tol=1e-10).fit(scores[:, None], relevant)
    at = np.linspace(scores.min(), scores.max(), 50)
    found = logistic(scores, relevant)
    # Platt's targets pull a little to the middle, and there are straight pieces between the knots.
    assert np.abs(found(at) - wanted.predict_proba(at[:, None])[:, 1]).max() < 0.01


def test_separable_scores_end_too() -> None:
    scores = np.linspace(0, 1, 200)
    curve = logistic(scores, (scores > 0.5).astype(float))
    assert np.isfinite(curve.y).all()
    assert curve(np.array([0.1]))[0] < 0.1 < 0.9 < curve(np.array([0.9]))[0]


def test_scores_that_say_nothing_give_a_level_curve() -> None:
    random = np.random.default_rng(1)
    scores = random.random(4000)
    relevant = (random.random(4000) < 0.3).astype(float)
    for curve in (logistic(scores, relevant), logistic(-scores, (scores > 0.7).astype(float))):
        assert np.ptp(curve.y) < 0.12
        assert (np.diff(curve.y) >= 0).all()


@given(st.integers(0, 1000))
def test_a_fit_rises_and_its_inverse_is_its_inverse(seed: int) -> None:
    scores, relevant, queries, _ = hits(seed, queries=20, each=20)
    calibration = fit_labels(scores, relevant, queries)
    found = [calibration.probability(score) for score in np.linspace(-1, 1, 200)]
    assert (np.diff(found) >= 0).all()
    assert 0 <= found[0] <= found[-1] <= 1
    for share in (0.05, 0.3, 0.5, 0.9):
        floor = calibration.score(share)
        if np.isfinite(floor):
            assert calibration.probability(floor) == pytest.approx(share, abs=1e-6)
            assert calibration.probability(floor - 1e-3) < share
        else:
            assert (floor > 0) == (found[-1] < share)


def test_probabilities_are_true_where_the_truth_is_known() -> None:
    calibration = fit_labels(*hits(seed=3)[:3])
    scores, relevant, _, truth = hits(seed=4)
    found = np.array([calibration.probability(score) for score in scores])
    assert expected_calibration_error(found, relevant) < 0.03
    assert np.abs(found - truth).mean() < 0.03
    assert brier(found, relevant) < brier(truth, relevant) + 0.003


def test_the_quality_told_is_that_of_held_out_queries() -> None:
    """With scores that mean something else for every query, what was fitted looks better than it is."""
    scores, relevant, queries, _ = hits(seed=5)
    quality = fit_labels(scores, relevant, queries).quality
    assert quality["ece"] < 0.04
    assert quality["brier"] < quality["brier_without"]
    assert quality["brier_without"] == pytest.approx(relevant.mean() * (1 - relevant.mean()), abs=1e-4)
    assert quality["queries"] == 120
    kept = quality["kept_at_half"] * quality["precision_at_half"]
    assert kept == pytest.approx(quality["recall_at_half"] * quality["relevant_share"], abs=1e-3)


def test_the_curve_that_predicts_better_is_taken() -> None:
    random = np.random.default_rng(0)
    scores = random.random(6000)
    step = (random.random(6000) < np.where(scores > 0.5, 0.4, 0.1)).astype(float)
    queries = np.repeat(np.arange(100), 60)
    assert fit_labels(scores, step, queries).quality["curve"] == "isotonic"
    few = random.random(150)
    smooth = (random.random(150) < expit(6 * (few - 0.5))).astype(float)
    assert fit_labels(few, smooth, np.repeat(np.arange(15), 10)).quality["curve"] == "logistic"


@pytest.mark.parametrize(("queries", "each", "relevant"), [(9, 60, None), (20, 4, None), (20, 20, 0.0), (20, 20, 1.0)])
def test_too_few_labels_are_refused(queries: int, each: int, relevant: float | None) -> None:
    scores, found, whose, _ = hits(queries=queries, each=each)
    with pytest.raises(TooFewLabels, match=f"^{queries} queries"):
        fit_labels(scores, found if relevant is None else np.full(len(found), relevant), whose)


def two_groups(seed: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of pairs, and which of them are related."""
    random = np.random.default_rng(seed)
    related = random.random(200_000) < share
    z = np.where(related, random.normal(1.1, 0.15, 200_000), random.normal(0.4, 0.12, 200_000))
    return np.tanh(z), related.astype(float)


@pytest.mark.parametrize("share", [0.003, 0.01, 0.02])
def test_statistics_alone_find_the_related_pairs_of_two_groups(share: float) -> None:
    calibration = fit_statistics(two_groups(0, share)[0])
    at, truth = two_groups(1, share)
    top = np.argsort(-at)[:4000]  # what hits are
    found = np.array([calibration.probability(score) for score in at[top]])
    assert calibration.kind == "statistics"
    assert expected_calibration_error(found, truth[top]) < 0.1
    assert calibration.probability(np.tanh(0.5)) < 0.2
    assert calibration.probability(np.tanh(1.2)) > 0.9


def test_statistics_of_pairs_without_relations_promise_little() -> None:
    scores = np.tanh(np.random.default_rng(0).normal(0.4, 0.12, 100_000))
    calibration = fit_statistics(scores)
    found = np.array([calibration.probability(score) for score in scores])
    assert (found >= 0.5).mean() < 1e-3
    assert (np.diff(calibration.probabilities) >= 0).all()


def test_a_handful_of_pairs_is_refused() -> None:
    with pytest.raises(TooFewPictures, match=r"^50 pairs"):
        fit_statistics(np.linspace(0, 1, 50))


def test_errors_are_the_known_ones() -> None:
    scores, relevant, _, truth = hits()
    assert brier(truth, relevant) == pytest.approx(brier_score_loss(relevant, truth))
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0
    assert expected_calibration_error(np.array([0.9, 0.9]), np.array([1.0, 0.0])) == pytest.approx(0.4)
    assert expected_calibration_error(scores * 0 + 1, relevant) == pytest.approx(1 - relevant.mean())
    assert curves.ECE_BINS == 15


def test_it_survives_its_row() -> None:
    calibration = fit_labels(*hits()[:3])
    stored = json.loads(json.dumps(calibration.to_dict() | {"fingerprint": "f"}))
    again = Calibration.from_dict(stored)
    assert again == calibration
    for broken in ({}, {"kind": "labels"}, {**stored, "parameters": {"knots": [1], "probabilities": []}}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Calibration.from_dict(broken)
