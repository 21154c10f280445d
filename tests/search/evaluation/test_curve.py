"""The eleven points of the precision-recall curve."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from search.evaluation.metrics import precision_at_recall


def slowly(hits: list[int], relevant: int) -> list[float]:
    """From the words: the best precision at any place whose recall is at least the level."""
    places = [(found, found / rank) for found, rank in enumerate(hits, start=1)]
    return [max((p for found, p in places if 10 * found >= level * relevant), default=0.0) for level in range(11)]


def test_by_hand() -> None:
    """Hits at 1, 3 and 6 of four: precision 1, 2/3, 1/2 at recall 0.25, 0.5, 0.75; the fourth never came."""
    curve = precision_at_recall(np.array([1, 3, 6]), 4)
    assert curve == pytest.approx([1, 1, 1, 2 / 3, 2 / 3, 2 / 3, 1 / 2, 1 / 2, 0, 0, 0])


def test_nothing_found() -> None:
    assert precision_at_recall(np.empty(0, np.int64), 3) == [0.0] * 11


def test_three_of_ten_reach_recall_three_tenths() -> None:
    assert precision_at_recall(np.array([1, 2, 3]), 10)[3] == 1.0


def test_random_cases() -> None:
    rng = np.random.default_rng(8)
    for _ in range(500):
        relevant = int(rng.integers(1, 40))
        hits = np.sort(rng.choice(np.arange(1, 200), int(rng.integers(0, relevant + 1)), replace=False))
        curve = precision_at_recall(hits, relevant)
        assert curve == pytest.approx(slowly(hits.tolist(), relevant))
        assert all(a >= b for a, b in pairwise(curve))
