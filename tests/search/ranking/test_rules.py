"""Business rules: what moves, why, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from search.ranking import BadRule, Candidate, Facts, rules, rules_from


def candidates(*facts: Facts) -> list[Candidate]:
    """Ids from 1, scores falling from 0.9 by 0.1."""
    return [Candidate(n, 0.9 - 0.1 * (n - 1), fact) for n, fact in enumerate(facts, start=1)]


def run(configuration: list[dict[str, object]], given: list[Candidate]) -> list[tuple[int, list[str]]]:
    for rule in rules_from(configuration):
        given = rule.apply(given)
    return [(c.id, [str(reason) for reason in c.reasons]) for c in given]


def test_in_stock_first_keeps_the_order_otherwise_and_says_what_moved() -> None:
    given = candidates(Facts(1, stock=0), Facts(2, stock=5), Facts(3, stock=None), Facts(4, stock=0))
    assert run([{"rule": "in_stock_first"}], given) == [
        (2, ["in stock: moved up 1"]),
        (3, ["in stock: moved up 1"]),
        (1, ["sold out: moved down 2"]),
        (4, []),
    ]


def test_in_stock_first_leaves_hits_beyond_its_range() -> None:
    given = candidates(Facts(1, stock=0), Facts(2, stock=0), Facts(3, stock=9))
    assert [id_ for id_, _ in run([{"rule": "in_stock_first", "within": 2}], given)] == [1, 2, 3]


def test_in_stock_first_does_not_depend_on_the_depth() -> None:
    given = candidates(*(Facts(n, stock=n % 3 % 2) for n in range(8)))
    deep = run([{"rule": "in_stock_first", "within": 4}], given)
    assert run([{"rule": "in_stock_first", "within": 4}], given[:6]) == deep[:6]


def test_one_per_product_shows_the_best_picture_and_counts_the_others() -> None:
    given = candidates(Facts(7), Facts(8), Facts(7), Facts(), Facts(7), Facts())
    assert run([{"rule": "one_per_product"}], given) == [
        (1, ["best of 3 pictures of this product"]),
        (2, []),
        (4, []),
        (6, []),
    ]


def test_one_per_product_takes_the_best_score_whatever_the_order() -> None:
    best, worse = candidates(Facts(7), Facts(7))
    assert [id_ for id_, _ in run([{"rule": "one_per_product"}], [worse, best])] == [1]


def test_min_score_drops_what_is_below_and_keeps_what_is_at() -> None:
    given = [Candidate(1, 0.5), Candidate(2, 0.4), Candidate(3, 0.3999)]
    assert [id_ for id_, _ in run([{"rule": "min_score", "score": 0.4}], given)] == [1, 2]
    assert rules_from([{"rule": "min_score", "score": 0.4}])[0].floor == 0.4


def test_rules_act_in_their_order() -> None:
    given = candidates(Facts(1, stock=0), Facts(1, stock=0), Facts(2, stock=1))
    both = run([{"rule": "one_per_product"}, {"rule": "in_stock_first"}], given)
    assert [id_ for id_, _ in both] == [3, 1]
    assert both[1][1] == ["best of 2 pictures of this product", "sold out: moved down 1"]


@pytest.mark.parametrize(
    "configuration",
    [
        [{"rule": "cheapest_first"}],
        [{"rule": "min_score"}],
        [{"rule": "min_score", "score": "high"}],
        [{"rule": "min_score", "score": True}],
        [{"rule": "min_score", "score": 1.5}],
        [{"rule": "min_score", "score": 0.5, "also": 1}],
        [{"rule": "in_stock_first", "within": 0}],
        [{"rule": "in_stock_first", "within": 2.5}],
        [{"rule": "__init__"}],
        [{"rule": "_matching"}],
        [{"rule": "min_score", "score": float("nan")}],
        [{"rule": "boost"}],
        [{"rule": "boost", "category": "a", "brand": "b"}],
        [{"rule": "boost", "attribute": "colour"}],
        [{"rule": "boost", "value": "red"}],
        [{"rule": "boost", "category": "a", "by": 0}],
        [{"rule": "boost", "category": "a", "by": 0.51}],
        [{"rule": "bury", "category": "a", "by": -0.1}],
        [{"rule": "bury", "category": 5}],
        [{"rule": "price_range", "lowest": 5, "highest": 4}],
        [{"rule": "price_range", "lowest": -1}],
        [{"rule": "price_range", "highest": float("inf")}],
        [{"rule": "price_range", "mode": "drop"}],
        [{"rule": "price_range", "keep_unknown": 1}],
        [{"rule": "freshness", "margin": 0.6}],
        [{"rule": "freshness", "half_life_days": 0}],
        [{"rule": "diversity", "weight": 1.1}],
        [{"rule": "diversity", "within": 1001}],
        [{"rule": "pin"}],
        [{"rule": "pin", "skus": []}],
        [{"rule": "pin", "skus": "abc"}],
        [{"rule": "pin", "skus": ["a"], "least": 2}],
        [{"rule": "pin", "skus": [str(n) for n in range(51)]}],
        [{"rule": "block"}],
        [{"rule": "block", "skus": [5]}],
        [{"rule": "block", "attributes": {"colour": "red"}}],
        [{"score": 0.4}],
        ["min_score"],
        {"rule": "min_score", "score": 0.4},
        "min_score",
        None,
    ],
)
def test_a_bad_rule_is_refused_with_the_choices(configuration: object) -> None:
    with pytest.raises(BadRule) as raised:
        rules_from(configuration)  # type: ignore[arg-type]
    assert "min_score(score)" in str(raised.value)
    assert "in_stock_first(within=200)" in str(raised.value)
    if isinstance(configuration, list) and isinstance(configuration[0], dict) and "rule" in configuration[0]:
        assert str(configuration[0]["rule"]) in str(raised.value)


def test_a_whole_number_is_a_score() -> None:
    assert rules_from([{"rule": "min_score", "score": 0}])[0].floor == 0


def test_a_rule_is_found_by_being_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worst_first.py").write_text(
        '"""Turns the ranking round."""\n\n\ndef apply(candidates, *, yes: bool = True):\n    return candidates[::-1]\n'
    )
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])
    rules.rule_modules.cache_clear()
    try:
        assert [id_ for id_, _ in run([{"rule": "worst_first"}], candidates(Facts(), Facts()))] == [2, 1]
    finally:
        rules.rule_modules.cache_clear()
        sys.modules.pop("search.ranking.rules.worst_first", None)


def test_every_rule_says_what_it_does() -> None:
    assert set(rules.rule_modules()) == {
        *("block", "boost", "bury", "diversity", "freshness", "in_stock_first"),
        *("min_score", "one_per_product", "pin", "price_range"),
    }
    for name in rules.rule_modules():
        assert rules.title_of(name) != name
        assert rules.says_of(name)
        assert all(parameter.says for parameter in rules.parameters_of(name))


def test_parameters_are_told_for_a_form() -> None:
    by_name = {parameter.name: parameter for parameter in rules.parameters_of("price_range")}
    assert (by_name["mode"].kind, by_name["mode"].choices, by_name["mode"].default) == (
        "choice",
        ("keep", "prefer"),
        "keep",
    )
    assert (by_name["highest"].kind, by_name["highest"].default, by_name["highest"].required) == ("number", None, False)
    assert by_name["keep_unknown"].kind == "yes_no"
    first, *_ = rules.parameters_of("pin")
    assert (first.name, first.kind, first.required) == ("skus", "texts", True)
    assert {p.kind for p in rules.parameters_of("block")} == {"texts", "values"}
    assert rules.parameters_of("one_per_product") == []
    with pytest.raises(KeyError):
        rules.parameters_of("cheapest_first")
