"""Rows and ids: appended in any order, each once, found again."""

from __future__ import annotations

import numpy as np
import pytest

from search.indexes import DuplicateIds
from search.indexes.ids import RowIds
from search.types import Ids


def appended(ids: Ids, chunk: int) -> RowIds:
    rows = RowIds()
    for start in range(0, len(ids), chunk):
        rows.append(ids[start : start + chunk])
    return rows


@pytest.mark.parametrize("order", ["rising", "falling", "any", "rising chunks"])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_ids_and_rows_are_found_again(order: str, chunk: int) -> None:
    random = np.random.default_rng(1)
    ids = np.sort(random.choice(10_000, 500, replace=False)).astype(np.int64)
    ids = {"rising": ids, "falling": ids[::-1], "any": random.permutation(ids), "rising chunks": np.roll(ids, 70)}[
        order
    ]
    rows = appended(ids, chunk)
    np.testing.assert_array_equal(rows.array, ids)
    asked = random.permutation(10_000).astype(np.int64)
    expected = [int(np.flatnonzero(ids == one)[0]) for one in asked.tolist() if one in set(ids.tolist())]
    assert rows.rows_of(asked).tolist() == expected
    for repeated in (ids[0], ids[250], ids[-1]):
        with pytest.raises(DuplicateIds, match=str(repeated)):
            rows.append(np.array([20_000, repeated], np.int64))
    assert len(rows) == 500
    rows.append(np.array([20_000], np.int64))
    assert rows.rows_of(np.array([20_000])).tolist() == [500]


def test_rising_ids_cost_eight_bytes_and_others_twelve_once_they_are_looked_up() -> None:
    rising, others = RowIds(np.arange(1000)), RowIds(np.arange(1000)[::-1].copy())
    for rows in (rising, others):
        rows.rows_of(np.array([5]))
    assert (rising.nbytes, others.nbytes) == (8000, 12_000)


def test_ids_that_were_loaded_are_checked_too() -> None:
    rows = RowIds(np.array([5, 3, 9]))
    with pytest.raises(DuplicateIds, match="3"):
        rows.append(np.array([3]))
    rows.append(np.array([4]))
    assert rows.array.tolist() == [5, 3, 9, 4]
