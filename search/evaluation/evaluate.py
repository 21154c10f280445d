"""Rankings against ground truth, for callers who have both in memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from catalog.errors import LookalikeError, gettext_noop
from search.evaluation.metrics import Metric, Outcome, parse_metrics
from search.evaluation.ordering import AnyScores, order
from search.evaluation.protocol import Truth
from search.evaluation.report import Report
from search.types import Ids

Key = TypeVar("Key", bound=Hashable)


class BadRanking(LookalikeError):
    code = "bad_ranking"
    text = gettext_noop("The ranking of query '%(query)s' cannot be scored: %(reason)s.")


@dataclass(frozen=True)
class Ranking:
    """Ids of one query's results. With ``scores``: in any order; without: best first. -1 is no result."""

    ids: ArrayLike
    scores: ArrayLike | None = None
    exact: ArrayLike | None = None  # ids by exact search, best first, for ann_recall


def evaluate(
    rankings: Mapping[Key, Ranking],
    ground_truth: Mapping[Key, Truth],
    metrics: Iterable[str] = ("mAP", "recall@10"),
) -> Report[Key]:
    """Score every query of ``ground_truth``; the report keeps each query's scores.

    A query without positives is skipped and counted. A query without a ranking found nothing. Raises
    UnknownMetric, and BadRanking for an id given twice or a ranking nobody asked for.
    """
    for key in rankings:
        if key not in ground_truth:
            raise BadRanking(query=key, reason="there is no ground truth for it")
    report: Report[Key] = Report(parse_metrics(metrics))
    for key, truth in ground_truth.items():
        outcome = judge(key, rankings.get(key, Ranking([])), truth) if truth.relevant else None
        report.add(key, score(report.metrics, outcome) if outcome else None)
    return report


def judge(key: Hashable, ranking: Ranking, truth: Truth) -> Outcome:
    """Order one ranking, take out what is ignored, and only then count ranks."""
    ids, scores = _arrays(key, ranking)
    ids = order(ids, scores)[0][0]
    ids = ids[ids >= 0]
    if not np.diff(np.sort(ids)).all():
        raise BadRanking(query=key, reason="it holds an id twice")
    ids = ids[~np.isin(ids, truth.ignored)]
    hits = np.flatnonzero(np.isin(ids, truth.positives)) + 1
    exact = None if ranking.exact is None else np.asarray(ranking.exact, np.int64)
    if exact is not None:
        exact = exact[~np.isin(exact, truth.ignored)]
    return Outcome(hits, truth.relevant, ids, exact)


def score(metrics: Iterable[Metric], outcome: Outcome) -> dict[str, float | None]:
    """One query's scores by the metric's per-query name."""
    return {metric.per_query: metric(outcome) for metric in metrics}


def _arrays(key: Hashable, ranking: Ranking) -> tuple[Ids, AnyScores]:
    ids = np.asarray(ranking.ids, np.int64).reshape(1, -1)
    if ranking.scores is None:
        return ids, -np.arange(ids.size, dtype=np.float64).reshape(1, -1)
    scores = np.asarray(ranking.scores, np.float64).reshape(1, -1)
    if scores.shape != ids.shape or np.isnan(scores).any():
        raise BadRanking(query=key, reason="it needs one score, a number, for each id")
    return ids, scores
