"""Logistic regression in NumPy: one value of many (softmax), or each value by itself (sigmoid), with L2.

Few lines do for what a web process would else load SciPy and scikit-learn for; the tests hold them to scikit-learn.
The minimiser is L-BFGS (J. Nocedal, S. Wright, Numerical Optimization, 2006, algorithms 7.4 and 7.5); the loss is
convex, so what it ends at does not depend on how it gets there. Temperature: C. Guo et al., On calibration of modern
neural networks, ICML 2017.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.extraction.attributes import probabilities
from search.types import Descriptors

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]

MEMORY = 10  # steps that the curvature is estimated from
STEPS = 300
TOLERANCE = 1e-5  # of the largest component of the gradient
DECREASE = 1e-4  # of the slope: Armijo's condition
HALVINGS = 30
COLDEST, HOTTEST = 0.05, 20.0  # temperatures


@dataclass(frozen=True)
class Fitted:
    """``matrix`` float32 (d, c), ``bias`` float32 (c,): logits are x @ matrix + bias."""

    matrix: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, x: Descriptors) -> NDArray[np.float32]:
        return np.asarray(x @ self.matrix + self.bias, np.float32)


def fit(
    x: Descriptors,
    targets: NDArray[np.float32],
    weights: Floats,
    l2: float,
    *,
    exclusive: bool = True,
    start: Fitted | None = None,
) -> Fitted:
    """Minimise the weighted mean loss + l2 / 2 · |W|² over W and an unpenalised bias.

    ``x`` (n, d); ``targets`` (n, c), 1 where the row has the value; ``weights`` (n,); ``exclusive``: one value a row.
    ``l2`` is 1 / (C · n) in scikit-learn's terms. ``start``: where to begin, for the next ``l2`` of a path.
    """
    width, count = x.shape[1], targets.shape[1]
    shares = weights / weights.sum()
    mean = np.asarray(shares @ x, np.float32)
    centred = x - mean  # a descriptor's mean is most of its length, and would only slow the minimiser down

    def objective(point: Floats) -> tuple[float, Floats]:
        matrix, bias = _parts(point, width, count)
        z = centred @ matrix.astype(np.float32) + bias.astype(np.float32)
        off = (probabilities(z, exclusive) - targets) * shares[:, None].astype(np.float32)
        value = float(shares @ losses(z, targets, exclusive)) + 0.5 * l2 * float((matrix**2).sum())
        gradient = np.vstack([centred.T @ off + l2 * matrix, off.sum(axis=0, dtype=np.float64)[None]])
        return value, gradient.ravel()

    found = minimise(objective, _point(start, mean, width, count))
    matrix, bias = _parts(found, width, count)
    return Fitted(matrix.astype(np.float32), (bias - mean @ matrix).astype(np.float32))


def losses(z: NDArray[np.float32], targets: NDArray[np.float32], exclusive: bool) -> Floats:
    """Negative log-likelihood of each row (n,) of logits ``z`` (n, c)."""
    wide = z.astype(np.float64)
    if exclusive:
        top = wide.max(axis=1)
        return np.asarray(np.log(np.exp(wide - top[:, None]).sum(axis=1)) + top - (wide * targets).sum(axis=1))
    return np.asarray((np.logaddexp(0, wide) - wide * targets).sum(axis=1))


def temperature(z: NDArray[np.float32], targets: NDArray[np.float32], weights: Floats, exclusive: bool) -> float:
    """What to divide logits by so that probabilities fit held-out rows best; from COLDEST to HOTTEST.

    The loss is convex in 1 / T, so the root of its slope is found by halving. Rows are believed a little less than
    wholly, as in J. Platt, Probabilistic outputs for support vector machines, 1999: a few rows that are all right would
    else call for certainty.
    """
    doubt = 1 / (len(z) + 2)
    believed = (1 - doubt) * targets + doubt / (z.shape[1] if exclusive else 2)

    def slope(inverse: float) -> float:
        off = probabilities(z * np.float32(inverse), exclusive) - believed
        return float(weights @ (off * z).sum(axis=1, dtype=np.float64))

    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(float(np.exp(middle))) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def minimise(objective: Objective, start: Floats) -> Floats:
    """L-BFGS with halved steps. Returns the best point that was met."""
    point, steps = start, deque[tuple[Floats, Floats]](maxlen=MEMORY)
    value, gradient = objective(point)
    for _ in range(STEPS):
        if np.abs(gradient).max() <= TOLERANCE:
            break
        direction = -_inverse_hessian(gradient, steps)
        slope, rate = float(gradient @ direction), 1.0 if steps else 1.0 / max(1.0, float(np.linalg.norm(gradient)))
        for _halving in range(HALVINGS):
            new = point + rate * direction
            new_value, new_gradient = objective(new)
            if new_value <= value + DECREASE * rate * slope:
                break
            rate /= 2
        else:  # as far as float32 can tell, it goes down nowhere
            break
        if (new - point) @ (new_gradient - gradient) > 0:
            steps.append((new - point, new_gradient - gradient))
        point, value, gradient = new, new_value, new_gradient
    return point


def _inverse_hessian(gradient: Floats, steps: deque[tuple[Floats, Floats]]) -> Floats:
    """Its estimate times the gradient, by the two loops of algorithm 7.4."""
    found, alphas = gradient.copy(), []
    for s, y in reversed(steps):
        alphas.append(float(s @ found) / float(s @ y))
        found -= alphas[-1] * y
    if steps:
        s, y = steps[-1]
        found *= float(s @ y) / float(y @ y)
    for (s, y), alpha in zip(steps, reversed(alphas), strict=True):
        found += (alpha - float(y @ found) / float(s @ y)) * s
    return found


def _parts(point: Floats, width: int, count: int) -> tuple[Floats, Floats]:
    whole = point.reshape(width + 1, count)
    return whole[:-1], whole[-1]


def _point(start: Fitted | None, mean: NDArray[np.float32], width: int, count: int) -> Floats:
    if start is None:
        return np.zeros((width + 1) * count)
    return np.vstack([start.matrix, (start.bias + mean @ start.matrix)[None]]).astype(np.float64).ravel()
