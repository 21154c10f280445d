"""The contract of every index on Milvus: a real server for some kinds, milvus-lite for others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from search.indexes import BadFactory, BadParameter, ExactIndex, Index, build_index
from search.indexes import milvus_filter as filters
from search.indexes.milvus_index import MilvusIndex
from search.indexes.milvus_kinds import counterpart, kind_of
from search.indexes.milvus_server import MilvusDown, MilvusRefused, MilvusUnset, Server, client
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
    overlap,
    test_an_id_comes_once,
    test_excluded_ids_are_not_found_and_the_others_fill_up,
    test_it_finds_a_picture_by_its_own_descriptor,
    test_it_finds_what_exact_search_finds,
    test_it_gives_our_ids_in_order_of_score,
    test_it_pads_with_nothing,
    test_only_allowed_ids_are_found,
    test_unknown_and_repeated_ids_in_a_filter_are_no_matter,
)
from tests.search.milvus import using

__all__ = [
    "ids",
    "oracle",
    "test_an_id_comes_once",
    "test_excluded_ids_are_not_found_and_the_others_fill_up",
    "test_it_finds_a_picture_by_its_own_descriptor",
    "test_it_finds_what_exact_search_finds",
    "test_it_gives_our_ids_in_order_of_score",
    "test_it_pads_with_nothing",
    "test_only_allowed_ids_are_found",
    "test_unknown_and_repeated_ids_in_a_filter_are_no_matter",
]

pytestmark = pytest.mark.milvus
REAL = [
    Kind("FLAT", 1.0),
    Kind("IVF_SQ8(nlist=32)", 0.85, {"nprobe": 16}),
    Kind("HNSW(M=16)", 0.95, {"ef": 64}),
]
SAME = 0.93  # a graph on the server does not always give the same last hits for the same search
LITE = [
    Kind("IVF_FLAT(nlist=32)", 0.9, {"nprobe": 16}),
    Kind("HNSW_SQ(M=16, sq_type=SQ8)", 0.85, {"ef": 64}),
]


@pytest.fixture(scope="module", params=[*REAL, *LITE], ids=lambda kind: kind.factory)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def server(kind: Kind, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    lite = str(tmp_path_factory.mktemp("lite") / "milvus.db")
    with using(lite if kind in LITE else request.getfixturevalue("milvus_uri")) as server:
        yield server


@pytest.fixture(scope="module")
def index(kind: Kind, server: Server, ids: Ids) -> Iterator[Index]:
    x = clustered(COUNT)
    index = build_index(kind.factory, DIM, engine="milvus", **kind.params)
    assert isinstance(index, MilvusIndex)
    index.train(x)
    index.add(ids[:1500], x[:1500])
    index.add(ids[1500:], x[1500:])
    yield index
    index.collection.drop()


def test_a_pointer_finds_the_collection_again(index: MilvusIndex, kind: Kind, ids: Ids, tmp_path: Path) -> None:
    index.save(tmp_path / "pointer")
    opened = MilvusIndex.load(tmp_path / "pointer", np.sort(ids), **kind.params)
    assert len(opened) == COUNT
    assert opened.code_bytes() == index.code_bytes() > 8 * COUNT
    assert overlap(opened.search(QUERIES, K)[1], index.search(QUERIES, K)[1]) > SAME
    assert json.loads((tmp_path / "pointer").read_text())["factory"] == kind.factory


def test_parameters_and_filters_of_one_call_do_not_leak_into_another(index: MilvusIndex, ids: Ids, kind: Kind) -> None:
    random = np.random.default_rng(5)
    filtered = [None if number % 3 else random.choice(ids, 200, replace=False) for number in range(60)]
    params = [{name: value if number % 2 else 1 for name, value in kind.params.items()} for number in range(60)]

    def search(number: int) -> Ids:
        query = QUERIES[number % 50 : number % 50 + 1]
        return index.search(query, K, filtered[number], **params[number])[1][0]

    serial = [search(number) for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(search, range(60)))
    assert overlap(np.array(together), np.array(serial)) > SAME
    assert all(some is None or np.isin(found, some).all() for some, found in zip(filtered, together, strict=True))


def test_a_prepared_selection_answers_like_its_ids(index: MilvusIndex, ids: Ids) -> None:
    some = np.random.default_rng(1).choice(ids, 300, replace=False)
    prepared = index.prepare(np.concatenate([some, [10**12]]))
    _, found = index.search(QUERIES, K, prepared)
    assert np.isin(found, some).all()
    assert overlap(found, index.search(QUERIES, K, some)[1]) > SAME


def test_large_selections_are_searched_wide_then_in_pieces(
    index: MilvusIndex, oracle: ExactIndex, ids: Ids, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a list might hold 100 ids only: half of the index, a tenth of it, and the part farthest from a query."""
    monkeypatch.setattr(filters, "LISTED", 100)
    far = ids[np.argsort(clustered(COUNT) @ QUERIES[0])[:400]]
    for some in (ids[::2], ids[::10], far, np.setdiff1d(ids, ids[:50])):
        _, found = index.search(QUERIES[:10], K, some)
        assert np.isin(found, some).all()
        assert overlap(found, oracle.search(QUERIES[:10], K, some)[1]) >= kind.floor - 0.05


