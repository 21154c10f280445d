"""The contract of every index on torch: on the CPU always, on a GPU where there is one."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from search.indexes import BadParameter, BrokenIndex, ExactIndex, Index, build_index, load_index, torch_exact
from search.indexes import device as devices
from search.indexes.torch_exact import TorchExactIndex
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
    test_an_unknown_parameter_is_named,
    test_concurrent_searches_equal_serial_ones,
    test_excluded_ids_are_not_found_and_the_others_fill_up,
    test_however_many_are_excluded_the_others_fill_up,
    test_it_finds_a_picture_by_its_own_descriptor,
    test_it_finds_what_exact_search_finds,
    test_it_gives_our_ids_in_order_of_score,
    test_it_has_a_weight,
    test_it_pads_with_nothing,
    test_only_allowed_ids_are_found,
    test_unknown_and_repeated_ids_in_a_filter_are_no_matter,
)

__all__ = [
    "ids",
    "oracle",
    "test_a_prepared_selection_finds_what_its_ids_find",
    "test_an_id_comes_once",
    "test_an_unknown_parameter_is_named",
    "test_concurrent_searches_equal_serial_ones",
    "test_excluded_ids_are_not_found_and_the_others_fill_up",
    "test_however_many_are_excluded_the_others_fill_up",
    "test_it_finds_a_picture_by_its_own_descriptor",
    "test_it_finds_what_exact_search_finds",
    "test_it_gives_our_ids_in_order_of_score",
    "test_it_has_a_weight",
    "test_it_pads_with_nothing",
    "test_only_allowed_ids_are_found",
    "test_unknown_and_repeated_ids_in_a_filter_are_no_matter",
]
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def kind() -> Kind:
    return Kind("torch_exact", 0.99)


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def index(request: pytest.FixtureRequest, ids: Ids) -> Index:
    index, x = TorchExactIndex(DIM, request.param), clustered(COUNT)
    index.add(ids[:1500], x[:1500])
    index.add(ids[1500:], x[1500:])
    return index


def test_its_order_is_the_exact_one_of_what_is_stored(
    index: TorchExactIndex, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_exact, "ROWS_AT_ONCE", 700)
    monkeypatch.setattr(torch_exact, "QUERIES_AT_ONCE", 7)
    stored = ExactIndex(DIM)
    stored.add(ids, clustered(COUNT).astype(np.float16).astype(np.float32))
    for allowed in (None, ids[::3]):
        truth, found = stored.search(QUERIES, K, allowed), index.search(QUERIES, K, allowed)
        np.testing.assert_allclose(found[0], truth[0], atol=2e-6)
        assert np.mean(found[1] == truth[1]) > 0.99  # the last bit of a float32 sum may decide


@pytest.mark.parametrize("k", [1, 3, 7])
def test_ties_are_broken_by_id(k: int) -> None:
    x = np.repeat(np.eye(4, dtype=np.float32)[:2], 100, axis=0)
    some = np.random.default_rng(3).permutation(1000)[:200].astype(np.int64)
    index = build_index("torch", 4)
    index.add(some, x)
    assert index.search(np.eye(4, dtype=np.float32)[:1], k)[1][0].tolist() == sorted(some[:100].tolist())[:k]


def test_saved_and_loaded_it_answers_the_same(index: TorchExactIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    opened = load_index(tmp_path / "index")
    assert isinstance(opened, TorchExactIndex)
    for mine, theirs in zip(index.search(QUERIES, K), opened.search(QUERIES, K), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    (tmp_path / "index").write_bytes((tmp_path / "index").read_bytes()[:1000])
    with pytest.raises(BrokenIndex):
        load_index(tmp_path / "index")


def test_it_has_no_parameters_and_half_the_bytes(index: TorchExactIndex) -> None:
    with pytest.raises(BadParameter):
        build_index("torch", 8, nprobe=4)
    assert 2 * DIM * COUNT <= index.code_bytes() <= (2 * DIM + 24) * COUNT


def test_no_gpu_or_no_room_on_it_means_the_cpu_with_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert TorchExactIndex(4, "cuda").device == "cpu"
    assert "finds no GPU" in caplog.text
    index, empty = TorchExactIndex(4, "cpu"), TorchExactIndex._empty
    index.device = "full"

    def full(self: TorchExactIndex, rows: int) -> object:
        if self.device == "full":
            raise torch.OutOfMemoryError("no room")
        return empty(self, rows)

    monkeypatch.setattr(TorchExactIndex, "_empty", full)
    with caplog.at_level(logging.WARNING):
        index.add(np.arange(3), np.eye(4, dtype=np.float32)[:3])
    assert "no room" in caplog.text
    assert (index.device, len(index)) == ("cpu", 3)
    assert index.search(np.eye(4, dtype=np.float32)[:1], 1)[1][0, 0] == 0


def test_one_at_a_time_on_a_device() -> None:
    with devices.device_lock("cuda:7"):
        lock = devices._locks["cuda:7"]
        assert lock._is_owned()  # type: ignore[attr-defined]
    assert not lock._is_owned()  # type: ignore[attr-defined]
