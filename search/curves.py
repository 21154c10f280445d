"""Rising curves from scores to probabilities, and how good probabilities are. Plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BINS = 200  # equally filled, before the isotonic fit: what keeps a curve short
LOGISTIC_KNOTS = 33
ECE_BINS = 15


@dataclass(frozen=True)
class Curve:
    """Straight between its knots, level outside. ``x`` rises, ``y`` does not fall."""

    x: Numbers
    y: Numbers

    def __call__(self, x: Numbers) -> Numbers:
        return np.interp(x, self.x, self.y)


def pool_adjacent_violators(y: Numbers, weights: Numbers) -> Numbers:
    """The rising sequence nearest to ``y`` (n,) in weighted least squares (M. Ayer et al., 1955)."""
    values: list[float] = []
    heavy: list[float] = []
    lengths: list[int] = []
    for value, weight in zip(y.tolist(), weights.tolist(), strict=True):
        length = 1
        while values and values[-1] >= value:
            total = heavy[-1] + weight
            value = (values.pop() * heavy[-1] + value * weight) / total
            weight, length = heavy.pop() and total, length + lengths.pop()
        values.append(value)
        heavy.append(weight)
        lengths.append(length)
    return np.repeat(values, lengths)


def isotonic(x: Numbers, y: Numbers) -> Curve:
    """Isotonic regression (B. Zadrozny, C. Elkan, 2002) of ``y`` (n,), 0 or 1, on ``x`` (n,).

    In bins of equal size, each with half a hit and half a miss added so that no probability is 0 or 1 on the word
    of few. Blocks of the fit become knots at their mean, so that the curve has slopes and not steps.
    """
    edges = np.linspace(0, len(x), min(BINS, len(x)) + 1).astype(int)
    order = np.argsort(x, kind="stable")
    counts = np.diff(edges).astype(np.float64)
    centres = np.add.reduceat(x[order], edges[:-1]) / counts
    rates = (np.add.reduceat(y[order], edges[:-1]) + 0.5) / (counts + 1)
    return blocks(centres, rates, counts)


def blocks(x: Numbers, y: Numbers, weights: Numbers) -> Curve:
    """The rising curve through the blocks that pool_adjacent_violators makes of ``y`` at ``x`` (rising)."""
    fitted = pool_adjacent_violators(y, weights)
    starts = np.flatnonzero(np.r_[True, np.diff(fitted) > 1e-12])
    heavy = np.add.reduceat(weights, starts)
    centres = np.add.reduceat(x * weights, starts) / heavy
    # What lies beyond the outermost centres belongs to their blocks: level from there on.
    return Curve(centres, fitted[starts])


def logistic(x: Numbers, y: Numbers) -> Curve:
    """Platt's curve (J. Platt, 1999): 1 / (1 + exp(-(a x + b))), with his smoothed targets; level if it would fall."""
    hits = float(y.sum())
    targets = np.where(y > 0, (hits + 1) / (hits + 2), 1 / (len(y) - hits + 2))
    a, b = _newton(x - x.mean(), targets)
    knots = np.linspace(x.min(), x.max(), LOGISTIC_KNOTS)
    return Curve(knots, _sigmoid(max(a, 0.0) * (knots - x.mean()) + b))


def _newton(x: Numbers, targets: Numbers) -> tuple[float, float]:
    """Slope and offset that make ``targets`` likeliest; damped a little, so that separable data end too."""
    features = np.stack([x / max(float(x.std()), 1e-9), np.ones(len(x))], axis=1)
    weights = np.zeros(2)
    for _ in range(50):
        p = _sigmoid(features @ weights)
        gradient = features.T @ (p - targets)
        curvature = (features * (p * (1 - p))[:, None]).T @ features + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights -= np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]) / max(float(x.std()), 1e-9), float(weights[1])


def _sigmoid(x: Numbers) -> Numbers:
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def brier(probabilities: Numbers, y: Numbers) -> float:
    """Mean squared difference of probability and outcome (G. Brier, 1950)."""
    return float(np.mean((probabilities - y) ** 2))


def expected_calibration_error(probabilities: Numbers, y: Numbers, bins: int = ECE_BINS) -> float:
    """Mean distance of probability and rate over bins of equal width, weighted by their size (M. Naeini, 2015)."""
    which = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = np.bincount(which, probabilities, bins) - np.bincount(which, y, bins)
    return float(np.abs(gaps).sum() / len(y))
