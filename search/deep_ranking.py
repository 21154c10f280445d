"""Whole rankings of many queries at once, by the parts that serve a search: coarse, fine, rules.

A search looks as deep as its page needs; an evaluation wants every place. The first ``fine_depth`` places
are what a visitor sees: coarse candidates scored with the original descriptors. The places behind them keep
the coarse order, so an index that compresses is judged as it is, and not by an exact search in disguise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.evaluation.ordering import order
from search.ranking import Candidate, Context, Facts, Pipeline
from search.ranking.ruling import run_rules
from search.types import Descriptors, Ids, Scores


def deep_ranking(pipeline: Pipeline, x: Descriptors, k: int, fine: int) -> tuple[Ids, Scores]:
    """Ids and scores (queries, at least k) of each row of ``x``, by (tier, -score, id); -1 may stand anywhere.

    The head is searched on its own: asked for the whole gallery, an index that refines its candidates (RFlat)
    would refine all of them and find more than it finds for a visitor.
    """
    side_scores, side_ids = pipeline.side.search(x, min(k, len(pipeline.side)))
    if pipeline.index is None or pipeline.originals is None:
        return order(side_ids, side_scores)
    head_ids, head_scores = _coarse(pipeline, x, fine)
    for row in range(len(x)):
        found = head_ids[row] >= 0
        head_scores[row, found] = pipeline.originals.scores(x[row], head_ids[row, found])
    tail_ids, tail_scores = _coarse(pipeline, x, k if k > fine else 0)
    for row in range(len(x)):
        tail_ids[row, np.isin(tail_ids[row], head_ids[row])] = -1
    if not len(pipeline.side):  # the tail came in order, and holes in it do no harm
        head_ids, head_scores = order(head_ids, head_scores)
        return _beside(head_ids, tail_ids), _beside(head_scores, tail_scores)
    # A picture beside the build has an exact score: it goes where that says.
    worst = np.where(head_ids < 0, np.inf, head_scores).min(axis=1, initial=np.inf)
    in_head = side_scores >= worst[:, None]
    head = order(_beside(head_ids, np.where(in_head, side_ids, -1)), _beside(head_scores, side_scores))
    tail = order(_beside(tail_ids, np.where(in_head, -1, side_ids)), _beside(tail_scores, side_scores))
    return _beside(head[0], tail[0]), _beside(head[1], tail[1])


def _coarse(pipeline: Pipeline, x: Descriptors, k: int) -> tuple[Ids, Scores]:
    assert pipeline.index is not None
    k = min(k, len(pipeline.index))
    scores, ids = pipeline.index.search(x, k, excluded=pipeline.superseded, **pipeline.search_params)
    return ids.copy(), scores.astype(np.float32)


def _beside(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([left, right], axis=1)


def ruled(pipeline: Pipeline, ids: Ids, scores: Scores, facts: Mapping[int, Facts]) -> tuple[Ids, Scores]:
    """One cleaned ranking (n,) after the business rules, as they leave a visitor's: to the same depth.

    What a rule brings in (pin) it takes from the ranking itself.
    """
    known = [Candidate(i, s, facts[i]) for i, s in zip(ids.tolist(), scores.tolist(), strict=True) if i in facts]

    def named(skus: Sequence[str]) -> list[Candidate]:
        return [candidate for candidate in known if candidate.facts.sku in skus]

    hits = run_rules(pipeline.rules, known, pipeline.rules_depth, Context(pipeline.vectors, named)).hits
    return np.array([c.id for c in hits], np.int64), np.array([c.score for c in hits], np.float32)


def collapsed(ids: Ids, products: Mapping[int, int]) -> Ids:
    """Each picture's product as a key of its own: products as they are, lone pictures below zero."""
    return np.array([products.get(i, -1 - i) for i in ids.tolist()], np.int64)


class ExactTop:
    """The exact first ``k`` of each query, gathered while the descriptors stream by: the yardstick of ann_recall."""

    def __init__(self, x: Descriptors, k: int) -> None:
        self.x, self.k = x, k
        self.ids: Ids = np.full((len(x), 0), -1, np.int64)
        self.scores: Scores = np.full((len(x), 0), -np.inf, np.float32)

    def add(self, ids: Ids, x: Descriptors) -> None:
        """See ``x`` (n, dim) of pictures ``ids`` (n,)."""
        scores = np.concatenate([self.scores, self.x @ x.T], axis=1)
        every = np.concatenate([self.ids, np.broadcast_to(ids, (len(self.x), len(ids)))], axis=1)
        self.ids, self.scores = _top(every, scores, self.k)


def _top(ids: Ids, scores: Scores, k: int) -> tuple[Ids, Scores]:
    """The first ``k`` by (-score, id) of each row, ties at the edge decided by the id."""
    if scores.shape[1] > k:
        edge = -np.partition(-scores, k - 1, axis=1)[:, k - 1, None]
        width = int((scores >= edge).sum(axis=1).max())  # k, or more where scores are equal
        near = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        ids, scores = np.take_along_axis(ids, near, 1), np.take_along_axis(scores, near, 1)
    best = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, best, 1), np.take_along_axis(scores, best, 1)
