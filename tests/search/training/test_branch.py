"""Fitting the product branch on descriptors of known geometry."""

from __future__ import annotations

import numpy as np
import pytest

from search.evaluation import Ranking, Truth, evaluate
from search.extraction.attributes import CATEGORY
from search.training.branch import fit_branch, smallest
from search.training.branch_labels import MEASURE, Chosen, LeftOut, Sample, choose, split, texts
from search.training.branch_measures import PRODUCT, Relevance, accuracy, average_precisions, part, relevances
from search.training.errors import TooFewLabels
from tests.search.branches import COLOURS, KINDS, descriptors

COUNT = 240


def quiet(done: int, total: int, stage: str) -> None:
    assert 0 <= done < total
    assert stage


def make(noise: float = 2.5, pictures: int = 1, seed: int = 0) -> tuple[Sample, np.ndarray, list[Chosen]]:
    """Products of three kinds and colours; ``tags`` are lists, ``luck`` is drawn."""
    rng = np.random.default_rng(seed)
    products = np.repeat(np.arange(COUNT), pictures)
    kinds = [KINDS[n % 3] for n in products]
    colours = [COLOURS[n // 3 % 3] for n in products]
    luck = [("odd", "even")[n] for n in rng.integers(0, 2, COUNT)]
    stated = {
        CATEGORY: [(kind,) for kind in kinds],
        "colour": [(colour,) for colour in colours],
        "tags": [(kind, colour) for kind, colour in zip(kinds, colours, strict=True)],
        "luck": [(luck[n],) for n in products],
    }
    x = descriptors(kinds, colours, noise, seed)
    sample = Sample(x, products, np.arange(len(x)), stated)
    chosen = [choose(name, [[*given] for given in values]) for name, values in stated.items()]
    assert all(isinstance(one, Chosen) for one in chosen)
    return sample, split([f"{p}" for p in products], products, sample.contents, 0), chosen


@pytest.fixture(scope="module")
def fitted():
    sample, parts, chosen = make()
    return sample, parts, fit_branch(sample, parts, chosen, quiet)


def test_heads_are_far_above_the_baseline_on_products_they_never_saw(fitted) -> None:
    _, _, result = fitted
    heads = {head["attribute"]: head for head in result.figures["heads"]}
    assert heads[CATEGORY]["accuracy"] > 0.85
    assert heads["colour"]["accuracy"] > heads["colour"]["majority"] + 0.25
    assert heads["tags"]["exclusive"] is False
    assert heads["tags"]["accuracy"] > 0.85
    assert all(head["products"] == 48 for head in heads.values())


def test_what_pictures_do_not_tell_is_no_head(fitted) -> None:
    _, _, result = fitted
    assert result.left_out == [LeftOut("luck", "no_better")]
    assert [head.attribute for head in result.branch.heads] == [CATEGORY, "colour", "tags"]


def test_the_branch_lifts_rankings_by_its_attributes(fitted) -> None:
    _, _, result = fitted
    assert result.figures["weight"] > 0
    for row in result.figures["mAP"]:
        assert row["with"] > row["without"] + 0.03, row
        assert row["low"] > 0


def test_the_figures_are_of_the_measuring_products_alone(fitted) -> None:
    sample, parts, result = fitted
    measuring = part(sample, np.flatnonzero(parts == MEASURE))
    again = accuracy(result.branch.heads[1], measuring)
    assert again["accuracy"] == result.figures["heads"][1]["accuracy"]
    assert result.figures["products"] == {"fitted": 144, "tuned": 48, "measured": 48}


def test_the_same_seed_gives_the_same_branch(fitted) -> None:
    sample, parts, chosen = make()
    assert fit_branch(sample, parts, chosen, quiet).branch.identity == fitted[2].branch.identity


def test_probabilities_are_calibrated(fitted) -> None:
    """On many fresh products: among predictions of 70 to 90 %, about that share is right."""
    _, _, result = fitted
    kinds = [KINDS[n % 3] for n in range(6000)]
    colours = [COLOURS[n // 3 % 3] for n in range(6000)]
    p = result.branch.heads[1].probabilities(descriptors(kinds, colours, 2.5, seed=77))
    values = np.array(result.branch.heads[1].values)[p.argmax(axis=1)]
    middling = (p.max(axis=1) > 0.7) & (p.max(axis=1) < 0.9)
    assert middling.sum() > 200
    assert (values == np.array(colours))[middling].mean() == pytest.approx(p.max(axis=1)[middling].mean(), abs=0.12)


def test_products_of_several_pictures_are_measured_by_product_too() -> None:
    sample, parts, chosen = make(pictures=2)
    result = fit_branch(sample, parts, chosen[:1], quiet)
    assert [row["by"] for row in result.figures["mAP"]] == [CATEGORY, PRODUCT]
    assert result.figures["pictures"]["measured"] == 2 * result.figures["products"]["measured"]


def test_nothing_to_learn_is_said() -> None:
    sample, parts, chosen = make()
    with pytest.raises(TooFewLabels, match="eight products"):
        fit_branch(sample, parts, chosen[3:], quiet)


def test_a_report_may_stop_it() -> None:
    class Stopped(Exception):
        pass

    def stop(*_args: object) -> None:
        raise Stopped

    sample, parts, chosen = make()
    with pytest.raises(Stopped):
        fit_branch(sample, parts, chosen, stop)


def test_precisions_are_those_of_the_evaluation(fitted) -> None:
    """Vectorised, against judge() query by query; with ties, junk, and queries without a positive."""
    rng = np.random.default_rng(3)
    n = 30
    scores = np.round(rng.standard_normal((n, n)), 1).astype(np.float32)
    same = rng.random((n, n)) < 0.2
    same[4] = False
    junk = np.eye(n, dtype=bool) | (rng.random((n, n)) < 0.1)
    found = average_precisions(scores, Relevance("x", same, junk))
    truth = {at: Truth(np.flatnonzero(same[at] & ~junk[at]), np.flatnonzero(junk[at])) for at in range(n)}
    rankings = {at: Ranking(np.arange(n), scores[at]) for at in range(n)}
    expected = evaluate(rankings, truth, ["mAP"]).scores
    assert found == pytest.approx({at: row["AP"] for at, row in expected.items() if row["AP"] is not None})
    assert 4 not in found


def test_pictures_of_the_querys_own_product_do_not_count() -> None:
    stated = {"colour": [("red",), ("red",), ("red",), ("blue",)]}
    sample = Sample(np.eye(4, dtype=np.float32), np.array([1, 1, 2, 3]), np.array([1, 2, 3, 3]), stated)
    colour, product = relevances(sample, ["colour"])
    assert (colour.same & ~colour.junk).tolist() == [
        [False, False, True, False],
        [False, False, True, False],
        [True, True, False, False],
        [False, False, False, False],
    ]
    assert (product.same & ~product.junk)[0].tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("tried", "weight"),
    [
        ([[0.0, 0.5], [0.2, 0.6], [0.5, 0.69], [0.9, 0.7]], 0.5),
        ([[0.0, 0.5], [0.2, 0.7], [0.5, 0.6]], 0.2),
        ([[0.0, 0.5], [0.2, 0.4]], 0.0),
    ],
)
def test_the_smallest_weight_that_brings_nearly_all(tried, weight) -> None:
    assert smallest(tried) == weight


def test_texts_of_a_catalog_are_what_heads_are_made_of() -> None:
    assert texts(["a", "b"]) == ("a", "b")
