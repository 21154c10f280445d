"""What a search is asked with: pictures that hits should be like, or unlike, and the one descriptor they make.

Rocchio's relevance feedback (J. J. Rocchio, "Relevance feedback in information retrieval", 1971) on unit vectors:
the weighted mean of what is liked, less a share of the mean of what is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Image
from search.models import UploadedQuery
from search.types import Descriptors

Numbers = NDArray[np.float64]
Box = tuple[int, int, int, int]  # x, y, width, height in upright original pixels

MOST = 50  # examples of one search
HEAVIEST = 1000.0  # weight
# How much of the mean negative is taken away where negatives weigh as much as positives, and at most. Below 1 the
# result cannot turn away from the positives: with unit p and |n| <= 1 its product with p is 1 - share * (n . p) > 0.
# Measured (docs/scores.md): 0.2 to 0.4 is best on three sets; from 0.7 on it does more harm than good.
NEGATIVE_SHARE, NEGATIVE_SHARE_AT_MOST = 0.3, 0.6


class BadExamples(LookalikeError):
    code = "bad_examples"
    text = gettext_noop("A search cannot be made of these examples: %(reason)s.")
    cure = gettext_noop("Give at least one picture with a weight above zero, and at most %(most)s in all.")


@dataclass(frozen=True)
class Example:
    """One picture: a stored one, a visitor's upload or plain bytes, or a box of it. Below zero: less like this."""

    image: Image | None = None
    query: UploadedQuery | None = None
    data: bytes | None = None
    box: Box | None = None
    weight: float = 1.0


def examples_check(examples: Sequence[Example]) -> None:
    """Raises BadExamples."""
    if len(examples) > MOST:
        raise _bad(f"there are {len(examples)}")
    for example in examples:
        if sum(part is not None for part in (example.image, example.query, example.data)) != 1:
            raise _bad("each must be exactly one picture")
        if not 0 < abs(example.weight) <= HEAVIEST:  # false for NaN too
            raise _bad(f"{example.weight} is no weight")
    if not any(example.weight > 0 for example in examples):
        raise _bad("none of them says what to look for")


def liked(x: Descriptors, weights: Numbers) -> tuple[Descriptors, float]:
    """The mean of the rows of ``x`` (n, dim) whose weight (n,) is above zero: as a unit descriptor, and its length.

    A score times the length is the mean of the scores with each of them: what a calibration is for.
    """
    likes = weights > 0
    mean = weights[likes] @ x[likes].astype(np.float64) / weights[likes].sum()
    return _unit(mean), float(np.linalg.norm(mean))


def away(query: Descriptors, x: Descriptors, weights: Numbers) -> Descriptors:
    """``query`` (dim,) turned away from the rows of ``x`` whose weight is below zero; a unit descriptor again.

    Only the ratios of weights count. How many negatives there are does not, only how heavy they are on average, so
    that ticking a whole page 'unlike' does not drown what is liked.
    """
    unlikes = weights < 0
    if not unlikes.any():
        return query
    heavy = -weights[unlikes]
    share = min(NEGATIVE_SHARE * heavy.mean() / weights[weights > 0].mean(), NEGATIVE_SHARE_AT_MOST)
    return _unit(query - share * (heavy @ x[unlikes].astype(np.float64)) / heavy.sum())


def combined(x: Descriptors, weights: Numbers) -> Descriptors:
    """The one descriptor (dim,) that examples ``x`` (n, dim) with weights (n,) make."""
    return away(liked(x, weights)[0], x, weights)


def _unit(x: Numbers) -> Descriptors:
    return (x / max(float(np.linalg.norm(x)), 1e-12)).astype(np.float32)


def _bad(reason: str) -> BadExamples:
    return BadExamples(reason=reason, most=MOST)
