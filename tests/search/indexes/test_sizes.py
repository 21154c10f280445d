"""Which index suits how many pictures."""

from __future__ import annotations

import numpy as np
import pytest

from search.indexes import ExactIndex, auto_factory, build_index, default_params
from tests.search.indexes.descriptors import clustered


@pytest.mark.parametrize(
    ("count", "factory", "params"),
    [
        (1, "SQfp16", {}),
        (5_000, "SQfp16", {}),
        (5_001, "HNSW32,SQ8", {"efSearch": 128}),
        (500_000, "HNSW32,SQ8", {"efSearch": 128}),
        (1_000_000, "IVF4096,SQ8", {"nprobe": 128}),
        (10_000_000, "IVF16384,SQ8", {"nprobe": 512}),
    ],
)
def test_the_choice_by_size(count: int, factory: str, params: dict[str, int]) -> None:
    assert auto_factory(count, 64) == (factory, params)
    build_index(factory, 64, **params)  # FAISS knows both


def test_the_choice_for_small_collections_is_exact_on_what_is_stored() -> None:
    x = clustered(2000).astype(np.float16).astype(np.float32)
    ids = np.arange(2000)
    oracle, index = ExactIndex(64), build_index(auto_factory(2000, 64)[0], 64)
    for each in (oracle, index):
        each.train(x)
        each.add(ids, x)
    queries = clustered(50, seed=1)
    for exact, found in zip(oracle.search(queries, 20), index.search(queries, 20), strict=True):
        np.testing.assert_allclose(found, exact, atol=1e-6)


@pytest.mark.parametrize(
    ("factory", "params"),
    [
        ("Flat", {}),
        ("IVF4,Flat", {"nprobe": 4}),
        ("IVF512,SQ8", {"nprobe": 16}),
        ("PCA64,IVF65536_HNSW32,PQ16", {"nprobe": 2048}),
        ("HNSW32", {"efSearch": 128}),
    ],
)
def test_a_factory_without_parameters_is_searched_wide_enough(factory: str, params: dict[str, int]) -> None:
    assert default_params(factory) == params
