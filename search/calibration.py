"""Calibrated scores: the probability that a hit is relevant, given its score.

A score is an inner product, and what 0.7 means differs with the network, the collection and the query. A calibration
maps it to a probability that means the same everywhere:

1. The query's background is taken off: ``shift`` times the query's mean score over the collection, so that a query
   which resembles everything (a white packshot) and one which resembles nothing are cut alike. In speaker
   verification this is called zero normalisation (R. Auckenthaler et al., 2000).
2. A rising curve through ``knots`` gives the probability, straight between them and level outside.

How the curve is fitted is said in ``fit_labels`` and ``fit_statistics``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.types import Descriptors

LABELS, STATISTICS = "labels", "statistics"
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """``knots`` rise, and so do the probabilities at them. ``centre``: (dim,), the collection's mean descriptor."""

    kind: str
    knots: tuple[float, ...]
    probabilities: tuple[float, ...]
    shift: float = 0.0
    centre: Descriptors = field(default_factory=lambda: np.zeros(0, np.float32))
    quality: Mapping[str, Any] = field(default_factory=dict)

    def background(self, query: Descriptors) -> float:
        """What is taken off the scores of ``query`` (dim,)."""
        return self.shift * float(self.centre @ query) if len(self.centre) == len(query) else 0.0

    def probability(self, score: float, background: float = 0.0) -> float:
        """Rises with the score, from 0 to 1."""
        return float(np.interp(score - background, self._x, self._y))

    def score(self, probability: float, background: float = 0.0) -> float:
        """The lowest score that is at least so probable; infinite where none is."""
        if probability <= self._y[0]:
            return -np.inf
        if probability > self._y[-1]:
            return np.inf
        place = int(np.searchsorted(self._y, probability))  # the first knot that is probable enough
        share = (probability - self._y[place - 1]) / (self._y[place] - self._y[place - 1])
        return float(self._x[place - 1] + share * (self._x[place] - self._x[place - 1])) + background

    @cached_property
    def _x(self) -> Numbers:
        return np.array(self.knots, np.float64)

    @cached_property
    def _y(self) -> Numbers:
        return np.array(self.probabilities, np.float64)

    def to_dict(self) -> dict[str, Any]:
        """As JSON; the centre is float16 in base64."""
        return {
            "kind": self.kind,
            "parameters": {
                "knots": [round(knot, 6) for knot in self.knots],
                "probabilities": [round(value, 6) for value in self.probabilities],
                "shift": round(self.shift, 6),
                "centre": base64.b64encode(self.centre.astype("<f2").tobytes()).decode(),
            },
            "quality": dict(self.quality),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, with whatever stands beside it. Raises KeyError, TypeError or ValueError."""
        parameters = stored["parameters"]
        centre = np.frombuffer(base64.b64decode(parameters["centre"]), "<f2").astype(np.float32)
        knots, probabilities = tuple(map(float, parameters["knots"])), tuple(map(float, parameters["probabilities"]))
        if not len(knots) == len(probabilities) > 0:
            raise ValueError("a calibration needs a probability for each knot")
        return cls(stored["kind"], knots, probabilities, float(parameters["shift"]), centre, stored.get("quality", {}))
