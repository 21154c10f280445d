"""One contract for every index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from search.indexes import BadFactory, BadParameter, DuplicateIds, ExactIndex, Index, build_index, load_index
from search.types import Ids
from tests.search.indexes.descriptors import clustered

COUNT, DIM, K = 4000, 64, 10


class Kind(NamedTuple):
    factory: str
    floor: float  # of ann_recall@10
    params: dict[str, Any] = {}


KINDS = [
    Kind("exact", 1.0),
    Kind("Flat", 1.0),
    Kind("SQfp16", 0.99),
    Kind("SQ8", 0.9),
    Kind("IVF32,Flat", 0.9, {"nprobe": 16}),
    Kind("IVF32,SQ8", 0.85, {"nprobe": 16}),
    Kind("IVF32,PQ32", 0.5, {"nprobe": 16}),
    Kind("HNSW32", 0.95, {"efSearch": 64}),
    Kind("HNSW32,SQ8", 0.9, {"efSearch": 64}),
    Kind("PCA48,Flat", 0.85),
    Kind("PCA48,IVF32,SQ8", 0.75, {"nprobe": 16}),
    Kind("PCAR48,HNSW32", 0.8, {"efSearch": 64}),
    Kind("OPQ4_32,IVF32,PQ16x4fs,RFlat", 0.5, {"nprobe": 16, "k_factor": 10}),
    Kind("PQ32", 0.5),
    Kind("PQ32x4fs", 0.25),
    Kind("PQ32x4fs,RFlat", 0.7, {"k_factor": 10}),
    Kind("IVF32,PQ32x4fs", 0.25, {"nprobe": 16}),
    Kind("IVF32_HNSW16,PQ32x4fsr,Refine(SQfp16)", 0.85, {"nprobe": 16, "k_factor": 10}),
    Kind("RR,RaBitQ", 0.3, {"qb": 8}),
    Kind("RR,RaBitQfs", 0.3),
    Kind("RR,IVF32,RaBitQ", 0.5, {"nprobe": 16, "qb": 4}),
    Kind("RR,IVF32,RaBitQ4", 0.8, {"nprobe": 16}),
    Kind("PCAR48,IVF32_HNSW16,RaBitQfs", 0.4, {"nprobe": 16}),
    Kind("RR,IVF32,RaBitQfs,RFlat", 0.8, {"nprobe": 16, "k_factor": 10}),
    Kind("ITQ64", 0.25),
    Kind("IVF16,ITQ64", 0.25, {"nprobe": 8}),
    Kind("HNSW16,ITQ64", 0.25, {"efSearch": 128}),
]


@pytest.fixture(scope="module")
def ids() -> Ids:
    return np.random.default_rng(7).permutation(10 * COUNT)[:COUNT].astype(np.int64)


@pytest.fixture(scope="module", params=KINDS, ids=[kind.factory for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def index(kind: Kind, ids: Ids) -> Index:
    x = clustered(COUNT)
    index = build_index(kind.factory, DIM, **kind.params)
    index.train(x)
    index.add(ids[:1500], x[:1500])
    index.add(ids[1500:], x[1500:])
    return index


@pytest.fixture(scope="module")
def oracle(ids: Ids) -> ExactIndex:
    oracle = ExactIndex(DIM)
    oracle.add(ids, clustered(COUNT))
    return oracle


QUERIES = clustered(50, seed=1)


def overlap(found: Ids, truth: Ids) -> float:
    """ann_recall: the share of the true hits that were found."""
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return float(np.mean([len((set(x) & set(y)) - {-1}) / len(set(y) - {-1}) for x, y in pairs]))


def test_it_gives_our_ids_in_order_of_score(index: Index, ids: Ids) -> None:
    scores, found = index.search(QUERIES, K)
    assert len(index) == COUNT
    assert scores.shape == found.shape == (50, K)
    assert scores.dtype == np.float32
    assert found.dtype == np.int64
    assert np.isin(found, ids).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == K for row in found.tolist())


def test_it_finds_what_exact_search_finds(index: Index, oracle: ExactIndex, kind: Kind) -> None:
    assert overlap(index.search(QUERIES, K)[1], oracle.search(QUERIES, K)[1]) >= kind.floor


def test_it_finds_a_picture_by_its_own_descriptor(index: Index, ids: Ids, kind: Kind) -> None:
    own = index.search(clustered(COUNT)[:100], K)[1]
    assert np.mean([id_ in row for id_, row in zip(ids, own, strict=False)]) >= max(0.9, kind.floor)


def test_it_pads_with_nothing(index: Index, ids: Ids) -> None:
    scores, found = index.search(QUERIES[:2], COUNT + 5)
    assert found.shape == (2, COUNT + 5)
    assert (found[:, -5:] == -1).all()
    assert np.isneginf(scores[:, -5:]).all()
    assert set(found[0]) - {-1} <= set(ids.tolist())


@pytest.mark.parametrize("allowed", [0, 1, K - 1, K, 40, 400, 2000])
def test_only_allowed_ids_are_found(index: Index, oracle: ExactIndex, ids: Ids, kind: Kind, allowed: int) -> None:
    some = np.random.default_rng(allowed).choice(ids, allowed, replace=False)
    scores, found = index.search(QUERIES, K, some)
    real = found >= 0
    assert np.isin(found[real], some).all()
    assert np.isneginf(scores[~real]).all()
    _, truth = oracle.search(QUERIES, K, some)
    assert (truth >= 0).sum() == 50 * min(K, allowed)
    if allowed:
        assert real.mean() >= 0.99 * min(K, allowed) / K
        assert overlap(found, truth) >= min(0.95, kind.floor)


def test_unknown_and_repeated_ids_in_a_filter_are_no_matter(index: Index, ids: Ids) -> None:
    some = np.array([ids[3], ids[3], -1, 10**12, ids[0] + 10 * COUNT], np.int64)
    assert set(index.search(QUERIES[:1], K, some)[1][0]) == {ids[3], -1}


def test_excluded_ids_are_not_found_and_the_others_fill_up(index: Index, ids: Ids) -> None:
    _, before = index.search(QUERIES, K)
    gone = np.unique(before[:, :3])
    _, after = index.search(QUERIES, K, excluded=gone)
    assert not np.isin(after, gone).any()
    assert (after >= 0).all()
    _, both = index.search(QUERIES[:1], K, ids[:4], excluded=ids[:3])
    assert set(both[0]) == {ids[3], -1}


def test_a_prepared_selection_finds_what_its_ids_find(index: Index, ids: Ids) -> None:
    unknown = np.array([-1, 10**12, ids[0]], np.int64)
    for count in (0, 1, 30, 2500):
        some = np.concatenate([np.random.default_rng(count).choice(ids, count), unknown[: min(count, 3)]])
        chosen = index.prepare(some)
        np.testing.assert_array_equal(chosen.ids, np.unique(some))
        foreign = ExactIndex(DIM).prepare(some)
        for excluded in (None, ids[:5], ids[:200]):
            plain = index.search(QUERIES, K, some, excluded=excluded)
            for allowed in (chosen, foreign):
                for mine, theirs in zip(plain, index.search(QUERIES, K, allowed, excluded=excluded), strict=True):
                    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("count", [1, 64, 65, 1000, COUNT - 3, COUNT])
def test_however_many_are_excluded_the_others_fill_up(index: Index, oracle: ExactIndex, ids: Ids, count: int) -> None:
    best_first = oracle.search(QUERIES[:1], COUNT)[1][0]
    scores, found = index.search(QUERIES[:1], K, excluded=best_first[:count])
    left = min(K, COUNT - count)
    assert not np.isin(found, best_first[:count]).any()
    assert (found[0] >= 0).sum() == left
    assert np.isneginf(scores[0, left:]).all()


def test_it_has_a_weight(index: Index) -> None:
    assert COUNT * (DIM // 8 + 8) <= index.code_bytes() <= COUNT * (4 * DIM + 400) + 100_000


def test_saved_and_loaded_it_answers_the_same(index: Index, kind: Kind, tmp_path: Path, ids: Ids) -> None:
    path = tmp_path / "index"
    index.save(path)
    if kind.factory == "exact":
        copies: list[Index] = [ExactIndex.load(path)]
    else:
        copies = [load_index(path, mmap, **kind.params) for mmap in (True, False)]
    for copy in copies:
        assert len(copy) == COUNT
        for allowed in (None, ids[:300]):
            for mine, theirs in zip(index.search(QUERIES, K, allowed), copy.search(QUERIES, K, allowed), strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_concurrent_searches_equal_serial_ones(index: Index, ids: Ids, kind: Kind) -> None:
    """Parameters and filters of one call must not leak into another."""
    jobs: list[tuple[int, Ids | None, dict[str, Any]]] = []
    for number in range(120):
        allowed = None if number % 3 else np.random.default_rng(number).choice(ids, 200, replace=False)
        params = {name: value if number % 2 else 1 for name, value in kind.params.items()}
        jobs.append((number % 50, allowed, params))

    def search(job: tuple[int, Ids | None, dict[str, Any]]) -> Ids:
        row, allowed, params = job
        return index.search(QUERIES[row : row + 1], K, allowed, **params)[1]

    serial = [search(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        for alone, together in zip(serial, pool.map(search, jobs), strict=True):
            np.testing.assert_array_equal(alone, together)


def test_an_id_comes_once(index: Index, ids: Ids) -> None:
    x = clustered(2, seed=5)
    for twice in ([ids[0], 10**9], [10**9, 10**9]):
        with pytest.raises(DuplicateIds):
            index.add(np.array(twice, np.int64), x)
    assert len(index) == COUNT


def test_an_unknown_parameter_is_named(index: Index) -> None:
    with pytest.raises(BadParameter, match="n_probes"):
        index.search(QUERIES, K, n_probes=3)
    with pytest.raises(BadParameter):
        index.check({"nprobe": -1, "efSearch": 0})


def test_values_of_parameters_are_checked() -> None:
    index = build_index("PCA8,IVF4,SQ8,RFlat", 16)
    index.check({"nprobe": 4, "k_factor": 2.5})
    for bad in ({"nprobe": 0}, {"nprobe": 1.5}, {"nprobe": True}, {"nprobe": "4"}, {"efSearch": 8}):
        with pytest.raises(BadParameter, match=r"nprobe, k_factor|k_factor, nprobe"):
            index.check(bad)


def test_an_empty_index_finds_nothing() -> None:
    for factory in ("exact", "Flat", "HNSW32"):
        scores, found = build_index(factory, 8).search(np.eye(8, dtype=np.float32)[:2], 3)
        assert (found == -1).all()
        assert np.isneginf(scores).all()


@pytest.mark.parametrize("factory", ["exact", "Flat", "HNSW16", "SQ8"])
def test_a_selection_of_before_takes_in_what_was_added_since(factory: str) -> None:
    x = clustered(20, 16)
    index = build_index(factory, 16)
    index.train(x)
    index.add(np.arange(10), x[:10])
    chosen = index.prepare(np.array([3, 15]))
    index.add(np.arange(10, 20), x[10:])
    assert set(index.search(x[:1], 3, chosen)[1][0].tolist()) == {3, 15, -1}


@pytest.mark.parametrize("factory", ["IVF16_HNSW8,SQ8", "PCA8,IVF16,SQ8"])
def test_cells_are_learned_through_a_graph_where_they_are_many(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.indexes.parts.GRAPH_FROM", 16)
    x = clustered(2000, 32)
    index = build_index(factory, 32, nprobe=8)
    index.train(x)
    index.add(np.arange(2000), x)
    own = index.search(x[:200], 10)[1]
    assert np.mean([row in found for row, found in enumerate(own)]) > 0.9


def test_pca_leaves_the_mean_where_it_is() -> None:
    """Descriptors far from 0, as those of a ReLU network are: all axes kept, inner products stay the same."""
    x = np.abs(clustered(500, 32)) + np.float32(0.2)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    index = build_index("PCA32,Flat", 32)
    index.train(x)
    index.add(np.arange(500), x)
    scores, found = index.search(x[:20], 10)
    np.testing.assert_allclose(scores, -np.sort(-(x[:20] @ x.T), axis=1)[:, :10], atol=1e-5)
    assert found[:, 0].tolist() == list(range(20))


@pytest.mark.parametrize("factory", ["exact", "Flat", "IVF1,Flat", "SQ8"])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_ties_are_broken_by_id(factory: str, k: int) -> None:
    """Equal pictures under many ids: the lowest ids come first, also at the edge."""
    x = np.repeat(np.eye(4, dtype=np.float32)[:2], 8, axis=0)
    ids = np.random.default_rng(3).permutation(100)[:16].astype(np.int64)
    index = build_index(factory, 4)
    index.train(x)
    index.add(ids, x)
    _, found = index.search(np.eye(4, dtype=np.float32)[:1], k)
    assert found[0].tolist() == sorted(ids[:8].tolist())[:k]


@pytest.mark.parametrize(
    "factory", ["nonsense", "Flat,", "IVF0,Flat", "LSH", "IDMap,Flat", "HNSW16,PQ4", "PCA8,IDMap2,Flat", "PQ7", ""]
)
def test_a_bad_factory_is_named(factory: str) -> None:
    with pytest.raises(BadFactory) as raised:
        build_index(factory, 16)
    assert factory in str(raised.value)
    assert "/faiss/" not in str(raised.value)


def test_a_kind_that_takes_no_selector_is_filtered_all_the_same(ids: Ids, oracle: ExactIndex) -> None:
    index = build_index("NSG16,Flat", DIM)
    index.add(ids, clustered(COUNT))
    some = np.random.default_rng(0).choice(ids, 40, replace=False)
    _, found = index.search(QUERIES, K, some)
    assert overlap(found, oracle.search(QUERIES, K, some)[1]) > 0.95
    with pytest.raises(BadFactory, match="NSG16"):  # and it cannot grow
        index.add(np.array([10**9]), clustered(1))


def test_too_few_pictures_for_the_cells() -> None:
    with pytest.raises(BadFactory, match="IVF512"):
        build_index("IVF512,Flat", 16).train(clustered(100, 16))
