"""Coarse, fine and rules together, against exact search over everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from search.indexes import ExactIndex, build_index
from search.ranking import Facts, Pipeline, rules_from
from search.ranking.selectivity import exact_up_to
from search.types import Descriptors, Ids, Scores
from tests.search.indexes.descriptors import clustered

COUNT, DIM = 6000, 48
X = clustered(COUNT + 300, DIM)
IDS = np.random.default_rng(5).permutation(10 * COUNT)[: COUNT + 300].astype(np.int64)
QUERIES = clustered(30, DIM, seed=1)


class Originals:
    """What SavedBuild keeps on the disk, in memory."""

    def __init__(self, ids: Ids, x: Descriptors) -> None:
        order = np.argsort(ids)
        self.ids, self._x = ids[order], x[order]
        self.scored = 0

    def holds(self, ids: Ids) -> np.ndarray:
        return np.isin(ids, self.ids)

    def vectors(self, ids: Ids) -> Descriptors:
        return self._x[np.searchsorted(self.ids, ids)]

    def scores(self, query: Descriptors, ids: Ids) -> Scores:
        self.scored += len(ids)
        return self._x[np.searchsorted(self.ids, ids)] @ query


def there(ids: Sequence[int]) -> Mapping[int, Facts]:
    return {id_: Facts(product=id_ // 10, stock=id_ % 2) for id_ in ids}


def pipeline(factory: str = "IVF64,SQ8", side: int = 300, **fields: object) -> Pipeline:
    index = build_index(factory, DIM)
    index.train(X[:COUNT])
    index.add(IDS[:COUNT], X[:COUNT])
    beside = ExactIndex(DIM)
    beside.add(IDS[COUNT : COUNT + side], X[COUNT : COUNT + side])
    originals = Originals(IDS[:COUNT], X[:COUNT])
    return Pipeline(side=beside, index=index, originals=originals, **{"search_params": {"nprobe": 32}, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def searched() -> Pipeline:
    return pipeline()


@pytest.fixture(scope="module")
def oracle() -> ExactIndex:
    oracle = ExactIndex(DIM)
    oracle.add(IDS, X)
    return oracle


def recall(found: list[list[int]], truth: Ids) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth.tolist(), strict=True)]))


def test_fine_scores_are_exact_and_the_side_index_is_searched(searched: Pipeline, oracle: ExactIndex) -> None:
    scores, truth = oracle.search(QUERIES, 20)
    rankings = [searched.search(query, 20, there) for query in QUERIES]
    assert recall([[hit.id for hit in r.hits] for r in rankings], truth) > 0.97
    for ranking, own_ids, own_scores in zip(rankings, truth.tolist(), scores.tolist(), strict=True):
        assert len(ranking.hits) == 20
        assert ranking.has_more
        keys = [(-hit.score, hit.id) for hit in ranking.hits]
        assert keys == sorted(keys)
        exact = dict(zip(own_ids, own_scores, strict=True))
        assert all(hit.score == pytest.approx(exact[hit.id], abs=1e-5) for hit in ranking.hits if hit.id in exact)
    shown = {hit.id for ranking in rankings for hit in ranking.hits}
    assert shown & set(IDS[COUNT:].tolist())


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001, 0.0])
def test_a_filter_never_starves_the_result(searched: Pipeline, oracle: ExactIndex, share: float) -> None:
    allowed = np.random.default_rng(9).choice(IDS, int(share * len(IDS)), replace=False)
    _, truth = oracle.search(QUERIES, 20, allowed)
    found = []
    for query in QUERIES:
        ranking = searched.search(query, 20, there, allowed=allowed)
        assert len(ranking.hits) == min(20, len(allowed))
        assert ranking.has_more == (len(allowed) > 20)
        found.append([hit.id for hit in ranking.hits])
    if len(allowed):
        wanted = truth[:, : min(20, len(allowed))]
        assert recall(found, wanted) >= (1.0 if len(allowed) <= exact_up_to(COUNT) else 0.97)


def test_filters_meet_an_index_that_looks_in_few_cells(oracle: ExactIndex) -> None:
    """Allowed pictures all lie in cells that are not probed: they are found all the same."""
    narrow = pipeline("IVF64,SQ8", search_params={"nprobe": 1}, fine_depth=20)
    query = QUERIES[0]
    far = np.sort(oracle.search(-query[None], exact_up_to(COUNT) + 500)[1][0])
    ranking = narrow.search(query, 50, there, allowed=far)
    assert [hit.id for hit in ranking.hits] == oracle.search(query[None], 50, far)[1][0].tolist()


@pytest.mark.parametrize("k", [1, 19, 200, 1000])
def test_k_is_filled_when_there_are_k(k: int) -> None:
    narrow = pipeline("IVF64,SQ8", search_params={"nprobe": 1}, fine_depth=10)
    ranking = narrow.search(QUERIES[0], k, there)
    assert len({hit.id for hit in ranking.hits}) == k
    assert ranking.has_more


def test_everything_can_be_paged_through_once(oracle: ExactIndex) -> None:
    small = pipeline("Flat", search_params={})
    allowed = IDS[::20]
    pages: list[int] = []
    while True:
        ranking = small.search(QUERIES[0], 7, there, offset=len(pages), allowed=allowed)
        pages += [hit.id for hit in ranking.hits]
        if not ranking.has_more:
            break
    assert pages == oracle.search(QUERIES[:1], len(allowed), allowed)[1][0].tolist()


def test_excluded_and_superseded_ids(oracle: ExactIndex) -> None:
    """A picture that was embedded again counts with its new descriptor alone."""
    query = QUERIES[0]
    first, second = oracle.search(query[None], 2)[1][0].tolist()
    beside = ExactIndex(DIM)
    beside.add(np.array([first]), -query[None])  # its new descriptor is the farthest there is
    base = pipeline("Flat", search_params={})
    changed = replace(base, side=beside, superseded=np.array([first]))
    hits = [hit.id for hit in changed.search(query, 5, there).hits]
    assert first not in hits
    assert second in hits or second in IDS[COUNT:]
    again = changed.search(query, 5, there, excluded=np.array([hits[0]]))
    assert [hit.id for hit in again.hits][:4] == hits[1:]
    only = changed.search(query, 5, there, allowed=np.array([first]))
    assert [(hit.id, pytest.approx(hit.score)) for hit in only.hits] == [(first, -1.0)]


@pytest.mark.parametrize("rules", [[], [{"rule": "one_per_product"}]])
def test_deleted_pictures_are_left_out_and_reported(searched: Pipeline, rules: list[dict[str, object]]) -> None:
    """The lookup is the database: what it does not know is gone, and others take its place."""
    full = searched.search(QUERIES[0], 300, there)
    gone = {hit.id for hit in full.hits[:250]}

    def lookup(ids: Sequence[int]) -> Mapping[int, Facts]:
        return there([id_ for id_ in ids if id_ not in gone])

    ranking = replace(searched, rules=rules_from(rules)).search(QUERIES[0], 30, lookup)
    assert len(ranking.hits) == 30
    assert not gone & {hit.id for hit in ranking.hits}
    assert ranking.missing
    assert ranking.missing <= gone
    if not rules:
        assert [hit.id for hit in ranking.hits] == [hit.id for hit in full.hits[250:280]]


def test_a_mass_delete_costs_few_rounds(searched: Pipeline, oracle: ExactIndex) -> None:
    """The best four thousand are gone and nobody has noticed yet."""
    _, best = oracle.search(QUERIES[:1], 4000)
    gone, rounds = set(best[0].tolist()), 0

    def lookup(ids: Sequence[int]) -> Mapping[int, Facts]:
        nonlocal rounds
        rounds += 1
        return there([id_ for id_ in ids if id_ not in gone])

    ranking = replace(searched, search_params={"nprobe": 64}).search(QUERIES[0], 20, lookup)
    assert len(ranking.hits) == 20
    assert rounds <= 10
    _, left = oracle.search(QUERIES[:1], 20, excluded=best[0])
    assert recall([[hit.id for hit in ranking.hits]], left) > 0.9


def test_rules_that_drop_much_make_the_search_go_deeper(searched: Pipeline) -> None:
    def one_product(ids: Sequence[int]) -> Mapping[int, Facts]:
        return {id_: Facts(product=id_ % 40) for id_ in ids}

    strict = replace(searched, rules=rules_from([{"rule": "one_per_product"}]), fine_depth=20)
    ranking = strict.search(QUERIES[0], 40, one_product)
    assert len(ranking.hits) == 40
    assert not ranking.has_more


def test_a_minimum_score_ends_the_search_early() -> None:
    cut = pipeline("IVF64,SQ8", rules=rules_from([{"rule": "min_score", "score": 0.99}]), fine_depth=50, rules_depth=50)
    ranking = cut.search(QUERIES[0], 20, there)
    assert len(ranking.hits) < 20
    assert not ranking.has_more
    assert cut.originals.scored <= 100  # type: ignore[union-attr]


def test_before_the_first_build_the_side_index_answers(oracle: ExactIndex) -> None:
    ranking = Pipeline(side=oracle).search(QUERIES[0], 10, there)
    assert [hit.id for hit in ranking.hits] == oracle.search(QUERIES[:1], 10)[1][0].tolist()
    assert set(ranking.timings_ms) == {"coarse", "fine", "rules", "database"}


def test_nothing_at_all() -> None:
    ranking = Pipeline(side=ExactIndex(DIM)).search(QUERIES[0], 10, there)
    assert ranking.hits == []
    assert not ranking.has_more


def test_each_tier_tells_what_it_did(searched: Pipeline) -> None:
    kept = replace(
        searched, rules=rules_from([{"rule": "one_per_product"}, {"rule": "in_stock_first"}]), fine_depth=100
    )
    ranking = kept.search(QUERIES[0], 10, there, explain=True)
    coarse, fine, rules = ranking.tiers
    assert [tier.name for tier in ranking.tiers] == ["coarse", "fine", "rules"]
    assert coarse.in_ == len(IDS)
    assert coarse.out == fine.in_ == 200 + 200  # rules see 200, so as many are scored, and of those beside the build
    assert (fine.out, rules.in_) == (200, 200)
    assert fine.dropped == 200
    assert fine.moved > 0  # 8-bit codes do not rank as the originals do
    assert [tier.name for tier in ranking.rules] == ["one_per_product", "in_stock_first"]
    assert rules.out == ranking.rules[-1].out == 200 - rules.dropped
    assert rules.moved > 0
    assert {c.reasons[-1].rule for c in ranking.left_out} == {"one_per_product"}
    assert all(tier.ms > 0 for tier in ranking.tiers)
    assert ranking.timings_ms["fine"] == fine.ms


def test_rules_see_so_many_and_pages_go_on_behind_them() -> None:
    """Every page together is the ranking with its first 40 re-ordered, each hit once."""
    base = pipeline("Flat", search_params={}, fine_depth=30)

    def half(ids: Sequence[int]) -> Mapping[int, Facts]:
        return {id_: Facts(id_, category="a" if id_ % 2 else "b") for id_ in ids}

    boost = rules_from([{"rule": "boost", "category": "a", "by": 0.5}])
    plain = [hit.id for hit in base.search(QUERIES[1], 300, half).hits]
    ruled = replace(base, rules=boost, rules_depth=40)
    pages = [hit.id for start in range(0, 300, 20) for hit in ruled.search(QUERIES[1], 20, half, offset=start).hits]
    assert sorted(pages[:40]) == sorted(plain[:40])
    assert pages[40:] == plain[40:]
    head = [id_ for id_ in plain[:40] if id_ % 2] + [id_ for id_ in plain[:40] if not id_ % 2]
    assert pages[:40] == head


def test_more_coarse_candidates_find_more(oracle: ExactIndex) -> None:
    """What the fine tier's depth is for: with rough codes the first ten lie deeper."""
    rough = pipeline("IVF16,PQ8x4", search_params={"nprobe": 16}, side=0)
    truth = oracle.search(QUERIES, 10, IDS[:COUNT])[1]
    found = {
        depth: recall(
            [[hit.id for hit in replace(rough, fine_depth=depth).search(q, 10, there).hits] for q in QUERIES], truth
        )
        for depth in (11, 100, 800)
    }
    assert found[11] < found[100] < found[800]
    assert found[800] > 0.95


