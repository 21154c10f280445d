"""Benchmarks and evaluation runs, measured for real."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Benchmark, Collection, Image, Relevance
from search.builds import index_for
from search.evaluations import evaluation_create, evaluation_run
from tests.factories import BenchmarkFactory, QueryFactory
from tests.search.api.conftest import Api, error_of

pytestmark = pytest.mark.django_db

RUNS = "collections/lamps/evaluations/"


@pytest.fixture
def benchmark_row(gallery: Collection) -> Benchmark:
    """Each gallery picture asks for those of its category."""
    benchmark = BenchmarkFactory(collection=gallery, name="by category", relevance=Relevance.CATEGORY)
    for image in Image.objects.filter(collection=gallery):
        QueryFactory(benchmark=benchmark, image=image)
    return benchmark


def test_benchmarks(anonymous: Api, benchmark_row: Benchmark) -> None:
    (row,) = anonymous.get("collections/lamps/benchmarks/").json()["results"]
    assert (row["name"], row["relevance"], row["queries"]) == ("by category", "category", 6)


def test_start_follow_and_look_at_each_query(
    admin: Api, benchmark_row: Benchmark, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    body = {"benchmark": "by category", "metrics": ["mAP", "recall@3"]}
    with django_capture_on_commit_callbacks(execute=True):
        started = admin.post(RUNS, body)
    assert started.status_code == 202
    run = admin.get(f"{RUNS}{started.json()['id']}/").json()
    assert (run["state"], run["queries_scored"], run["index"], run["error"]) == ("done", 6, "main", "")
    assert set(run["results"]) == {"mAP", "recall@3"}
    first = admin.get(f"{RUNS}{run['id']}/queries/?limit=4").json()
    rest = admin.get(first["next"]).json()
    rows = first["results"] + rest["results"]
    assert len({row["query"] for row in rows}) == 6
    precisions = [row["average_precision"] for row in rows]
    assert run["results"]["mAP"] == pytest.approx(sum(precisions) / 6)
    ids = {image.pk for image in Image.objects.all()}
    assert all({hit["image"] for hit in row["ranking"]} <= ids - {row["image"]} for row in rows)
    assert all(row["ranking"] for row in rows)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"benchmark": "none"}, "benchmark_not_found"),
        ({"benchmark": "by category", "index": "none"}, "index_not_found"),
        ({"benchmark": "by category", "metrics": ["nonsense@x"]}, "unknown_metric"),
        ({"benchmark": "by category", "protocol": "x"}, "invalid"),
        ({"benchmark": "by category", "depth": -1}, "invalid"),
        ({}, "invalid"),
    ],
)
def test_malformed_runs(admin: Api, benchmark_row: Benchmark, body: dict[str, Any], code: str) -> None:
    assert error_of(admin.post(RUNS, body))["code"] == code


def test_cancel(admin: Api, benchmark_row: Benchmark) -> None:
    pk = admin.post(RUNS, {"benchmark": "by category"}).json()["id"]
    assert admin.post(f"{RUNS}{pk}/cancel/").json()["state"] == "cancelled"
    assert error_of(admin.post(f"{RUNS}{pk}/cancel/"))["code"] == "job_finished"


def test_compare_two_runs(admin: Api, anonymous: Api, benchmark_row: Benchmark) -> None:
    index = index_for(benchmark_row.collection)
    runs = [evaluation_run(evaluation_create(benchmark_row, index, metrics=["mAP", "recall@3"]).pk) for _ in range(2)]
    waiting = evaluation_create(benchmark_row, index)
    first = f"{RUNS}compare/?a={runs[0].pk}"
    answer = anonymous.get(f"{first}&b={runs[1].pk}&metric=recall@3")
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert (found["metric"], found["queries"], found["difference"], found["p_value"]) == ("recall@3", 6, 0.0, 1.0)
    assert found["interval"] == [0.0, 0.0]
    assert len(found["differences"]) == 6
    for query, status, code in (
        ("&b=999", 404, "job_not_found"),
        ("", 400, "invalid"),
        (f"&b={runs[1].pk}&metric=recall@9", 400, "no_such_score"),
        (f"&b={waiting.pk}", 409, "not_comparable"),
    ):
        refused = anonymous.get(first + query)
        assert (refused.status_code, error_of(refused)["code"]) == (status, code)
