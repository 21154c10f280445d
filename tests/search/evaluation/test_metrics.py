"""Metrics: the numbers of the field notes, and random cases against loops, scikit-learn and ranx."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search.evaluation import Outcome, Ranking, Truth, UnknownMetric, evaluate, parse_metric, parse_metrics, truth_of
from search.evaluation.metrics import average_precision, average_precision_trapezoid, known_metrics
from tests.search.evaluation import oracle

CASES = 1000
KS = (1, 3, 10, 50)


def at(*ranks: int) -> np.ndarray:
    return np.array(ranks, np.int64)


@pytest.mark.parametrize(
    ("ranks", "relevant", "trapezoid", "plain"),
    [((2, 4, 6), 3, 0.3722, 0.5000), ((1, 5, 10), 3, 0.5287, 0.5667), ((3,), 1, 0.1667, 0.3333)],
)
def test_examples_of_the_field_notes(ranks, relevant, trapezoid, plain):
    assert round(average_precision_trapezoid(at(*ranks), relevant), 4) == trapezoid
    assert round(average_precision(at(*ranks), relevant), 4) == plain


def test_ap_at_k_divides_by_the_smaller_of_k_and_r():
    assert average_precision(at(1, 2), 5, 10) == pytest.approx(0.4)
    assert average_precision(at(1, 2), 5, 2) == 1.0
    assert average_precision(at(1, 2, 11), 5, 10) == pytest.approx(0.4)


def test_nothing_found_scores_nothing():
    for name in ("AP", "AP@5", "mAP_trapezoid", "recall@5", "hit_rate@5", "precision@5"):
        assert parse_metric(name)(Outcome(at(), 3)) == 0.0


def test_precision_divides_by_k_however_few_came_back():
    assert parse_metric("precision@10")(Outcome(at(1, 2), 2, at(7, 8))) == pytest.approx(0.2)


def test_recall_and_hit_rate_are_different_questions():
    outcome = Outcome(at(2), 4)
    assert parse_metric("recall@5")(outcome) == 0.25
    assert parse_metric("hit_rate@5")(outcome) == 1.0
    assert parse_metric("hit_rate@1")(outcome) == 0.0


def test_ann_recall_is_unknown_without_exact_search():
    assert parse_metric("ann_recall@3")(Outcome(at(1), 1, at(5, 6, 7))) is None
    assert parse_metric("ann_recall@3")(Outcome(at(1), 1, at(5, 6, 7), at(5, 7, 9))) == pytest.approx(2 / 3)
    assert parse_metric("ann_recall@10")(Outcome(at(1), 1, at(5, 6), at(5, 6))) == 1.0


@pytest.mark.parametrize(
    "name", ["map", "recall", "recall@0", "recall@-1", "recall@x", "mAP_trapezoid@5", "", "@5", "AP@"]
)
def test_unknown_names_are_refused_with_the_known_ones(name):
    with pytest.raises(UnknownMetric) as error:
        parse_metric(name)
    for known in (
        "recall@K",
        "hit_rate@K",
        "precision@K",
        "AP",
        "AP@K",
        "mAP",
        "mAP@K",
        "mAP_trapezoid",
        "ann_recall@K",
    ):
        assert known in known_metrics()
        assert known in str(error.value)


def test_names_keep_their_order_and_come_once():
    assert [m.name for m in parse_metrics(["recall@10", "mAP", "recall@10"])] == ["recall@10", "mAP"]
    assert parse_metric("mAP@10").per_query == "AP@10"
    assert parse_metric("mAP").per_query == "AP"


def random_case(rng: np.random.Generator) -> tuple[list[int], list[float], dict[int, str], list[int]]:
    """Ids, scores full of ties, grades (some of pictures that did not come back) and an exact ranking."""
    size = int(rng.integers(1, 60))
    ids = rng.permutation(200)[:size]
    scores = rng.integers(0, max(2, size // 3), size) / 8
    graded = rng.permutation(200)[: int(rng.integers(1, 40))]
    grades = {int(i): str(rng.choice(["easy", "hard", "junk", "distractor", "negative"])) for i in graded}
    exact = rng.permutation(200)[:size]
    return [int(i) for i in ids], [float(s) for s in scores], grades, [int(i) for i in exact]


NAMES = [
    "AP",
    "mAP_trapezoid",
    *(f"{base}@{k}" for k in KS for base in ("AP", "recall", "precision", "hit_rate", "ann_recall")),
]


def expected(ranking: list[int], exact: list[int], positives: set[int]) -> dict[str, float]:
    scores = {"AP": oracle.average_precision(ranking, positives), "AP_trapezoid": oracle.trapezoid(ranking, positives)}
    for k in KS:
        scores[f"AP@{k}"] = oracle.average_precision(ranking, positives, k)
        scores[f"recall@{k}"] = oracle.recall(ranking, positives, k)
        scores[f"precision@{k}"] = oracle.precision(ranking, positives, k)
        scores[f"hit_rate@{k}"] = oracle.hit_rate(ranking, positives, k)
        if exact:
            scores[f"ann_recall@{k}"] = oracle.ann_recall(ranking, exact, k)
    return scores


def test_random_cases_against_plain_loops():
    rng = np.random.default_rng(20)
    scored = 0
    for case in range(CASES):
        ids, scores, grades, exact = random_case(rng)
        own = {int(rng.integers(0, 200))}
        positives = {i for i, grade in grades.items() if grade in ("easy", "hard")} - own
        ignored = {i for i, grade in grades.items() if grade == "junk"} | own
        report = evaluate({case: Ranking(ids, scores, exact)}, {case: truth_of(grades, itself=own)}, NAMES)
        if not positives:
            assert report.skipped == [case]
            continue
        scored += 1
        ranking = oracle.clean(ids, scores, ignored)
        wanted = expected(ranking, [i for i in exact if i not in ignored], positives)
        for name, value in wanted.items():
            assert math.isclose(report.scores[case][name], value, abs_tol=1e-9), (case, name)
        assert report.scores[case]["AP_trapezoid"] <= report.scores[case]["AP"] + 1e-12
    assert scored > CASES * 0.9


def test_ap_against_scikit_learn():
    """Defined alike where every positive comes back and no two scores are equal."""
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(21)
    for _ in range(CASES):
        size = int(rng.integers(2, 80))
        scores, relevant = rng.permutation(size) / size, rng.random(size) < rng.uniform(0.05, 0.9)
        relevant[rng.integers(0, size)] = True
        report = evaluate({0: Ranking(np.arange(size), scores)}, {0: Truth(np.flatnonzero(relevant))}, ["AP"])
        assert math.isclose(report.scores[0]["AP"], average_precision_score(relevant, scores), abs_tol=1e-9)


def test_means_against_ranx():
    """ranx divides AP@K by R, not by min(K, R): compared where the two agree, R <= K and no ties."""
    import ranx

    rng = np.random.default_rng(22)
    rankings, truths, run, qrels = {}, {}, {}, {}
    for query in range(CASES):
        size, relevant = int(rng.integers(12, 60)), int(rng.integers(1, 11))
        ids, scores = rng.permutation(100)[:size], rng.permutation(size) / size
        positives = rng.permutation(100)[:relevant]
        rankings[query], truths[query] = Ranking(ids, scores), Truth(np.sort(positives))
        run[f"q{query:04}"] = {f"d{i}": float(s) for i, s in zip(ids, scores, strict=True)}
        qrels[f"q{query:04}"] = {f"d{i}": 1 for i in positives}
    ours = evaluate(rankings, truths, ["mAP", "mAP@10", "recall@10", "precision@10", "hit_rate@10"])
    names = {
        "map": "AP",
        "map@10": "AP@10",
        "recall@10": "recall@10",
        "precision@10": "precision@10",
        "hit_rate@10": "hit_rate@10",
    }
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(names), return_mean=False)
    for name, per_query in names.items():
        mine = [ours.scores[query][per_query] for query in range(CASES)]
        np.testing.assert_allclose(mine, theirs[name], atol=1e-9, err_msg=name)