def shop(*skus: str) -> Mapping[int, Facts]:
    """Ten products; their pictures are the ids that end on the same digit."""
    return {int(i): Facts(int(i) % 10, f"s{i % 10}") for i in IDS if f"s{i % 10}" in skus}


def test_a_pinned_product_is_looked_up_filtered_and_scored(searched: Pipeline, oracle: ExactIndex) -> None:
    pinned = replace(searched, rules=rules_from([{"rule": "pin", "skus": ["s3"]}]), by_sku=lambda skus: shop(*skus))
    threes = np.array(sorted(i for i in IDS.tolist() if i % 10 == 3))
    scores, best = oracle.search(QUERIES[:1], 2, threes)
    lookup = lambda ids: {i: Facts(i % 10, f"s{i % 10}") for i in ids}  # noqa: E731
    first = pinned.search(QUERIES[0], 5, lookup).hits[0]
    assert (first.id, first.score) == (best[0, 0], pytest.approx(scores[0, 0], abs=1e-5))
    assert first.reasons[0].rule == "pin"
    without = pinned.search(QUERIES[0], 5, lookup, excluded=best[0, :1]).hits[0]
    assert without.id == best[0, 1]
    none = pinned.search(QUERIES[0], 5, lookup, allowed=np.setdiff1d(IDS, threes)).hits
    assert not any(hit.id % 10 == 3 or hit.reasons for hit in none)


