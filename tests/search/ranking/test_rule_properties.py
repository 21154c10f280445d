"""What holds for every rule, whatever it is given."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.ranking import Candidate, Context, Facts, rules_from
from search.ranking.ruling import run_rules
from search.ranking.tiers import moved

facts = st.builds(
    Facts,
    product=st.none() | st.integers(1, 6),
    sku=st.sampled_from(["", "a", "b", "c"]),
    stock=st.none() | st.integers(0, 2),
    price=st.none() | st.decimals(0, 50, places=2),
    category=st.sampled_from(["", "mugs", "cups"]),
    brand=st.sampled_from(["", "Acme"]),
    attributes=st.dictionaries(st.sampled_from(["colour", "size"]), st.sampled_from(["red", 5, None, ["red", "blue"]])),
    age_days=st.none() | st.floats(0, 5000),
)
scores = st.lists(st.sampled_from([0.1, 0.5, 0.5, 0.7, 0.9]) | st.floats(-1, 1, width=32), max_size=25)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """By (-score, id), with ties, as the pipeline hands them to the first rule."""
    return [Candidate(n, score, draw(facts)) for n, score in enumerate(sorted(draw(scores), reverse=True))]


RULES = st.sampled_from(
    [
        {"rule": "in_stock_first"},
        {"rule": "in_stock_first", "within": 3},
        {"rule": "one_per_product"},
        {"rule": "min_score", "score": 0.5},
        {"rule": "boost", "category": "mugs"},
        {"rule": "bury", "attribute": "colour", "value": "red", "by": 0.5},
        {"rule": "price_range", "lowest": 10, "highest": 20},
        {"rule": "price_range", "highest": 20, "mode": "prefer"},
        {"rule": "freshness"},
        {"rule": "diversity", "weight": 0.4, "within": 10},
        {"rule": "pin", "skus": ["b", "a"]},
        {"rule": "block", "skus": ["c"], "categories": ["cups"]},
    ]
)


def vectors(ids: Sequence[int]) -> np.ndarray:
    x = np.stack([np.random.default_rng(id_).standard_normal(8) for id_ in ids])
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


CONTEXT = Context(vectors=vectors)


@given(candidates(), RULES)
def test_a_rule_returns_some_of_what_it_was_given_each_once(given_: list[Candidate], rule: dict[str, object]) -> None:
    (configured,) = rules_from([rule])
    after = configured.apply(given_, CONTEXT)
    ids = [candidate.id for candidate in after]
    assert len(set(ids)) == len(ids)
    old = {candidate.id: candidate for candidate in given_}
    assert all((c.score, c.facts) == (old[c.id].score, old[c.id].facts) for c in after)
    if not configured.drops:
        assert set(ids) == set(old)


@given(candidates(), RULES)
def test_a_rule_gives_the_same_again(given_: list[Candidate], rule: dict[str, object]) -> None:
    assert rules_from([rule])[0].apply(given_, CONTEXT) == rules_from([rule])[0].apply(list(given_), CONTEXT)


@given(candidates(), RULES)
def test_what_only_drops_keeps_the_order_of_products(given_: list[Candidate], rule: dict[str, object]) -> None:
    (configured,) = rules_from([rule])
    if configured.drops:
        # one_per_product may put another picture at a product's place: compared by product, else by picture.
        def key(c: Candidate) -> tuple[str, int]:
            return ("product", c.facts.product) if c.facts.product else ("picture", c.id)

        kept = [key(c) for c in configured.apply(given_, CONTEXT)]
        first = list(dict.fromkeys(key(c) for c in given_ if key(c) in set(kept)))
        assert list(dict.fromkeys(kept)) == first


@given(candidates(), RULES)
def test_a_rule_that_moves_says_so(given_: list[Candidate], rule: dict[str, object]) -> None:
    result = run_rules(rules_from([rule]), given_, 200, CONTEXT)
    signed = {reason.rule for hit in result.hits for reason in hit.reasons}
    assert signed <= {rule["rule"]}
    if result.tiers[0].moved:
        assert signed == {rule["rule"]}


@given(candidates(), st.lists(RULES, max_size=4), st.integers(1, 30))
def test_deeper_lists_only_go_on(given_: list[Candidate], rules: list[dict[str, object]], depth: int) -> None:
    """The pages before stay as they were when a later page makes the search go deeper."""
    configured = rules_from(rules)
    half = max(depth, len(given_) // 2)
    short, long = run_rules(configured, given_[:half], depth, CONTEXT), run_rules(configured, given_, depth, CONTEXT)
    assert [c.id for c in long.hits][: len(short.hits)] == [c.id for c in short.hits]


@given(candidates(), st.lists(RULES, max_size=4), st.integers(1, 30))
def test_the_record_adds_up(given_: list[Candidate], rules: list[dict[str, object]], depth: int) -> None:
    result = run_rules(rules_from(rules), given_, depth, CONTEXT, explain=True)
    size = len(given_)
    for tier in result.tiers:
        assert tier.in_ == size
        assert tier.out == tier.in_ - tier.dropped  # no rule here brings anything in
        assert 0 <= tier.moved <= tier.out
        size = tier.out
    assert len(result.hits) == size
    assert len(result.left_out) == sum(tier.dropped for tier in result.tiers)
    assert all(candidate.reasons[-1].rule in {tier.name for tier in result.tiers} for candidate in result.left_out)


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)))
def test_moved_counts_places_among_those_that_stayed(after: list[int], gone: set[int]) -> None:
    before = [n for n in range(8) if n not in gone]
    still = [n for n in after if n not in gone]
    assert moved(range(8), still) == sum(a != b for a, b in zip(before, still, strict=True))
    assert moved(before, before) == 0


def test_prices_are_compared_as_decimals() -> None:
    rule = rules_from([{"rule": "price_range", "lowest": 0.1, "highest": 0.3}])[0]
    prices = ["0.09", "0.10", "0.30", "0.31"]
    given_ = [Candidate(n, 0.5, Facts(n, price=Decimal(price))) for n, price in enumerate(prices)]
    assert [c.id for c in rule.apply(given_)] == [1, 2]
