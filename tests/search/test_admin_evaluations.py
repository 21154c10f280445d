"""Evaluation runs in the admin: started by a form, read query by query."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image as PillowImage

from catalog.jobs import JobState
from catalog.models import Image, ImageRole
from search.evaluations import evaluation_create, evaluation_run
from search.models import EvaluationRun, QueryResult
from tests import factories
from tests.search.admin_site import Site, make_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def address(page: str, *args: object) -> str:
    return reverse(f"admin:search_evaluationrun_{page}", args=args)


def fields(site: Site, **more: Any) -> dict[str, Any]:
    base = {"benchmark": site.benchmark.pk, "index": site.index.pk, "metrics": ["mAP", "recall@10"], "depth": 0}
    return {**base, "more_metrics": "", "protocol": "medium", **more}


def test_the_form_starts_a_run(
    site: Site, staff: Client, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = staff.post(address("add"), fields(site, more_metrics="recall@3, AP@5", protocol="hard"))
    run = EvaluationRun.objects.first()
    assert run.pk != site.run.pk
    assert response["Location"] == address("change", run.pk)
    assert run.metrics == ["mAP", "recall@10", "recall@3", "AP@5"]
    assert run.parameters["protocol"] == "hard"
    assert (run.state, run.created_by.is_staff) == (JobState.DONE, True)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"more_metrics": "accuracy"}, "There is no metric"),
        ({"metrics": []}, "at least one metric"),
        ({"depth": -1}, "greater than or equal to 0"),
        ({"index": ""}, "This field is required"),
    ],
)
def test_what_cannot_be_measured_is_a_form_error(site: Site, staff: Client, more: Any, says: str) -> None:
    page = staff.post(address("add"), fields(site, **more))
    assert page.status_code == 200
    assert says in page.content.decode()
    assert EvaluationRun.objects.count() == 1


def test_benchmark_and_index_are_of_one_collection(site: Site, staff: Client) -> None:
    other = factories.SearchIndexFactory()
    assert "another collection" in staff.post(address("add"), fields(site, index=other.pk)).content.decode()
    empty = factories.BenchmarkFactory(collection=site.collection)
    assert "has no queries" in staff.post(address("add"), fields(site, benchmark=empty.pk)).content.decode()


def test_an_index_runs_all_its_benchmarks_and_a_run_again(site: Site, staff: Client) -> None:
    indexes = reverse("admin:search_searchindex_changelist")
    staff.post(indexes, {"action": "evaluate", "_selected_action": site.index.pk})
    assert set(EvaluationRun.objects.values_list("benchmark__name", flat=True)) == {"categories", "labels"}
    before = EvaluationRun.objects.count()
    staff.post(address("changelist"), {"action": "again", "_selected_action": site.run.pk})
    again = EvaluationRun.objects.first()
    assert EvaluationRun.objects.count() == before + 1
    assert (again.benchmark, again.metrics) == (site.run.benchmark, site.run.metrics)


def test_the_page_shows_metrics_and_queries_the_worst_first(site: Site, staff: Client) -> None:
    page = staff.get(address("change", site.run.pk))
    html = page.content.decode()
    assert f"{site.run.results['mAP']:.4f}" in html
    shown = [row.scores[0] for row in page.context["results"].rows]
    assert len(shown) == site.run.queries_scored
    assert shown == sorted(shown)
    best = staff.get(address("change", site.run.pk), {"sort": "-AP"}).context["results"].rows
    assert [row.scores[0] for row in best] == sorted(shown, reverse=True)


def test_every_score_can_be_sorted_by_and_nonsense_is_ignored(site: Site, staff: Client) -> None:
    names = [column.name for column in staff.get(address("change", site.run.pk)).context["results"].columns]
    assert {"AP", "recall@1", "ann_recall@10"} <= set(names)
    for name in names:
        place = names.index(name)
        rows = staff.get(address("change", site.run.pk), {"sort": f"-{name}"}).context["results"].rows
        assert [row.scores[place] for row in rows] == sorted((row.scores[place] for row in rows), reverse=True)
    assert staff.get(address("change", site.run.pk), {"sort": "x' OR 1=1", "p": "many"}).status_code == 200


def test_hits_misses_junk_and_distractors_differ_by_colour_and_sign(site: Site, staff: Client) -> None:
    query = site.labels.queries.get()
    with query.image.file.open() as file:  # nearly the query itself: other bytes, so the first place
        asked = PillowImage.open(file).convert("RGB")
    buffer = io.BytesIO()
    asked.save(buffer, "PNG")
    junk = factories.ImageFactory(product=site.products[2], data=buffer.getvalue())
    factories.LabelFactory(query=query, image=junk, grade="junk")
    run = evaluation_run(evaluation_create(site.labels, site.index).pk)
    result = QueryResult.objects.get(run=run)
    html = staff.get(address("change", run.pk)).content.decode()
    signs = dict(re.findall(r'class="lk-mark-(\w+)" aria-label="[^"]+">(.)<', html))
    assert signs["hit"] == "✓"
    assert signs["miss"] == "✗"
    assert signs["distractor"] == "≈"
    easy = query.labels.get(grade="easy").image_id
    places = [entry[0] for entry in result.ranking]
    marks = re.findall(r'<li class="lk-is-(\w+)"', html)
    assert marks[places.index(easy)] == "hit"
    assert junk.pk in places[:-1]  # it is shown where it stood
    assert marks[places.index(junk.pk)] == "junk"
    titles = re.findall(r'<li class="lk-is-\w+" title="(\d*)', html)
    assert titles == [str(n) for n in _ranks(marks)]


def _ranks(marks: list[str]) -> list[int | str]:
    """1, 2, 3 … with a hole where junk stands."""
    count = 0
    ranks: list[int | str] = []
    for mark in marks:
        count += mark != "junk"
        ranks.append("" if mark == "junk" else count)
    return ranks


def test_a_picture_deleted_since_leaves_its_place(site: Site, staff: Client) -> None:
    first = QueryResult.objects.filter(run=site.run).order_by("average_precision", "id").first()
    Image.objects.filter(pk=first.ranking[0][0]).update(role=ImageRole.QUERY)
    found = first.ranking[0][0]
    QueryResult.objects.filter(pk=first.pk).update(ranking=[[10**9, 0.5, "negative"], *first.ranking])
    html = staff.get(address("change", site.run.pk)).content.decode()
    assert "lk-none" in html
    assert reverse("admin:catalog_image_change", args=[found]) in html


def test_results_come_in_pages_with_a_bounded_number_of_queries(
    site: Site, staff: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr("search.admin.query_results.PAGE", 3)
    staff.get(address("change", site.run.pk))
    with django_assert_max_num_queries(18):
        page = staff.get(address("change", site.run.pk), {"p": "2"})
    assert page.context["results"].page.number == 2
    assert len(page.context["results"].rows) == 3
    with django_assert_max_num_queries(18):
        monkeypatch.setattr("search.admin.query_results.PAGE", 8)
        staff.get(address("change", site.run.pk))