def test_descriptors_come_from_where_they_are_newest(searched: Pipeline) -> None:
    order = np.array([COUNT + 3, 5, COUNT, 2])
    np.testing.assert_allclose(searched.vectors(IDS[order]), X[order], atol=1e-6)
    beside = ExactIndex(DIM)
    beside.add(IDS[5:6], -X[5:6])
    newer = replace(searched, side=beside, superseded=IDS[5:6])
    np.testing.assert_allclose(newer.vectors(IDS[5:7]), [-X[5], X[6]], atol=1e-6)
    with pytest.raises(KeyError):
        Pipeline(side=ExactIndex(DIM)).vectors([1])


def test_a_search_that_is_given_up_says_so(searched: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.ranking.pipeline.MAX_DEPTH", 500)
    blocked = replace(searched, rules=rules_from([{"rule": "block", "categories": ["all"]}]))
    ranking = blocked.search(QUERIES[0], 5, lambda ids: {i: Facts(i, category="all") for i in ids})
    assert (ranking.hits, ranking.cut_short) == ([], True)
    assert not searched.search(QUERIES[0], 5, there).cut_short


@pytest.mark.parametrize("count", [100, 10_000, 100_000, 1_000_000, 10_000_000])
def test_small_filtered_sets_are_scored_one_by_one(count: int) -> None:
    limit = exact_up_to(count)
    assert 2_000 <= limit <= 16_384
    assert limit >= exact_up_to(count // 2)
