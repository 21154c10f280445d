"""Which attributes become heads, and that no product is on both sides of a split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.training.branch_labels import (
    FIT,
    MEASURE,
    TUNE,
    Chosen,
    LeftOut,
    Sample,
    choose,
    split,
    targets,
    texts,
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("red", ("red",)),
        (["red", "blue", "red", ""], ("red", "blue")),
        (True, ("true",)),
        (None, ()),
        ("", ()),
        ([], ()),
        (5, None),
        ([1, 2], None),
        ({"a": 1}, None),
    ],
)
def test_values_as_texts(value: object, found: object) -> None:
    assert texts(value) == found


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1, 2.5, 3] * 10, "numbers"),
        (["42", "43,5", "44"] * 10, "numbers"),
        (["red", "blue"] * 10 + [5] * 10, "mixed"),
        (["red"] * 40, "few_values"),
        (["red"] * 20 + ["blue"] * 7, "few_values"),
        (["red", "blue"] * 8 + [None] * 60, "coverage"),
        ([f"a text of its own, {n}" for n in range(30)] + ["red", "blue"] * 8, "free_text"),
        (["x" * 201, "y" * 201] * 20, "free_text"),
    ],
)
def test_what_is_no_head_and_why(values: list[object], why: str) -> None:
    assert choose("colour", values) == LeftOut("colour", why)


def test_two_values_of_eight_products_are_enough() -> None:
    assert choose("colour", ["red"] * 9 + ["blue"] * 8 + ["odd"]) == Chosen("colour", True, ("red", "blue"), 18)


def test_lists_are_heads_of_several_values() -> None:
    found = choose("materials", [["wood", "steel"], ["wood"], "steel"] * 8)
    assert found == Chosen("materials", False, ("steel", "wood"), 24)


def test_targets_have_a_place_for_values_that_were_too_rare() -> None:
    rows = [("red",), ("mauve",), ("blue",)]
    assert targets(Chosen("colour", True, ("red", "blue"), 3), rows).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    several = [("red", "blue"), ("mauve",), ()]
    assert targets(Chosen("colour", False, ("red", "blue"), 3), several).tolist() == [[1, 1], [0, 0], [0, 0]]


def numbers(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=1, max_size=80), st.integers(0, 3))
def test_products_that_share_a_picture_are_on_one_side(pictures: list[tuple[int, int]], seed: int) -> None:
    products, contents = numbers([p for p, _ in pictures]), numbers([c for _, c in pictures])
    parts = split([f"sku {p}" for p in products], products, contents, seed)
    for group in (products, contents):
        for value in np.unique(group):
            assert len(set(parts[group == value].tolist())) == 1


def test_shares_and_seeds() -> None:
    n = np.arange(500)
    keys = [f"sku {p}" for p in n]
    parts = split(keys, n, n, 0)
    assert [int((parts == which).sum()) for which in (FIT, TUNE, MEASURE)] == [300, 100, 100]
    assert (parts == split(keys, n, n, 0)).all()
    assert (parts != split(keys, n, n, 1)).mean() > 0.3
    order = np.random.default_rng(0).permutation(500)  # of rows: says nothing
    assert (split([keys[at] for at in order], n[order], n[order], 0) == parts[order]).all()


def test_a_product_counts_once_however_many_pictures_it_has() -> None:
    sample = Sample(np.zeros((4, 2), np.float32), numbers([1, 1, 1, 2]), numbers([1, 2, 3, 4]), {})
    assert sample.weights().tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
