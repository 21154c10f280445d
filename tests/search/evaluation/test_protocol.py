"""Ground truth: grades, junk, the query itself, ties, absent positives, skipped queries, Oxford5k."""

from __future__ import annotations

import csv
import io
import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.models import Grade as StoredGrade
from search.evaluation import (
    EASY,
    HARD,
    MEDIUM,
    BadRanking,
    Grade,
    Ranking,
    Truth,
    evaluate,
    protocol_named,
    truth_of,
)
from search.evaluation.evaluate import judge
from search.evaluation.ordering import order
from search.evaluation.protocol import UnknownProtocol
from search.evaluation.report import text_table, write_csv
from tests.search.evaluation import oracle

GRADES = {1: "easy", 2: "hard", 3: "junk", 4: "distractor", 5: "negative"}


def test_grades_are_the_catalogs():
    assert {grade.value for grade in Grade} == set(StoredGrade.values)


@pytest.mark.parametrize(
    ("protocol", "positives", "ignored"), [(MEDIUM, [1, 2], [3]), (EASY, [1], [2, 3]), (HARD, [2], [1, 3])]
)
def test_protocols(protocol, positives, ignored):
    truth = truth_of(GRADES, protocol)
    assert truth.positives.tolist() == positives
    assert truth.ignored.tolist() == ignored
    assert protocol_named(protocol.name) is protocol


def test_unknown_protocol_names_the_known_ones():
    with pytest.raises(UnknownProtocol, match="medium, easy, hard"):
        protocol_named("strict")


def test_junk_leaves_before_ranks_are_counted():
    truth = truth_of({10: "easy", 11: "junk", 12: "junk"})
    scores = evaluate({"q": Ranking([11, 12, 10])}, {"q": truth}, ["AP", "hit_rate@1"]).scores["q"]
    assert scores == {"AP": 1.0, "hit_rate@1": 1.0}


def test_a_distractor_is_a_miss():
    truth = truth_of({10: "easy", 11: "distractor"})
    assert evaluate({"q": Ranking([11, 10])}, {"q": truth}, ["AP"]).scores["q"]["AP"] == 0.5


def test_the_query_itself_and_its_copies_leave_the_ranking_and_r():
    """Picture 1 is the query, 9 the same bytes again; both are graded, neither counts."""
    truth = truth_of({1: "easy", 9: "easy", 2: "easy"}, itself=[1, 9])
    assert truth.relevant == 1
    scores = evaluate({"q": Ranking([1, 9, 5, 2])}, {"q": truth}, ["AP", "recall@2"]).scores["q"]
    assert scores == {"AP": 0.5, "recall@2": 1.0}


def test_absent_positives_stay_in_r():
    truth = truth_of({1: "easy", 2: "easy", 3: "hard", 4: "easy"})
    scores = evaluate({"q": Ranking([1])}, {"q": truth}, ["AP", "recall@10"]).scores["q"]
    assert scores == {"AP": 0.25, "recall@10": 0.25}


def test_a_query_without_a_ranking_found_nothing():
    report = evaluate({}, {"q": truth_of({1: "easy"})}, ["mAP"])
    assert report.means == {"mAP": 0.0}


def test_queries_without_positives_are_skipped_and_counted():
    truths = {"a": truth_of({1: "easy"}), "b": truth_of({1: "junk"}), "c": truth_of({})}
    report = evaluate({"a": Ranking([1]), "b": Ranking([1]), "c": Ranking([1])}, truths, ["mAP"])
    assert report.means == {"mAP": 1.0}
    assert report.skipped == ["b", "c"]


def test_nothing_scored_has_no_mean():
    assert evaluate({}, {"q": truth_of({})}, ["mAP"]).means == {"mAP": None}


def test_ties_are_broken_by_id():
    truth = truth_of({3: "easy"})
    for ids in ([3, 7, 5], [7, 5, 3], [5, 3, 7]):
        assert evaluate({"q": Ranking(ids, [0.5, 0.5, 0.5])}, {"q": truth}, ["AP"]).scores["q"]["AP"] == 1.0
    assert evaluate({"q": Ranking([3, 2], [0.5, 0.5])}, {"q": truth}, ["AP"]).scores["q"]["AP"] == 0.5


@pytest.mark.parametrize(
    ("ranking", "reason"),
    [
        (Ranking([1, 2, 1]), "twice"),
        (Ranking([1, 2], [0.1]), "one score"),
        (Ranking([1, 2], [0.1, float("nan")]), "one score"),
    ],
)
def test_bad_rankings_are_refused(ranking, reason):
    with pytest.raises(BadRanking, match=reason):
        evaluate({"q": ranking}, {"q": truth_of({1: "easy"})})


def test_a_ranking_nobody_asked_for_is_refused():
    with pytest.raises(BadRanking, match="no ground truth"):
        evaluate({"x": Ranking([1])}, {"q": truth_of({1: "easy"})})


ROW = st.lists(st.tuples(st.integers(-1, 30), st.integers(0, 4)), min_size=1, max_size=25)


