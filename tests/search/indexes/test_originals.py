"""The original descriptors of a build: looked up and scored where they lie."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from search.indexes.half_precision import half_precision_scores
from search.indexes.saved import FEW, IDS, ORIGINALS, Manifest, OriginalRows
from search.types import Ids
from tests.search.indexes.descriptors import clustered

COUNT, DIM = 3000, 48
X, QUERY = clustered(COUNT, DIM), clustered(1, DIM, seed=4)[0]
RISING = np.arange(COUNT, dtype=np.int64) * 3 + 7
MIXED = np.random.default_rng(1).permutation(RISING)


def originals(folder: Path, ids: Ids) -> OriginalRows:
    X.astype("<f2").tofile(folder / ORIGINALS)
    ids.astype("<i8").tofile(folder / IDS)
    return OriginalRows(folder, Manifest("Flat", DIM, len(ids), "f", 0))


@pytest.mark.parametrize("ids", [RISING, MIXED], ids=["rising", "mixed"])
@pytest.mark.parametrize("count", [0, 1, 200, FEW, FEW + 1, COUNT])
def test_scores_and_vectors_are_of_the_ids_asked_for(tmp_path: Path, ids: Ids, count: int) -> None:
    held = originals(tmp_path, ids)
    places = np.random.default_rng(count).permutation(COUNT)[:count]
    stored = X.astype(np.float16).astype(np.float32)[places]
    np.testing.assert_array_equal(held.vectors(ids[places]), stored)
    np.testing.assert_allclose(held.scores(QUERY, ids[places]), stored @ QUERY, atol=2e-6)
    assert held.scores(QUERY, ids[places]).dtype == np.float32
    np.testing.assert_array_equal(held.ids, np.sort(ids))


@pytest.mark.parametrize("ids", [RISING, MIXED], ids=["rising", "mixed"])
def test_it_knows_what_it_holds(tmp_path: Path, ids: Ids) -> None:
    held = originals(tmp_path, ids)
    asked = np.array([ids[5], 8, ids[0], -1, 10**15], np.int64)
    assert held.holds(asked).tolist() == [True, False, True, False, False]
    assert held.holds(ids[:7]).all()
    for ask in (held.vectors, lambda some: held.scores(QUERY, some)):
        with pytest.raises(KeyError, match="8"):
            ask(asked)


def test_equal_rows_have_equal_scores() -> None:
    rows = np.repeat(X[:3].astype(np.float16), 50, axis=0)
    scores = half_precision_scores(QUERY, rows).reshape(3, 50)
    assert (scores == scores[:, :1]).all()


def test_nothing_is_kept_in_memory_where_ids_rise(tmp_path: Path) -> None:
    """Ids and descriptors stay in their files: ten million of them shall be served from 3 GB."""
    originals(tmp_path, RISING)
    manifest = Manifest("Flat", DIM, COUNT, "f", 0)
    OriginalRows(tmp_path, manifest).scores(QUERY, RISING[:200])  # imports FAISS
    tracemalloc.start()
    held = OriginalRows(tmp_path, manifest)
    held.scores(QUERY, RISING[:200])
    assert len(held.ids) == COUNT
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < COUNT * 8 / 2
