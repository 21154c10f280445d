"""Calibrated scores: the probability that a hit is relevant, given its score.

A score is an inner product, and what 0.7 means differs with the network and the collection. A calibration is a rising
curve from scores to probabilities, which mean the same everywhere: of all hits at 0.8, four in five are relevant.

Fitted on labels (``fit_labels``) where there are some, else estimated from how the scores of the collection lie
(``fit_statistics``). A query of several pictures is calibrated by the mean of its scores with each: pass the inner
product with the mean descriptor before that was normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop
from search.curves import Curve, blocks, brier, expected_calibration_error, isotonic, logistic

LABELS, STATISTICS = "labels", "statistics"
Numbers = NDArray[np.float64]

FOLDS = 5
FEWEST_QUERIES, FEWEST_HITS = 10, 100
BULK = (0.02, 0.98)  # quantiles between which pairs are taken for unrelated; measured in docs/scores.md
TAIL = 1e-4  # share of pairs that the steps of the histogram become as fine as
FEWEST_SCORES = 2000


class TooFewLabels(LookalikeError):
    code = "too_few_labels"
    text = gettext_noop(
        "%(queries)s queries with %(relevant)s relevant of %(hits)s hits are too few to calibrate scores on."
    )
    cure = gettext_noop("Label at least 10 queries, or calibrate without a benchmark.")
    status = 409


class TooFewPictures(LookalikeError):
    code = "too_few_pictures"
    text = gettext_noop("%(pairs)s pairs of pictures are too few to tell what a score means.")
    cure = gettext_noop("Add pictures, and see that a worker embeds them.")
    status = 409


@dataclass(frozen=True)
class Calibration:
    """``knots`` (scores) rise, ``probabilities`` at them do not fall."""

    kind: str
    knots: tuple[float, ...]
    probabilities: tuple[float, ...]
    quality: Mapping[str, Any] = field(default_factory=dict)

    def probability(self, score: float) -> float:
        """Of being relevant, 0 to 1."""
        return float(np.interp(score, self._x, self._y))

    def score(self, probability: float) -> float:
        """The lowest score that is at least so probable; infinite where none is."""
        if probability <= self._y[0]:
            return -np.inf
        if probability > self._y[-1]:
            return np.inf
        place = int(np.searchsorted(self._y, probability))  # the first knot that is probable enough
        share = (probability - self._y[place - 1]) / (self._y[place] - self._y[place - 1])
        return float(self._x[place - 1] + share * (self._x[place] - self._x[place - 1]))

    @cached_property
    def _x(self) -> Numbers:
        return np.array(self.knots, np.float64)

    @cached_property
    def _y(self) -> Numbers:
        return np.array(self.probabilities, np.float64)

    def to_dict(self) -> dict[str, Any]:
        parameters = {"knots": list(self.knots), "probabilities": list(self.probabilities)}
        return {"kind": self.kind, "parameters": parameters, "quality": dict(self.quality)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, with whatever stands beside it. Raises KeyError, TypeError or ValueError."""
        parameters = stored["parameters"]
        knots, probabilities = (tuple(map(float, parameters[name])) for name in ("knots", "probabilities"))
        if not len(knots) == len(probabilities) > 0:
            raise ValueError("a calibration needs a probability for each knot")
        return cls(str(stored["kind"]), knots, probabilities, stored.get("quality", {}))

    @classmethod
    def of(cls, kind: str, curve: Curve, quality: Mapping[str, Any]) -> Self:
        y = curve.y.round(4)
        bends = np.r_[True, y[1:] > y[:-1]] | np.r_[y[1:] > y[:-1], True]  # what lies on a level piece says nothing
        return cls(kind, tuple(curve.x[bends].round(6).tolist()), tuple(y[bends].tolist()), quality)


