"""Logistic regression and temperature, held to scikit-learn and to what is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from search.extraction.attributes import probabilities
from search.training.regression import HOTTEST, fit, losses, minimise, temperature


def clusters(count: int, dim: int, classes: int, seed: int = 0, spread: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters far from the origin, as descriptors behind a ReLU are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((classes, dim))
    labels = rng.integers(0, classes, count)
    x = 3 + centres[labels] + spread * rng.standard_normal((count, dim))
    return x.astype(np.float32), labels


@pytest.mark.parametrize("l2", [1.0, 0.1, 0.003])
def test_softmax_is_scikit_learns(l2: float) -> None:
    from sklearn.linear_model import LogisticRegression

    x, labels = clusters(300, 12, 5)
    weights = np.random.default_rng(1).uniform(0.2, 2, len(x))
    found = fit(x, np.eye(5, dtype=np.float32)[labels], weights, l2)
    # Its loss is C Σ weight · loss + |W|² / 2
    oracle = LogisticRegression(C=1 / (l2 * weights.sum()), tol=1e-8, max_iter=5000)
    oracle.fit(x.astype(np.float64), labels, sample_weight=weights)
    assert probabilities(found.logits(x), True) == pytest.approx(oracle.predict_proba(x), abs=2e-3)
    assert found.matrix == pytest.approx(oracle.coef_.T, abs=2e-2)


def test_sigmoids_are_scikit_learns_one_by_one() -> None:
    from sklearn.linear_model import LogisticRegression

    x, labels = clusters(300, 8, 4)
    targets = np.stack([labels == 0, labels < 2, labels % 2 == 1], axis=1).astype(np.float32)
    found = fit(x, targets, np.ones(len(x)), 0.05, exclusive=False)
    p = probabilities(found.logits(x), False)
    for column in range(3):
        oracle = LogisticRegression(C=1 / (0.05 * len(x)), tol=1e-8, max_iter=5000).fit(x, targets[:, column])
        assert p[:, column] == pytest.approx(oracle.predict_proba(x)[:, 1], abs=2e-3)


def test_a_start_elsewhere_ends_at_the_same_place() -> None:
    x, labels = clusters(200, 6, 3)
    targets, weights = np.eye(3, dtype=np.float32)[labels], np.ones(len(x))
    cold = fit(x, targets, weights, 0.01)
    warm = fit(x, targets, weights, 0.01, start=fit(x, targets, weights, 1.0))
    assert probabilities(warm.logits(x), True) == pytest.approx(probabilities(cold.logits(x), True), abs=2e-3)


def test_weights_count_a_row_as_often() -> None:
    x, labels = clusters(80, 4, 2)
    targets = np.eye(2, dtype=np.float32)[labels]
    weights = np.where(np.arange(len(x)) < 20, 3.0, 1.0)
    repeated = np.concatenate([np.arange(len(x)), np.tile(np.arange(20), 2)])
    one = fit(x, targets, weights, 0.01)
    other = fit(x[repeated], targets[repeated], np.ones(len(repeated)), 0.01)
    assert one.matrix == pytest.approx(other.matrix, abs=2e-2)


def test_separable_classes_end_too() -> None:
    x, labels = clusters(60, 4, 2, spread=0.01)
    found = fit(x, np.eye(2, dtype=np.float32)[labels], np.ones(60), 1e-6)
    assert np.isfinite(found.matrix).all()
    assert (found.logits(x).argmax(axis=1) == labels).all()


def test_losses_are_the_negative_log_likelihood() -> None:
    z = np.array([[2.0, 0.0], [800.0, -800.0]], np.float32)
    targets = np.eye(2, dtype=np.float32)
    assert losses(z, targets, True) == pytest.approx([np.log(1 + np.exp(-2)), 1600])
    both = np.ones((2, 2), np.float32)
    assert losses(z, both, False) == pytest.approx([np.log(1 + np.exp(-2)) + np.log(2), 800])


def test_rosenbrocks_valley_is_walked_to_its_end() -> None:
    def valley(point):
        x, y = point
        value = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        return value, np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])

    assert minimise(valley, np.array([-1.2, 1.0])) == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_labels_is_found(true: float, exclusive: bool) -> None:
    rng = np.random.default_rng(0)
    z = (4 * rng.standard_normal((20_000, 4))).astype(np.float32)
    p = probabilities(z / np.float32(true), exclusive)
    drawn = rng.random((len(z), 1)) if exclusive else rng.random(z.shape)
    if exclusive:
        targets = np.eye(4, dtype=np.float32)[np.minimum((p.cumsum(axis=1) < drawn).sum(axis=1), 3)]
    else:
        targets = (drawn < p).astype(np.float32)
    assert temperature(z, targets, np.ones(len(z)), exclusive) == pytest.approx(true, rel=0.05)


def test_a_single_row_makes_nothing_certain() -> None:
    """Right: believed to 1 - 1/3 + 1/6 = 5/6, which is a logit of ln 5. Wrong: as doubtful as may be."""
    z = np.array([[1.0, 0.0]], np.float32)
    right, wrong = np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32)
    assert temperature(z, right, np.ones(1), True) == pytest.approx(1 / np.log(5), rel=1e-3)
    assert temperature(z, wrong, np.ones(1), True) == pytest.approx(HOTTEST, rel=1e-3)
