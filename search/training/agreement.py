"""How alike two descriptors of the same pictures are, and what each is worth. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.evaluation import Ranking, Report, Truth, evaluate
from search.types import Descriptors

BLOCK = 256  # queries compared with all pictures at once


def cosines(x: Descriptors, y: Descriptors) -> NDArray[np.float64]:
    """Of the rows of two sets of unit vectors, (n, d) twice -> (n,)."""
    return np.asarray(np.einsum("ij,ij->i", x, y, dtype=np.float64))


def neighbours_kept(x: Descriptors, y: Descriptors, k: int = 10) -> float:
    """Share of the first ``k`` neighbours by ``x`` that are among the first ``k`` by ``y``: ann_recall@k.

    Each picture asks all others. (n, d) and (n, e), n > 1.
    """
    k = min(k, len(x) - 1)
    kept = [len(set(one) & set(other)) for one, other in zip(_neighbours(x, k), _neighbours(y, k), strict=True)]
    return float(np.mean(kept)) / k


def _neighbours(x: Descriptors, k: int) -> Sequence[list[int]]:
    found: list[list[int]] = []
    for start in range(0, len(x), BLOCK):
        scores = x[start : start + BLOCK] @ x.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        # By (-score, place), so that ties fall the same way twice.
        found += np.argsort(-scores, axis=1, kind="stable")[:, :k].tolist()
    return found


def leave_one_out(
    x: Descriptors, labels: NDArray[np.int64], contents: NDArray[np.int64], metrics: Sequence[str] = ("mAP",)
) -> Report[int]:
    """Each picture asks all others. ``x`` (n, dim), unit rows; the report's queries are places in it.

    ``labels`` (n,): relevant is what has the same one. ``contents`` (n,): equal ones leave each other's rankings.
    """
    places = np.arange(len(x))
    found: Report[int] = evaluate({}, {}, metrics)
    for start in range(0, len(x), BLOCK):
        asked = places[start : start + BLOCK].tolist()
        rankings = {place: Ranking(places, row) for place, row in zip(asked, x[asked] @ x.T, strict=True)}
        part = evaluate(rankings, {place: _truth(place, labels, contents) for place in asked}, metrics)
        found.scores |= part.scores
        found.skipped += part.skipped
    return found


def average_precisions(
    x: Descriptors, labels: NDArray[np.int64], contents: NDArray[np.int64]
) -> dict[int, float | None]:
    """AP of each picture asking all others, by place; one that nothing has the label of is left out."""
    return {place: row["AP"] for place, row in leave_one_out(x, labels, contents).scores.items()}


def _truth(place: int, labels: NDArray[np.int64], contents: NDArray[np.int64]) -> Truth:
    same = contents == contents[place]
    return Truth(np.flatnonzero((labels == labels[place]) & ~same), np.flatnonzero(same))