def fit_labels(scores: Numbers, relevant: Numbers, queries: NDArray[np.int64]) -> Calibration:
    """From hits as searches show them: their ``scores``, whether they are ``relevant`` (0 or 1), whose they are.

    No class is weighed: hits come in the proportion in which visitors see them, and that is the prior. Of an isotonic
    and a logistic curve the one with the lower Brier score on held-out queries is taken; ``quality`` has the figures
    of those held-out queries, never of what was fitted. Raises TooFewLabels.
    """
    names, fold = np.unique(queries, return_inverse=True)
    hits = int(relevant.sum())
    if len(names) < FEWEST_QUERIES or len(scores) < FEWEST_HITS or not 0 < hits < len(scores):
        raise TooFewLabels(queries=len(names), relevant=hits, hits=len(scores))
    fold = np.random.default_rng(0).permutation(len(names))[fold] % FOLDS
    held_out = {fit.__name__: _held_out(fit, scores, relevant, fold) for fit in (isotonic, logistic)}
    best = min((isotonic, logistic), key=lambda fit: brier(held_out[fit.__name__], relevant))
    figures = _figures(held_out[best.__name__], relevant)
    quality = {"curve": best.__name__, "queries": len(names), "hits": len(scores), **figures}
    return Calibration.of(LABELS, best(scores, relevant), quality)


def _held_out(fit: Any, scores: Numbers, relevant: Numbers, fold: NDArray[np.int64]) -> Numbers:
    """Each hit's probability by the curve of the folds that its query is not in."""
    found = np.empty(len(scores))
    for number in range(FOLDS):
        out = fold == number
        found[out] = fit(scores[~out], relevant[~out])(scores[out])
    return found


def _figures(probabilities: Numbers, relevant: Numbers) -> dict[str, float]:
    base = float(relevant.mean())
    kept = probabilities >= 0.5
    figures = {
        "brier": brier(probabilities, relevant),
        "brier_without": base * (1 - base),  # of saying the mean of everything
        "ece": expected_calibration_error(probabilities, relevant),
        "relevant_share": base,
        "kept_at_half": float(kept.mean()),
        "precision_at_half": float(relevant[kept].mean()) if kept.any() else 0.0,
        "recall_at_half": float(relevant[kept].sum() / relevant.sum()),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def fit_statistics(scores: Numbers) -> Calibration:
    """An estimate without labels, from the ``scores`` (n,) of random pairs of the collection.

    The two-groups model (B. Efron, "Size, power and false discovery rates", 2007): most pairs are unrelated, and their
    Fisher-transformed scores are about normal; that normal is fitted to the bulk of all pairs. Where there are more
    pairs at a score than it explains, the surplus is taken for related: probability = 1 - explained / found, made to
    rise. 'Relevant' here means 'more alike than chance', which labels may see otherwise. Raises TooFewPictures.
    """
    if len(scores) < FEWEST_SCORES:
        raise TooFewPictures(pairs=len(scores))
    edges = np.unique(np.quantile(scores, _levels(len(scores))))
    found = np.histogram(scores, edges)[0].astype(np.float64)
    explained = np.diff(_unrelated(scores, edges)) * len(scores)
    surplus = np.clip(1 - explained / np.maximum(found, 1), 0, 1)
    curve = blocks((edges[1:] + edges[:-1]) / 2, surplus, found)
    return Calibration.of(STATISTICS, curve, {"pairs": len(scores)})


def _levels(count: int) -> Numbers:
    """Quantiles that grow finer towards the top, where hits lie."""
    last = max(TAIL, 20 / count)
    return np.concatenate([np.linspace(0, 0.5, 11), 1 - np.geomspace(0.5, last, 100)[1:], [1.0]])


def _unrelated(scores: Numbers, at: Numbers) -> Numbers:
    """The share of pairs below each score, were all of them unrelated."""
    levels = np.linspace(*BULK, 40)
    normal = NormalDist()
    wanted = np.array([normal.inv_cdf(level) for level in levels])
    slope, offset = np.polyfit(_fisher(np.quantile(scores, levels)), wanted, 1)
    return np.array([normal.cdf(value) for value in (slope * _fisher(at) + offset).tolist()])


def _fisher(scores: Numbers) -> Numbers:
    return np.arctanh(np.clip(scores, -0.9999, 0.9999))
