"""What a ranking is worth: pure functions of where the relevant pictures stand in it.

``hits`` are always the 1-based ranks of the relevant pictures that were returned, ascending, counted
after junk and the query itself left the ranking; ``relevant`` is R, the number of all relevant pictures,
returned or not. A metric is one function with ``@measure``: it is then known by name everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop

Ranks: TypeAlias = NDArray[np.int64]


class UnknownMetric(LookalikeError):
    code = "unknown_metric"
    text = gettext_noop("There is no metric '%(name)s'.")
    cure = gettext_noop("Known: %(known)s, with a number from 1 up for K.")


@dataclass(frozen=True)
class Outcome:
    """What a metric may look at: one query's cleaned ranking."""

    hits: Ranks
    relevant: int
    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # the ranking, best first
    exact: NDArray[np.int64] | None = None  # the same by exact search; none: not known


Measure: TypeAlias = Callable[[Outcome, int | None], float | None]


@dataclass(frozen=True)
class Metric:
    """A metric with its K. ``name`` is the mean over queries, ``per_query`` what one query has: mAP and AP."""

    name: str
    per_query: str
    k: int | None
    function: Measure = field(compare=False, repr=False)

    def __call__(self, outcome: Outcome) -> float | None:
        """The score of one query in [0, 1]; none where it cannot be told."""
        return self.function(outcome, self.k)


@dataclass(frozen=True)
class _Known:
    function: Measure
    spelling: str  # as shown to people: "recall@K", "AP"
    per_query: str


_KNOWN: dict[str, _Known] = {}
_SHAPE = re.compile(r"(?P<base>[^@]+?)(?:@(?P<k>[1-9][0-9]{0,8}))?")


def measure(*spellings: str, per_query: str = "") -> Callable[[Measure], Measure]:
    """Register a function under its spellings; ``per_query`` is the base name of a single query's score."""

    def register(function: Measure) -> Measure:
        for spelling in spellings:
            _KNOWN[spelling] = _Known(function, spelling, per_query or spelling.partition("@")[0])
        return function

    return register


def known_metrics() -> list[str]:
    """The spellings a user may ask for, K standing for a number."""
    return list(_KNOWN)


def parse_metric(name: str) -> Metric:
    """The metric called ``name``, such as "recall@10". Raises UnknownMetric."""
    match = _SHAPE.fullmatch(name.strip())
    base, k = (match["base"], match["k"]) if match else ("", None)
    known = _KNOWN.get(f"{base}@K" if k else base)
    if known is None:
        raise UnknownMetric(name=name, known=", ".join(known_metrics()))
    suffix = f"@{k}" if k else ""
    return Metric(base + suffix, known.per_query + suffix, int(k) if k else None, known.function)


def parse_metrics(names: Iterable[str]) -> list[Metric]:
    """The metrics of ``names`` in that order, each once."""
    return list({metric.name: metric for metric in map(parse_metric, names)}.values())


def average_precision(hits: Ranks, relevant: int, k: int | None = None) -> float:
    """(1/min(K, R)) Σ P(rank) over the relevant ranks up to K: the area under the stepped curve.

    The divisor is R where K is none. Dividing by R at a small K would cap it below 1, dividing by the
    hits found would inflate it.
    """
    hits = hits if k is None else hits[hits <= k]
    precision = np.arange(1, len(hits) + 1) / hits
    return float(precision.sum() / (relevant if k is None else min(k, relevant)))


def average_precision_trapezoid(hits: Ranks, relevant: int) -> float:
    """(1/R) Σ (P0 + P1)/2 with P0 = j/rank (1 at rank 0) and P1 = (j+1)/(rank+1), ranks and j from 0.

    The formula of the Oxford5k benchmark's own program (Philbin et al., CVPR 2007), kept by the revisited sets.
    """
    found = np.arange(len(hits))
    before = np.where(hits == 1, 1.0, found / np.maximum(hits - 1, 1))
    return float(((before + (found + 1) / hits) / 2).sum() / relevant)


LEVELS = 11  # recalls 0, 0.1 … 1


def precision_at_recall(hits: Ranks, relevant: int) -> list[float]:
    """Interpolated precision at recall 0, 0.1 … 1: the best precision at that recall or any higher one.

    The eleven points of TREC and of Manning et al., Introduction to Information Retrieval, 2008, 8.4. A recall that
    the ranking never reaches has precision 0.
    """
    found = np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate((found / hits)[::-1])[::-1] if len(hits) else np.empty(0)
    # Whole numbers: recall >= level / 10 in floats would miss 3/10 >= 0.3.
    places = np.searchsorted(found * (LEVELS - 1), np.arange(LEVELS) * relevant)
    return [float(best[place]) if place < len(best) else 0.0 for place in places]


@measure("recall@K")
def _recall(outcome: Outcome, k: int | None) -> float:
    return int((outcome.hits <= (k or 0)).sum()) / outcome.relevant


@measure("hit_rate@K")
def _hit_rate(outcome: Outcome, k: int | None) -> float:
    return float((outcome.hits <= (k or 0)).any())


@measure("precision@K")
def _precision(outcome: Outcome, k: int | None) -> float:
    return int((outcome.hits <= (k or 0)).sum()) / (k or 1)


@measure("AP", "AP@K", "mAP", "mAP@K", per_query="AP")
def _average_precision(outcome: Outcome, k: int | None) -> float:
    return average_precision(outcome.hits, outcome.relevant, k)


@measure("mAP_trapezoid", per_query="AP_trapezoid")
def _trapezoid(outcome: Outcome, k: int | None) -> float:
    return average_precision_trapezoid(outcome.hits, outcome.relevant)


@measure("ann_recall@K")
def _ann_recall(outcome: Outcome, k: int | None) -> float | None:
    """Overlap of the first K with exact search's first K (all of them where there are fewer)."""
    if outcome.exact is None or not len(outcome.exact):
        return None
    wanted = outcome.exact[:k]
    return int(np.isin(wanted, outcome.ids[:k]).sum()) / len(wanted)
