"""Which index suits how many pictures."""

from __future__ import annotations

import numpy as np
import pytest

from search.indexes import BadFactory, ExactIndex, auto_factory, build_index, default_params
from search.indexes.footprint import estimated_bytes
from search.indexes.presets import preset_named, presets
from tests.search.indexes.descriptors import clustered


@pytest.mark.parametrize(
    ("count", "factory", "params"),
    [
        (1, "SQfp16", {}),
        (5_000, "SQfp16", {}),
        (5_001, "HNSW32,SQ8", {"efSearch": 128}),
        (500_000, "HNSW32,SQ8", {"efSearch": 128}),
        (500_001, "PCAR64,IVF2048_HNSW32,RaBitQ", {"nprobe": 23}),
        (1_000_000, "PCAR64,IVF4096_HNSW32,RaBitQ", {"nprobe": 32}),
        (10_000_000, "PCAR64,IVF16384_HNSW32,RaBitQ", {"nprobe": 64}),
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
        ("PCA64,IVF65536_HNSW32,PQ16", {"nprobe": 128}),
        ("HNSW32", {"efSearch": 128}),
    ],
)
def test_a_factory_without_parameters_is_searched_wide_enough(factory: str, params: dict[str, int]) -> None:
    assert default_params(factory) == params


@pytest.mark.parametrize(("dim", "axes"), [(32, 32), (64, 64), (100, 64), (512, 256), (768, 384), (2048, 384)])
def test_the_largest_collections_keep_some_axes_only(dim: int, axes: int) -> None:
    assert auto_factory(1_000_000, dim)[0] == f"PCAR{axes},IVF4096_HNSW32,RaBitQ"


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("dim", [32, 63, 64, 100, 512, 1368, 2048])
def test_presets_suit_every_size(name: str, dim: int) -> None:
    for count in (1, 40, 999, 1000, 100_000, 1_000_000, 10_000_000):
        factory = presets()[name].factory(count, dim)
        build_index(factory, dim, **default_params(factory))
        assert estimated_bytes(factory, dim, count) > 0


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("count", [1, 3, 100, 1100])
def test_presets_learn_from_what_there_is(name: str, count: int) -> None:
    x = clustered(count, 72)
    factory = presets()[name].factory(count, 72)
    index = build_index(factory, 72, **default_params(factory))
    index.train(x)
    index.add(np.arange(count), x)
    assert index.search(x[:1], 1)[1].tolist() == [[0]] or name in {"product", "hash_256"}


def test_presets_say_what_they_cost() -> None:
    assert list(presets()) == [preset.name for preset in presets().values()]
    for preset in presets().values():
        assert preset.title
        assert len(preset.says) < 120
        assert "%" not in preset.says
    with pytest.raises(BadFactory, match=r"best.*balanced"):
        preset_named("best")
