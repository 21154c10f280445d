"""Held-out pictures: as many as asked, of every class, and no group on both sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.training.errors import TooFewLabels
from search.training.samples import LEAST_OF_CLASS, Samples, check, split, usable


def samples(labels: list[int], groups: list[int] | None = None, *, whole: bool = False) -> Samples:
    places = np.arange(len(labels))
    names = [f"class {n}" for n in range(max(labels) + 1)]
    return Samples(places + 7, np.array(labels), names, places if groups is None else np.array(groups), places, whole)


def test_a_share_of_each_class_is_held_out() -> None:
    train, held = split(samples([0] * 10 + [1] * 20 + [2] * 40), 0.2, seed=0)
    assert held.sizes().tolist() == [2, 4, 8]
    assert train.sizes().tolist() == [8, 16, 32]
    assert set(train.ids) | set(held.ids) == set(range(7, 77))
    assert not set(train.ids) & set(held.ids)


def test_whole_products_are_held_out_where_there_are_many() -> None:
    many = samples([n // 3 for n in range(90)], whole=True)
    train, held = split(many, 0.2, seed=0)
    assert (len(train.classes), len(held.classes)) == (24, 6)
    assert not set(train.classes) & set(held.classes)
    few = samples([n // 10 for n in range(90)], whole=True)
    train, held = split(few, 0.2, seed=0)
    assert set(train.classes) == set(held.classes)  # nine classes are too few to give some away


def test_the_same_seed_holds_out_the_same() -> None:
    some = samples([n % 5 for n in range(100)])
    assert split(some, 0.2, 3)[1].sha256 == split(some, 0.2, 3)[1].sha256
    assert split(some, 0.2, 3)[1].sha256 != split(some, 0.2, 4)[1].sha256


@given(
    labels=st.lists(st.integers(0, 4), min_size=20, max_size=80),
    patients=st.integers(2, 30),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 50),
    by=st.sampled_from(["classes", "pictures", "auto"]),
)
def test_a_group_is_never_on_both_sides(labels: list[int], patients: int, share: float, seed: int, by: str) -> None:
    groups = np.random.default_rng(seed).integers(0, patients, len(labels)).tolist()
    try:
        train, held = split(samples(labels, groups), share, seed, by)
    except TooFewLabels:
        return
    assert not set(train.groups) & set(held.groups)
    assert not set(train.ids) & set(held.ids)
    assert min(train.sizes()) >= LEAST_OF_CLASS
    assert min(held.sizes()) >= LEAST_OF_CLASS


def test_too_little_is_said_with_what_is_needed() -> None:
    with pytest.raises(TooFewLabels, match="two classes of two pictures"):
        check(samples([0, 0, 0, 1]), 2, "Label more.")
    with pytest.raises(TooFewLabels, match="to hold out"):
        split(samples([0] * 3 + [1] * 3), 0.2, 0)


def test_classes_of_one_picture_are_left_out() -> None:
    left = usable(samples([0, 0, 1, 2, 2, 2]))
    assert (left.classes, left.labels.tolist()) == (["class 0", "class 2"], [0, 0, 1, 1, 1])
    assert left.ids.tolist() == [7, 8, 10, 11, 12]
