"""Two runs beside each other: figures, refusals, the command, the page and the API's answer."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from catalog.jobs import JobState
from catalog.models import Benchmark
from search.comparisons import (
    NoSuchScore,
    NotComparable,
    NotMeasured,
    OtherLabels,
    OtherProtocol,
    OtherUnits,
    compare_runs,
)
from search.evaluation import UnknownMetric
from search.evaluation.comparison import bootstrap_interval, randomisation_test
from search.evaluations import evaluation_create, evaluation_run
from search.models import EvaluationRun, QueryResult
from tests import factories
from tests.search.admin_site import Site, make_site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


def again(site: Site, **options: Any) -> EvaluationRun:
    run = evaluation_run(evaluation_create(site.benchmark, site.index, **options).pk)
    assert run.state == JobState.DONE
    return run


@pytest.fixture
def other(site: Site) -> EvaluationRun:
    """The same index with the queries expanded: a real difference."""
    site.index.expansion = {"method": "average", "k": 3}
    site.index.save()
    return again(site)


def test_figures_by_hand(site: Site, other: EvaluationRun) -> None:
    found = compare_runs(site.run, other)
    sides = [
        np.array(run.query_results.order_by("query_id").values_list("average_precision", flat=True))
        for run in (site.run, other)
    ]
    difference = sides[1] - sides[0]
    assert np.abs(difference).max() > 0
    assert list(found.figures.differences.values()) == pytest.approx(difference.tolist())
    assert found.figures.difference == pytest.approx(difference.mean())
    assert (found.figures.low, found.figures.high) == bootstrap_interval(difference)
    assert found.figures.p_value == randomisation_test(difference)
    assert found.metric.name == "mAP"
    sizes = [abs(change.difference) for change in found.changes]
    assert sizes == sorted(sizes, reverse=True)
    change = found.changes[0]
    places = QueryResult.objects.get(run=other, query=change.query).ranking
    assert [hit.image.pk for hit in change.rankings[1]] == [entry[0] for entry in places[:8]]
    assert ("expansion", {}, {"method": "average", "k": 3, "alpha": 3.0}) in found.pins


def test_another_metric(site: Site, other: EvaluationRun) -> None:
    assert compare_runs(site.run, other, "mAP@10").metric.name == "mAP@10"
    assert compare_runs(site.run, other, "AP@10").metric.name == "mAP@10"
    with pytest.raises(NoSuchScore, match="Both have: mAP, mAP@10"):
        compare_runs(site.run, other, "recall@77")
    with pytest.raises(UnknownMetric):
        compare_runs(site.run, other, "accuracy")


def test_refusals_say_why(site: Site) -> None:
    labels = evaluation_run(evaluation_create(site.labels, site.index).pk)
    with pytest.raises(NotComparable, match=r"different benchmarks.*Choose two runs"):
        compare_runs(site.run, labels)
    with pytest.raises(OtherProtocol, match="medium and easy"):
        compare_runs(site.run, again(site, protocol="easy"))
    waiting = evaluation_create(site.benchmark, site.index)
    with pytest.raises(NotMeasured, match="queued"):
        compare_runs(site.run, waiting)
    Benchmark.objects.filter(pk=site.benchmark.pk).update(version=5)
    with pytest.raises(OtherLabels, match=r"version 1 and 5.*Run the older one again"):
        compare_runs(site.run, again(site))


def test_products_are_not_compared_with_pictures(site: Site) -> None:
    site.index.rules = [{"rule": "one_per_product"}]
    site.index.save()
    with pytest.raises(OtherUnits, match="pictures and products"):
        compare_runs(site.run, again(site, with_rules=True))


def test_command(site: Site, other: EvaluationRun) -> None:
    out = StringIO()
    call_command("compare_runs", str(site.run.pk), str(other.pk), stdout=out)
    found = compare_runs(site.run, other)
    assert f"B less A     {found.figures.difference:+.4f}" in out.getvalue()
    assert "Changed most:" in out.getvalue()
    out = StringIO()
    call_command("compare_runs", str(site.run.pk), str(other.pk), "--metric", "recall@1", "--json", stdout=out)
    data = json.loads(out.getvalue())
    assert (data["metric"], data["queries"], len(data["differences"])) == ("recall@1", 8, 8)
    with pytest.raises(CommandError, match="no evaluation run 999"):
        call_command("compare_runs", "999", "1")
    with pytest.raises(CommandError, match="did not both measure"):
        call_command("compare_runs", str(site.run.pk), str(other.pk), "--metric", "recall@77")


class TestPage:
    @pytest.fixture
    def staff(self, client: Client) -> Client:
        client.force_login(factories.StaffFactory())
        return client

    address = "/admin/search/evaluationrun/compare/"

    def test_two_runs_of_the_list(self, site: Site, other: EvaluationRun, staff: Client) -> None:
        chosen = {"action": "compare", "_selected_action": [other.pk, site.run.pk]}
        response = staff.post(reverse("admin:search_evaluationrun_changelist"), chosen)
        assert response["Location"] == f"{self.address}?a={site.run.pk}&b={other.pk}"
        page = staff.get(response["Location"])
        html = page.content.decode()
        found = page.context["found"]
        assert f"{found.figures.first:.4f}" in html
        assert html.count("<polyline") == 2
        assert html.count('class="lk-side"') == 2 * len(found.changes)

    def test_one_run_offers_the_others(self, site: Site, other: EvaluationRun, staff: Client) -> None:
        chosen = {"action": "compare", "_selected_action": [other.pk]}
        page = staff.post(reverse("admin:search_evaluationrun_changelist"), chosen, follow=True)
        assert "Choose exactly two runs" in page.content.decode()
        page = staff.get(self.address, {"a": site.run.pk})
        assert [run.pk for run in page.context["others"]] == [other.pk]

    def test_refusals_and_nonsense(self, site: Site, staff: Client) -> None:
        easy = again(site, protocol="easy")
        page = staff.get(self.address, {"a": site.run.pk, "b": easy.pk})
        assert "count other labels" in page.content.decode()
        for query in ({}, {"a": "x"}, {"a": "9" * 30}, {"a": "999"}):
            assert staff.get(self.address, query).status_code == 302
        assert staff.get(self.address, {"a": site.run.pk, "b": "x"}).status_code == 200

    def test_nothing_changed(self, site: Site, staff: Client) -> None:
        page = staff.get(self.address, {"a": site.run.pk, "b": again(site).pk})
        assert "No query scores differently" in page.content.decode()

    def test_only_for_those_who_may_look(self, site: Site, client: Client) -> None:
        client.force_login(factories.UserFactory(is_staff=True))
        assert client.get(self.address, {"a": site.run.pk}).status_code == 403
