"""FAISS on a GPU: the contract where there is one; elsewhere with a second index on the CPU in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from search.indexes import Index, build_index, device, gpu
from search.indexes.faiss_module import faiss
from search.indexes.gpu import GpuIndex, building_on_gpu, on_gpu
from search.types import Ids
from tests.search.indexes.descriptors import clustered
from tests.search.indexes.test_contract import (
    COUNT,
    DIM,
    QUERIES,
    K,
    Kind,
    ids,
    oracle,
    test_a_prepared_selection_finds_what_its_ids_find,
    test_an_id_comes_once,
    test_concurrent_searches_equal_serial_ones,
    test_excluded_ids_are_not_found_and_the_others_fill_up,
    test_it_finds_what_exact_search_finds,
    test_it_gives_our_ids_in_order_of_score,
    test_it_pads_with_nothing,
    test_only_allowed_ids_are_found,
)

__all__ = [
    "ids",
    "oracle",
    "test_a_prepared_selection_finds_what_its_ids_find",
    "test_an_id_comes_once",
    "test_concurrent_searches_equal_serial_ones",
    "test_excluded_ids_are_not_found_and_the_others_fill_up",
    "test_it_finds_what_exact_search_finds",
    "test_it_gives_our_ids_in_order_of_score",
    "test_it_pads_with_nothing",
    "test_only_allowed_ids_are_found",
]


IS_THERE = gpu.is_there


class Fragile:
    """In the place of an index on a GPU: fails if two threads are in it at once."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.busy, self.searches = faiss.clone_index(inner), threading.Lock(), 0

    def search(self, x: Any, k: int, **how: Any) -> Any:
        assert k <= gpu.MOST_HITS
        if not self.busy.acquire(blocking=False):
            raise AssertionError("two searches at once")
        try:
            self.searches += 1
            return self.inner.search(x, k, **how)
        finally:
            self.busy.release()


def cells(x: Any, count: int, rounds: int, points: int) -> Any:
    learning = faiss.Kmeans(x.shape[1], count, niter=rounds, spherical=True, min_points_per_centroid=1)
    learning.train(x)
    return learning.centroids


@pytest.fixture(scope="module", params=["stand-in", pytest.param("real", marks=pytest.mark.gpu)])
def some_gpu(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "stand-in":
            patch.setattr(gpu, "is_there", lambda: True)
            patch.setattr(gpu, "moved", Fragile)
            patch.setattr(gpu, "kmeans", cells)
        elif not gpu.is_there():
            pytest.skip("FAISS's GPU package is not installed: see docs/install.md")
        yield


@pytest.fixture(
    scope="module",
    params=[Kind("Flat", 0.99), Kind("IVF32,Flat", 0.9, {"nprobe": 16}), Kind("IVF32,SQ8", 0.85, {"nprobe": 16})],
    ids=lambda kind: kind.factory,
)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def index(kind: Kind, ids: Ids, some_gpu: None) -> Index:
    x = clustered(COUNT)
    index = building_on_gpu(build_index(kind.factory, DIM, **kind.params))
    index.train(x)
    index.add(ids[:1500], x[:1500])
    index.add(ids[1500:], x[1500:])
    served: Index = on_gpu(index)
    assert isinstance(served, GpuIndex)
    assert served._copy is not None
    return served


def test_searches_without_a_filter_run_on_the_copy(index: GpuIndex) -> None:
    if not isinstance(index._copy, Fragile):
        pytest.skip("a real GPU does not count them")
    before = index._copy.searches
    index.search(QUERIES, K)
    assert index._copy.searches > before
    before = index._copy.searches
    index.search(QUERIES, K, np.arange(100))
    index.search(QUERIES, gpu.MOST_HITS + 1)
    assert index._copy.searches == before


def fails(error: Exception) -> Callable[..., Any]:
    def fail(*args: Any, **named: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", [RuntimeError("Error in x: kind not supported"), MemoryError()])
def test_what_a_gpu_cannot_do_is_done_on_the_cpu(
    error: Exception, ids: Ids, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpu, "is_there", lambda: True)
    monkeypatch.setattr(gpu, "moved", fails(error))
    monkeypatch.setattr(gpu, "kmeans", fails(error))
    index = building_on_gpu(build_index("IVF16,SQ8", DIM))
    index.train(clustered(COUNT))
    index.add(ids, clustered(COUNT))
    served = on_gpu(index)
    assert (served.search(QUERIES, K)[1] >= 0).all()
    assert "learning cells of the index IVF16,SQ8 is not done on the GPU but on the CPU" in caplog.text
    assert "a copy for searching" in caplog.text


def test_a_search_that_fails_is_done_again_on_the_cpu_and_the_gpu_left_alone(
    ids: Ids, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpu, "is_there", lambda: True)
    monkeypatch.setattr(gpu, "moved", Fragile)
    plain = build_index("Flat", DIM)
    plain.add(ids, clustered(COUNT))
    index = on_gpu(plain)
    monkeypatch.setattr(index._copy, "search", fails(RuntimeError("out of memory")))
    np.testing.assert_array_equal(index.search(QUERIES, K)[1], plain.search(QUERIES, K)[1])
    assert index._copy is None
    assert "out of memory" in caplog.text


def test_without_a_gpu_nothing_changes_but_for_a_word_where_one_was_wanted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    monkeypatch.setattr(gpu, "_said", set())
    monkeypatch.setattr(gpu, "is_there", IS_THERE)
    index = build_index("Flat", 8)
    for wanted, said in (("cpu", 0), ("auto", 0), ("cuda", 1), ("cuda", 1)):
        monkeypatch.setattr(device, "_wanted", lambda wanted=wanted: wanted)
        assert on_gpu(index) is index
        assert building_on_gpu(index) is index
        assert caplog.text.count("finds no GPU") == said
    assert on_gpu(exact := build_index("exact", 8)) is exact
