"""Batches hold the same number of pictures of each of some classes, and leave nothing out."""

from __future__ import annotations

from collections import Counter

import numpy as np

from search.training.sampling import ClassBalanced

LABELS = np.array([0] * 3 + [1] * 8 + [2] * 100 + [3] * 2)


def test_a_batch_is_balanced() -> None:
    sampler = ClassBalanced(LABELS, 3, 4, seed=0)
    for _ in range(50):
        counts = Counter(LABELS[sampler.batch()].tolist())
        assert len(counts) == 3
        assert set(counts.values()) == {4}


def test_a_rare_class_is_seen_as_often_as_a_common_one() -> None:
    sampler = ClassBalanced(LABELS, 2, 4, seed=1)
    seen = Counter(LABELS[np.concatenate([sampler.batch() for _ in range(200)])].tolist())
    assert set(seen.values()) == {400}


def test_every_picture_comes_before_any_comes_again() -> None:
    sampler = ClassBalanced(LABELS, 4, 2, seed=2)
    places = np.concatenate([sampler.batch() for _ in range(50)])
    common = [place for place in places.tolist() if LABELS[place] == 2]
    assert sorted(common) == list(range(11, 111))


def test_no_picture_twice_in_a_batch_while_there_are_others() -> None:
    sampler = ClassBalanced(LABELS, 4, 3, seed=3)
    for _ in range(60):
        counts = Counter(sampler.batch().tolist())
        assert all(count == 1 for place, count in counts.items() if LABELS[place] != 3)


def test_fewer_classes_than_asked_for() -> None:
    assert len(ClassBalanced(LABELS, 16, 4, seed=0).batch()) == 16


def test_it_goes_on_where_it_was() -> None:
    one, other = ClassBalanced(LABELS, 3, 4, seed=5), ClassBalanced(LABELS, 3, 4, seed=5)
    for _ in range(17):
        one.batch()
    other.restore(one.state())
    assert [one.batch().tolist() for _ in range(9)] == [other.batch().tolist() for _ in range(9)]
