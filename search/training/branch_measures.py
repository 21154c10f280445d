"""What attribute heads are worth on products they were not fitted on: how often right, and what they do to rankings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.extraction.attributes import Head
from search.training.branch_labels import Sample
from search.types import Ids

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
PRODUCT = ""  # the relevance 'another picture of the same product', beside the attributes

ROWS = 256  # queries ranked at once
BINS = 10


@dataclass(frozen=True)
class Relevance:
    """``same`` (n, n): counts as relevant; ``junk`` (n, n): leaves the ranking, as the query itself does."""

    name: str
    same: Bools
    junk: Bools


def relevances(sample: Sample, attributes: Sequence[str]) -> list[Relevance]:
    """One for each attribute; one by product if several pictures show the same one.

    For an attribute, other pictures of the query's own product are junk: they share its values by definition.
    """
    product = sample.products[:, None] == sample.products[None]
    copy = sample.contents[:, None] == sample.contents[None]
    found = [Relevance(name, _shared(sample, name), product | copy) for name in attributes]
    if (product & ~copy).any():
        found.append(Relevance(PRODUCT, product, copy))
    return found


def _shared(sample: Sample, attribute: str) -> Bools:
    """(n, n): whether two pictures' products have a value in common."""
    stated = sample.stated[attribute]
    place = {value: column for column, value in enumerate(dict.fromkeys(v for given in stated for v in given))}
    holds = np.zeros((len(stated), len(place)), np.float32)
    for row, given in enumerate(stated):
        holds[row, [place[value] for value in given]] = 1
    return np.asarray(holds @ holds.T > 0)


def average_precisions(scores: NDArray[np.float32], relevance: Relevance) -> dict[int, float]:
    """AP of each picture as a query among the others (n, n), by (-score, place); those without a relevant one are
    left out. The same as ``evaluate`` gives one by one, for all at once."""
    counted = relevance.same & ~relevance.junk
    found: dict[int, float] = {}
    for rows in _blocks(len(scores)):
        ranked = np.where(relevance.junk[rows], -np.inf, scores[rows])
        order = np.argsort(-ranked, axis=1, kind="stable")
        hits = np.take_along_axis(counted[rows], order, axis=1)
        precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
        total = hits.sum(axis=1)
        sums = (precision * hits).sum(axis=1)
        found |= {rows.start + at: float(sums[at] / total[at]) for at in np.flatnonzero(total).tolist()}
    return found


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS):
        yield slice(start, min(count, start + ROWS))


def mean(values: Mapping[int, float]) -> float | None:
    return float(np.mean([*values.values()])) if values else None


def accuracy(head: Head, sample: Sample) -> dict[str, float | int | None]:
    """How a head does on a sample, each product counted once; only those that state the attribute.

    accuracy: the likeliest value is one of the product's own. majority: always the most frequent value is.
    told, right_when_told: where it is clear enough to be shown. ece: mean gap between confidence and accuracy.
    """
    stated = sample.stated[head.attribute]
    rows = np.flatnonzero([bool(given) for given in stated])
    if not len(rows):
        return {"products": 0, "accuracy": None, "majority": None, "told": None, "right_when_told": None, "ece": None}
    weights = sample.weights()[rows]
    weights = weights / weights.sum()
    p = head.probabilities(sample.x[rows])
    best = p.argmax(axis=1)
    given = [stated[row] for row in rows.tolist()]
    right = np.array([head.values[value] in own for value, own in zip(best.tolist(), given, strict=True)])
    usual = head.values[int(np.where(head.named, head.shares, -1).argmax())]
    told = (p.max(axis=1) >= head.clear()[best]) & head.named[best]
    named = head.named[best]
    return {
        "products": len(np.unique(sample.products[rows])),
        "accuracy": float(weights @ right),
        "majority": float(weights @ np.array([usual in own for own in given])),
        "told": float(weights @ told),
        "right_when_told": float(weights[told] @ right[told] / weights[told].sum()) if told.any() else None,
        "ece": _ece(p.max(axis=1)[named], right[named], weights[named]) if named.any() else None,
    }


def _ece(confidence: NDArray[np.float32], right: Bools, weights: Floats) -> float:
    """Expected calibration error over BINS equal bins (M. Naeini et al., AAAI 2015)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float(weights[bins == at] @ (confidence - right)[bins == at])) for at in range(BINS)]
    return float(sum(gaps) / weights.sum())


def part(sample: Sample, rows: Ids) -> Sample:
    stated = {name: [values[row] for row in rows.tolist()] for name, values in sample.stated.items()}
    return Sample(sample.x[rows], sample.products[rows], sample.contents[rows], stated)