@given(ROW)
def test_order_is_by_score_then_id_with_padding_last(row):
    ids = np.array([[i for i, _ in row]])
    scores = np.array([[-np.inf if i < 0 else s / 4 for i, s in row]], np.float32)
    new_ids, new_scores = order(ids, scores)
    wanted = sorted(((-s, i) for i, s in zip(ids[0], scores[0], strict=True) if i >= 0))
    assert new_ids[0][: len(wanted)].tolist() == [i for _, i in wanted]
    assert (new_ids[0][len(wanted) :] == -1).all()
    assert [-s for s in new_scores[0][: len(wanted)]] == [s for s, _ in wanted]


def test_leave_one_out_of_caltechs_size_takes_seconds_and_little_memory():
    """9,144 queries x 9,143 results, in chunks as evaluation_run does it: a wide bound, not a benchmark."""
    rng = np.random.default_rng(3)
    pictures, chunk = 9144, 256
    classes, shuffled = rng.integers(0, 102, pictures), rng.permutation(pictures)
    members = [np.flatnonzero(classes == c) for c in range(102)]
    distinct = np.linspace(1, -1, pictures, dtype=np.float32)
    twice = np.repeat(distinct[::2], 2)
    start = time.process_time()
    tracemalloc.start()
    for first in range(0, pictures, chunk):
        queries = np.arange(first, min(first + chunk, pictures))
        ids = shuffled[(np.arange(pictures) + queries[:, None]) % pictures]
        scores = distinct if first else twice  # ties in the chunk that is compared
        ids, _ = order(ids, np.broadcast_to(scores, ids.shape))
        for row, query in enumerate(queries):
            own = np.array([query])
            outcome = judge(query, Ranking(ids[row]), Truth(np.setdiff1d(members[classes[query]], own), own))
            if query < 5:
                ranking = oracle.clean(np.roll(shuffled, -int(query)).tolist(), scores.tolist(), {int(query)})
                wanted = [n for n, i in enumerate(ranking, 1) if classes[i] == classes[query]]
                assert outcome.hits.tolist() == wanted
                assert outcome.relevant == len(wanted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert time.process_time() - start < 60


def test_report_as_json_and_csv():
    report = evaluate({"q1": Ranking([1, 2])}, {"q1": truth_of({2: "easy"}), "q2": truth_of({})}, ["mAP", "recall@1"])
    written = json.loads(report.to_json())
    assert written == {
        "metrics": {"mAP": 0.5, "recall@1": 0.0},
        "queries_scored": 1,
        "queries_skipped": 1,
        "queries": {"q1": {"AP": 0.5, "recall@1": 0.0}},
        "skipped": ["q2"],
    }
    file = io.StringIO()
    assert write_csv(file, [("q1", 'a "b", c.jpg', 1, 0.75)]) == 1
    assert list(csv.DictReader(io.StringIO(file.getvalue()))) == [
        {"query": "q1", "result": 'a "b", c.jpg', "rank": "1", "score": "0.750000"}
    ]
    assert text_table({"mAP": 0.5, "ann_recall@10": None}) == "mAP            0.5000\nann_recall@10  -"


def oxford_trapezoid(ranking: list[str], good: set[str], junk: set[str]) -> float:
    """The definition the benchmark publishes: precision and recall updated a picture at a time, junk passed over."""
    old_recall, old_precision, area, found, seen = 0.0, 1.0, 0.0, 0, 0
    for name in ranking:
        if name in junk:
            continue
        if name in good:
            found += 1
        recall, precision = found / len(good), found / (seen + 1)
        area += (recall - old_recall) * ((old_precision + precision) / 2)
        old_recall, old_precision = recall, precision
        seen += 1
    return area


@pytest.mark.data
def test_oxford5k_ground_truth_with_random_rankings(shared: Path):
    folder = shared / "data" / "oxford5k-gt"
    queries = sorted(path.name.removesuffix("_query.txt") for path in folder.glob("*_query.txt"))
    assert len(queries) == 55
    labels = {
        q: {g: set((folder / f"{q}_{g}.txt").read_text().split()) for g in ("good", "ok", "junk")} for q in queries
    }
    names = sorted(set().union(*(names for grades in labels.values() for names in grades.values())))
    number = {name: i for i, name in enumerate(names)}
    rng = np.random.default_rng(5)
    for query in queries:
        grades = {
            number[n]: grade
            for grade, key in (("easy", "good"), ("hard", "ok"), ("junk", "junk"))
            for n in labels[query][key]
        }
        truth = truth_of(grades)
        for _ in range(20):
            # Half the time positives come early, and a few pictures never come back.
            scores = rng.random(len(names)) + rng.random() * np.isin(np.arange(len(names)), truth.positives)
            ids = rng.permutation(len(names))[: len(names) - int(rng.integers(0, 20))]
            ranking = [names[i] for i in sorted(ids, key=lambda i: -scores[i])]
            wanted = oxford_trapezoid(ranking, labels[query]["good"] | labels[query]["ok"], labels[query]["junk"])
            got = evaluate({query: Ranking(ids, scores[ids])}, {query: truth}, ["mAP_trapezoid"])
            assert abs(got.scores[query]["AP_trapezoid"] - wanted) < 1e-9


def test_an_empty_truth_has_no_positives():
    assert Truth().relevant == 0