def test_upserted_and_deleted_rows(index: MilvusIndex) -> None:
    new, x = np.array([10**6, 10**6 + 1]), clustered(2, seed=9)
    index.upsert(new, x)
    assert index.search(x, 1)[1][:, 0].tolist() == new.tolist()
    index.upsert(new[:1], -x[:1])
    assert len(index) == COUNT + 2
    assert index.search(x[:1], 1)[1][0, 0] != new[0]
    assert index.search(-x[:1], 1)[1][0, 0] == new[0]
    index.delete(np.concatenate([new, [10**12]]))
    assert len(index) == COUNT
    assert not np.isin(index.search(np.concatenate([x, -x]), K)[1], new).any()


@pytest.mark.parametrize("factory", ["IVF_PQ(nlist=16, m=32, nbits=4)", "SCANN(nlist=16)"])
def test_other_kinds_of_a_real_server(factory: str, milvus_uri: str, oracle: ExactIndex, ids: Ids) -> None:
    with using(milvus_uri):
        index = MilvusIndex.create(factory, DIM, {"nprobe": 16})
        index.add(ids, clustered(COUNT))
        assert overlap(index.search(QUERIES, K)[1], oracle.search(QUERIES, K)[1]) > 0.3
        index.collection.drop()


def test_a_kind_that_this_server_does_not_know(milvus_uri: str) -> None:
    with using(milvus_uri):
        index = MilvusIndex.create("IVF_RABITQ", DIM, {})
        index.add(np.arange(10), clustered(10))
        with pytest.raises(BadFactory, match="IVF_RABITQ"):
            index.finish()
        index.collection.drop()


def test_ties_are_broken_by_id(milvus_uri: str) -> None:
    x = np.repeat(np.eye(4, dtype=np.float32)[:2], 8, axis=0)
    some = np.random.default_rng(3).permutation(100)[:16].astype(np.int64)
    with using(milvus_uri):
        index = MilvusIndex.create("FLAT", 4, {})
        index.add(some, x)
        for k in (1, 3, 7):
            assert index.search(np.eye(4, dtype=np.float32)[:1], k)[1][0].tolist() == sorted(some[:8].tolist())[:k]
        index.collection.drop()


@pytest.mark.parametrize(
    ("factory", "said"),
    [("nonsense", "FLAT"), ("IVF_SQ8(nlst=4)", "nlst"), ("HNSW(M=0)", "whole number"), ("IVF_PQ(m=7)", "divide"),
     ("IVF512,SQ8", "IVF_SQ8"), ("HNSW(M)", "name=value"), ("", "FLAT")],
)  # fmt: skip
def test_a_bad_factory_is_named_without_a_server(factory: str, said: str) -> None:
    with pytest.raises(BadFactory, match=said):
        build_index(factory, 16, engine="milvus")


def test_parameters_are_checked_without_a_server() -> None:
    index = build_index("IVF_SQ8", 16, engine="milvus", nprobe=4)
    for bad in ({"ef": 4}, {"nprobe": 0}, {"nprobe": 1.5}, {"nprobe": True}, {"nprobe": "4"}):
        with pytest.raises(BadParameter, match="nprobe"):
            index.check(bad)
    scores, found = index.search(np.eye(16, dtype=np.float32)[:2], 3)
    assert (found == -1).all()
    assert np.isneginf(scores).all()


@pytest.mark.parametrize(
    ("faiss", "milvus"),
    [("SQfp16", "FLAT"), ("HNSW32,SQ8", "HNSW_SQ(M=32, sq_type=SQ8)"), ("IVF4096,SQfp16", "IVF_FLAT(nlist=4096)"),
     ("IVF512,SQ8", "IVF_SQ8(nlist=512)"), ("IVF64,PQ16", "IVF_PQ(nlist=64, m=16)"),
     ("IVF64,RaBitQ", "IVF_RABITQ(nlist=64)")],
)  # fmt: skip
def test_presets_have_counterparts(faiss: str, milvus: str) -> None:
    assert counterpart(faiss, 64) == milvus
    kind_of(milvus, 64)


def test_a_preset_without_a_counterpart_says_so() -> None:
    for factory in ("ITQ256", "OPQ16_64,IVF64,PQ16x4fs"):
        with pytest.raises(BadFactory, match="no counterpart"):
            counterpart(factory, 64)


def test_parameters_follow_the_size() -> None:
    assert kind_of("IVF_SQ8", 512).build_params(1_000_000, 512) == {"nlist": 4096}
    assert kind_of("IVF_SQ8", 512).search_params({"nlist": 4096}) == {"nprobe": 128}
    assert kind_of("HNSW(M=16)", 512).build_params(1000, 512) == {"M": 16, "efConstruction": 200}
    assert kind_of("IVF_PQ", 510).build_params(100, 510) == {"nlist": 2, "m": 102, "nbits": 8}
    assert kind_of("IVF_SQ8", 512).code_bytes(10**6, 512, {"nlist": 4096}) == 10**6 * 520 + 4096 * 512 * 4


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with using("http://root:secret@127.0.0.1:9"), pytest.raises(MilvusDown) as raised:
        client()
    assert "127.0.0.1:9" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_no_address_is_an_error_with_a_cure() -> None:
    with using(""), pytest.raises(MilvusUnset, match="Set MILVUS_URI"):
        client()


def test_a_collection_that_is_gone_is_an_error(milvus_uri: str) -> None:
    with using(milvus_uri):
        index = MilvusIndex.create("FLAT", 4, {})
        index.add(np.arange(3), np.eye(4, dtype=np.float32)[:3])
        index.finish()
        index.collection.drop()
        with pytest.raises(MilvusRefused):
            index.search(np.eye(4, dtype=np.float32)[:1], 2)
