"""Reports of a run: the curve, the classes, and one file that needs nothing else."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from search.evaluations import evaluation_create, evaluation_run
from search.models import EvaluationRun, QueryResult
from search.run_reports import RunReport, class_of, report_html
from tests import factories
from tests.search.admin_site import Site, make_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


def test_the_curve_is_the_mean_of_the_queries(site: Site) -> None:
    curves = list(QueryResult.objects.filter(run=site.run).values_list("curve", flat=True))
    assert len(curves) == 8
    report = RunReport(site.run)
    assert report.curve == pytest.approx([sum(column) / 8 for column in zip(*curves, strict=True)])
    points = [tuple(map(float, pair.split(","))) for pair in report.curve_points.split()]
    assert len(points) == 11
    assert points[0] == (0.0, pytest.approx(200 * (1 - report.curve[0]), abs=0.06))
    assert points[10] == (320.0, pytest.approx(200 * (1 - report.curve[10]), abs=0.06))


def test_classes_by_hand_the_worst_first(site: Site) -> None:
    report = RunReport(site.run)
    assert report.class_columns == ["AP", "recall@10"]
    by_class: dict[str, list[float]] = {}
    for result in QueryResult.objects.filter(run=site.run).select_related("query__image__product"):
        by_class.setdefault(result.query.image.product.category, []).append(result.scores["AP"])
    assert {row.name: row.values[0] for row in report.classes} == {
        name: pytest.approx(sum(values) / len(values)) for name, values in by_class.items()
    }
    assert [row.queries for row in report.classes] == [4, 4]
    assert report.classes[0].values[0] <= report.classes[1].values[0]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("all_souls_1", "all_souls"),
        ("radcliffe_camera_5", "radcliffe_camera"),
        ("mug", "mug"),
        ("12", "12"),
        ("a/vase-2.jpg", "vase"),
    ],
)
def test_a_query_without_a_category_is_of_its_name(name: str, wanted: str) -> None:
    assert class_of(name) == wanted


def test_a_labelled_query_is_of_the_category_of_its_positives(site: Site) -> None:
    for product in (*site.products, *site.products[1:]):
        query = factories.QueryFactory(benchmark=site.labels)
        factories.LabelFactory(query=query, image=product.images.first())
    run = evaluation_run(evaluation_create(site.labels, site.index).pk)
    assert {row.name: row.queries for row in RunReport(run).classes} == {"pots": 4, "mugs": 4}


def test_the_file_needs_nothing_else(site: Site) -> None:
    html = report_html(site.run)
    assert "<script" not in html
    assert re.findall(r'(?:src|href)=(?!"data:image/jpeg;base64,)', html) == []
    assert "url(" not in html
    assert "@import" not in html
    assert html.count("data:image/jpeg;base64,") == 8 * (1 + 7)  # each query, and the seven others it ranks
    assert len(html) < 500_000
    for value in (site.run.fingerprint, site.run.parameters["version"], f"{site.run.results['mAP']:.4f}"):
        assert value in html
    assert "<polyline" in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_the_worst_queries_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.run_reports.WORST", 3)
    rows = RunReport(site.run).worst
    scores = sorted(QueryResult.objects.filter(run=site.run).values_list("average_precision", flat=True))
    assert [dict(row.scores)["AP"] for row in rows] == scores[:3]


def test_names_are_escaped_and_lost_files_leave_a_hole(site: Site) -> None:
    query = site.run.query_results.first().query
    query.name = "<script>alert(1)</script>"
    query.save()
    query.image.thumbnail.delete(save=False)
    html = report_html(EvaluationRun.objects.get(pk=site.run.pk))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html.count("data:image/jpeg;base64,") < 8 * 8


def test_an_old_run_has_no_curve(site: Site) -> None:
    QueryResult.objects.update(curve=[])
    assert RunReport(site.run).curve == []
    assert "<polyline" not in report_html(site.run)


def test_command_writes_it(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    call_command("evaluate", "--benchmark", "categories", "--html", str(file), stdout=StringIO(), stderr=StringIO())
    assert f"Evaluation run {EvaluationRun.objects.first().pk}:" in file.read_text()
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("evaluate", "--benchmark", "categories", "--html", str(tmp_path / "no" / "r.html"))


def test_the_admin_gives_it_to_those_who_may_look(site: Site, client: Client) -> None:
    address = reverse("admin:search_evaluationrun_report", args=[site.run.pk])
    assert client.get(address).status_code == 302
    client.force_login(factories.UserFactory(is_staff=True))
    assert client.get(address).status_code == 403
    client.force_login(factories.StaffFactory())
    page = client.get(address)
    assert page["Content-Disposition"] == f'attachment; filename="evaluation-{site.run.pk}.html"'
    assert "<polyline" in page.content.decode()
    assert client.get(reverse("admin:search_evaluationrun_report", args=[999])).status_code == 404
    html = client.get(reverse("admin:search_evaluationrun_change", args=[site.run.pk])).content.decode()
    assert address in html
    assert "<polyline" in html
