"""ann_recall@K against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from search.indexes import build_index, recall
from search.indexes.recall import ann_recall
from tests.search.indexes.descriptors import clustered


@pytest.mark.parametrize(("factory", "params"), [("Flat", {}), ("IVF16,Flat", {"nprobe": 1}), ("PCA8,Flat", {})])
def test_it_is_the_overlap_without_the_query(factory: str, params: dict[str, int], monkeypatch: object) -> None:
    monkeypatch.setattr(recall, "ROWS_AT_ONCE", 170)  # type: ignore[attr-defined]
    x, ids = clustered(900, 32), np.random.default_rng(2).permutation(5000)[:900].astype(np.int64)
    index = build_index(factory, 32, **params)
    index.train(x)
    index.add(ids, x)
    queries, seen = np.arange(0, 900, 9), list[int]()
    shares = []
    for row in queries:
        exact = [int(ids[other]) for other in np.argsort(-(x @ x[row]), kind="stable") if other != row][:10]
        found = [int(one) for one in index.search(x[row : row + 1], 11)[1][0] if one != ids[row]][:10]
        shares.append(len(set(exact) & set(found)) / 10)
    measured = ann_recall(index, ids, lambda rows: x[rows], queries, seen.append)
    assert measured == pytest.approx(np.mean(shares), abs=0.002)
    assert (measured == pytest.approx(1.0, abs=0.002)) == (factory == "Flat")
    assert seen == [50, 100]


def test_one_row_has_nothing_to_miss() -> None:
    x = clustered(1, 8)
    index = build_index("Flat", 8)
    index.add(np.array([3]), x)
    assert ann_recall(index, np.array([3]), lambda rows: x[rows], np.array([0]), print) == 1.0
