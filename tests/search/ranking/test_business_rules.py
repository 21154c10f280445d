"""Boost, bury, price range, freshness, block, pin: what moves, how far, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from search.ranking import Candidate, Context, Facts, rules_from
from search.ranking.ruling import Ruled, run_rules

SCORES = [0.90, 0.88, 0.86, 0.80, 0.50]


def candidates(*facts: Facts, scores: Sequence[float] = SCORES) -> list[Candidate]:
    return [Candidate(n, scores[n - 1], fact) for n, fact in enumerate(facts, start=1)]


def ruled(given: list[Candidate], *rules: dict[str, object], depth: int = 200, **context: object) -> Ruled:
    return run_rules(rules_from(list(rules)), given, depth, Context(**context), explain=True)  # type: ignore[arg-type]


def told(result: Ruled) -> list[tuple[int, list[str]]]:
    return [(c.id, [f"{reason.rule}: {reason}" for reason in c.reasons]) for c in result.hits]


A, B = Facts(1, category="mugs", brand="Acme", attributes={"colour": "red"}), Facts(2, category="cups", brand="Bolt")
TARGETS = [{"category": "mugs"}, {"brand": "Acme"}, {"attribute": "colour", "value": "red"}]


@pytest.mark.parametrize("target", TARGETS)
def test_boost_passes_only_what_is_hardly_better(target: dict[str, str]) -> None:
    what = target.get("category") or target.get("brand") or "colour red"
    result = ruled(candidates(B, B, B, A, A), {"rule": "boost", "by": 0.09, **target})
    assert told(result) == [(1, []), (4, [f"boost: boosted for {what}: moved up 2"]), (2, []), (3, []), (5, [])]
    assert [c.score for c in result.hits] == [0.90, 0.80, 0.88, 0.86, 0.50]  # shown as they are
    assert (result.tiers[0].moved, result.tiers[0].dropped) == (3, 0)


@pytest.mark.parametrize("target", TARGETS)
def test_bury_is_passed_only_by_what_is_hardly_worse(target: dict[str, str]) -> None:
    what = target.get("category") or target.get("brand") or "colour red"
    result = ruled(candidates(A, B, B, B, B), {"rule": "bury", "by": 0.07, **target})
    assert told(result) == [(2, []), (3, []), (1, [f"bury: buried for {what}: moved down 2"]), (4, []), (5, [])]


def test_boosts_add_up_and_a_bury_takes_off() -> None:
    twice = [{"rule": "boost", "by": 0.05, "category": "mugs"}, {"rule": "boost", "by": 0.06, "brand": "Acme"}]
    assert [c.id for c in ruled(candidates(B, B, B, A), *twice).hits] == [4, 1, 2, 3]
    back = [*twice, {"rule": "bury", "by": 0.11, "category": "mugs"}]
    assert [c.id for c in ruled(candidates(B, B, B, A), *back).hits] == [1, 2, 3, 4]


def test_equal_standings_keep_their_order() -> None:
    given = candidates(B, A, B, A, scores=[0.5, 0.5, 0.5, 0.5])
    assert [c.id for c in ruled(given, {"rule": "boost", "category": "mugs"}).hits] == [2, 4, 1, 3]
    none = {"rule": "boost", "category": "nothing"}
    assert told(ruled(given, none)) == [(1, []), (2, []), (3, []), (4, [])]


@pytest.mark.parametrize(
    ("stored", "value", "holds"),
    [
        ("red", "red", True),
        (["red", "blue"], "blue", True),
        (5, "5", True),
        (True, "true", True),
        (None, "None", False),
    ],
)
def test_attributes_are_compared_as_filters_compare_them(stored: object, value: str, holds: bool) -> None:
    facts = Facts(1, attributes={"colour": stored})
    result = ruled(candidates(facts), {"rule": "block", "attributes": {"colour": [value]}})
    assert (result.hits == []) is holds


def priced(*prices: str | None) -> list[Candidate]:
    return candidates(*(Facts(n, price=None if p is None else Decimal(p)) for n, p in enumerate(prices)))


def test_price_range_keeps_what_is_within_and_says_what_it_left_out() -> None:
    result = ruled(priced("4.99", "5", "19.99", "20.00", None), {"rule": "price_range", "lowest": 5, "highest": 19.99})
    assert told(result) == [(2, []), (3, [])]
    assert [c.id for c in result.left_out] == [1, 4, 5]
    assert str(result.left_out[0].reasons[0]) == "price not between 5 and 19.99"
    assert result.left_out[0].reasons[0].rule == "price_range"


def test_price_range_without_an_end_and_with_unknown_prices() -> None:
    given = priced("1", "1000000", None)
    assert [c.id for c in ruled(given, {"rule": "price_range", "lowest": 2}).hits] == [2]
    assert [c.id for c in ruled(given, {"rule": "price_range", "lowest": 2, "keep_unknown": True}).hits] == [2, 3]


def test_price_range_may_prefer_instead() -> None:
    result = ruled(priced("9", "1", "9"), {"rule": "price_range", "highest": 5, "mode": "prefer", "by": 0.03})
    assert told(result) == [(2, ["price_range: price within the range: moved up 1"]), (1, []), (3, [])]


def test_freshness_halves_and_never_lifts_more_than_its_margin() -> None:
    ages = [None, 400.0, 30.0, 0.0, 0.0]
    given = candidates(*(Facts(n, age_days=age) for n, age in enumerate(ages)))
    result = ruled(given, {"rule": "freshness", "margin": 0.1, "half_life_days": 30})
    lifts = {c.id: c.lift for c in result.hits}
    assert lifts[3] == pytest.approx(0.05)
    assert lifts[4] == pytest.approx(0.1)
    assert lifts[1] == 0.0
    assert 0 < lifts[2] < 1e-4
    assert [c.id for c in result.hits] == [3, 1, 4, 2, 5]
    assert told(result)[0] == (3, ["freshness: new, 30 days: moved up 2"])
    assert told(result)[3] == (2, ["freshness: 400 days old: moved down 2"])


def test_block_leaves_out_by_each_kind_and_at_any_depth() -> None:
    facts = [Facts(n, f"s{n}", category="c", brand="b", attributes={"x": "y"}) for n in range(3)]
    free = Facts(9, "free")
    for what in ({"skus": ["s0", "s1", "s2"]}, {"categories": ["c"]}, {"brands": ["b"]}, {"attributes": {"x": ["y"]}}):
        result = ruled(candidates(*facts, free, Facts()), {"rule": "block", **what}, depth=1)
        assert [c.id for c in result.hits] == [4, 5]
        assert [str(c.reasons[0]) for c in result.left_out] == ["blocked"] * 3


def test_nothing_known_is_nothing_named() -> None:
    """A picture without a product has empty texts; a rule on an empty text would hit them all."""
    given = candidates(Facts(), Facts())
    assert len(ruled(given, {"rule": "block", "categories": [""], "brands": [""], "skus": [""]}).hits) == 2


def shop(*pinned: Candidate):
    return lambda skus: [candidate for candidate in pinned if candidate.facts.sku in skus]


def test_pinned_products_come_first_in_their_order_found_or_not() -> None:
    given = candidates(Facts(1, "a"), Facts(2, "b"), Facts(3, "c"))
    far = Candidate(70, 0.1, Facts(7, "z")), Candidate(71, 0.05, Facts(7, "z"))
    result = ruled(given, {"rule": "pin", "skus": ["z", "c", "unknown"]}, named=shop(*far))
    assert told(result) == [
        (70, ["pin: pinned: not among the hits by itself"]),
        (3, ["pin: pinned: moved up 1"]),
        (1, []),
        (2, []),
    ]


def test_the_best_picture_of_a_pinned_product_is_shown() -> None:
    given = candidates(Facts(1, "a"), Facts(2, "b"), Facts(2, "b"))
    assert [c.id for c in ruled(given, {"rule": "pin", "skus": ["b"]}).hits] == [2, 1, 3]


def test_a_pin_has_conditions() -> None:
    given = candidates(Facts(1, "a", category="mugs"), Facts(2, "b", category="cups"))
    far = Candidate(70, 0.1, Facts(7, "z"))
    pin = {"rule": "pin", "skus": ["z"]}
    assert [c.id for c in ruled(given, {**pin, "least": 0.2}, named=shop(far)).hits] == [1, 2]
    assert [c.id for c in ruled(given, {**pin, "least": 0.1}, named=shop(far)).hits] == [70, 1, 2]
    assert [c.id for c in ruled(given, {**pin, "category": "mugs"}, named=shop(far)).hits] == [70, 1, 2]
    assert [c.id for c in ruled(given, {**pin, "category": "cups"}, named=shop(far)).hits] == [1, 2]
    assert ruled([], {**pin, "category": "cups"}, named=shop(far)).hits == []
    assert [c.id for c in ruled([], pin, named=shop(far)).hits] == [70]


@pytest.mark.parametrize("order", [0, 1])
def test_blocked_is_blocked_also_when_pinned(order: int) -> None:
    given = candidates(Facts(1, "a"), Facts(7, "z"))
    both = [{"rule": "block", "skus": ["z"]}, {"rule": "pin", "skus": ["z"]}]
    result = ruled(given, *(both if order else both[::-1]), named=shop(Candidate(2, 0.88, Facts(7, "z"))))
    assert [c.id for c in result.hits] == [1]


@pytest.mark.parametrize("order", [0, 1])
def test_a_pinned_product_is_shown_once(order: int) -> None:
    given = candidates(Facts(1, "a"), Facts(2, "b"), Facts(7, "z"), Facts(2, "b"), Facts(7, "z"))
    both = [{"rule": "one_per_product"}, {"rule": "pin", "skus": ["z"]}]
    for depth in (200, 2):  # the product's picture among those the pin sees, or behind them
        result = ruled(given, *(both if order else both[::-1]), depth=depth, named=shop(given[2], given[4]))
        assert [c.id for c in result.hits] == [3, 1, 2]


def test_what_rules_move_does_not_depend_on_how_deep_a_page_lies() -> None:
    given = [Candidate(n, 1 - n / 1000, A if n % 7 == 0 else B) for n in range(400)]
    rules = [{"rule": "boost", "by": 0.5, "category": "mugs"}, {"rule": "in_stock_first"}]
    shallow, deep = ruled(given[:100], *rules, depth=50), ruled(given, *rules, depth=50)
    assert [c.id for c in deep.hits[:100]] == [c.id for c in shallow.hits]
    assert [c.id for c in deep.hits[50:]] == list(range(50, 400))


def test_dropping_rules_go_on_behind_the_depth() -> None:
    given = [Candidate(n, 1 - n / 1000, Facts(n % 5, stock=n % 2)) for n in range(100)]
    result = ruled(given, {"rule": "one_per_product"}, {"rule": "in_stock_first"}, depth=10)
    assert sorted(c.facts.product for c in result.hits) == [0, 1, 2, 3, 4]
    assert [tier.name for tier in result.tiers] == ["one_per_product", "in_stock_first"]
    assert (result.tiers[0].in_, result.tiers[0].out, result.tiers[0].dropped) == (100, 5, 95)
