"""Every page of the admin renders, with rows, in a bounded number of queries, and only for those who may."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from search.models import EvaluationRun, FeatureModel, IndexBuild
from tests import factories
from tests.search.admin_site import Site, make_duplicates, make_frame, make_proposal, make_site, make_training

pytestmark = pytest.mark.django_db
OURS = sorted(
    (m for m in admin.site._registry if m._meta.app_label in ("catalog", "search")), key=lambda m: m._meta.label
)


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def address(model: Any, page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_model_has_an_admin_and_a_row(site: Site) -> None:
    from django.apps import apps

    hidden = {
        "QueryResult",
        "DuplicateMember",
        "DecidedPair",
        "PerceptualHash",
        "CatalogChange",
        "QueryCacheCount",
    }  # shown elsewhere, or nowhere
    for label in ("catalog", "search"):
        for model in apps.get_app_config(label).get_models():
            if model.__name__ not in hidden:
                assert model in admin.site._registry, model
                assert model.objects.exists(), model


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages_render(site: Site, staff: Client, language: str) -> None:
    headers = {"accept-language": language}
    for model in OURS:
        listed = staff.get(address(model, "changelist"), headers=headers)
        assert listed.status_code == 200, model
        for row in model.objects.all()[:2]:
            assert staff.get(address(model, "change", row.pk), headers=headers).status_code == 200, model
            assert staff.get(address(model, "delete", row.pk), headers=headers).status_code in (200, 403), model
        assert staff.get(address(model, "history", row.pk), headers=headers).status_code == 200, model
        can_add = admin.site._registry[model].has_add_permission(listed.wsgi_request)
        assert staff.get(address(model, "add"), headers=headers).status_code == (200 if can_add else 403), model


def test_search_and_every_filter_of_a_list(site: Site, staff: Client) -> None:
    for model in OURS:
        listed = staff.get(
            address(model, "changelist"), {"q": "a"} if admin.site._registry[model].search_fields else {}
        )
        assert listed.status_code == 200, model
        changelist = listed.context["cl"]
        for spec in changelist.filter_specs:
            for choice in list(spec.choices(changelist))[:3]:
                answer = staff.get(address(model, "changelist") + str(choice["query_string"]))
                assert answer.status_code == 200, (model, choice)


def test_a_list_of_many_rows_takes_no_more_queries(site: Site, staff: Client) -> None:
    def count(model: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(address(model, "changelist")).status_code == 200
        return len(queries)

    count(OURS[0])  # sessions, content types
    before = {model: (count(model), model.objects.count()) for model in OURS}
    more_rows(site)
    for model, (queries, rows) in before.items():
        assert model.objects.count() >= rows + 2, model
        assert count(model) <= queries, model


def more_rows(site: Site) -> None:
    """At least two more of each model, in other collections too."""
    from search.models import SearchLog

    for n in range(2):
        collection = factories.CollectionFactory()
        product = factories.ProductFactory(collection=collection)
        image = factories.ImageFactory(product=product)
        index = factories.SearchIndexFactory(collection=collection)
        factories.EmbeddingFactory(image=image, feature_model=index.feature_model)
        factories.IndexBuildFactory(index=index)
        benchmark = factories.BenchmarkFactory(collection=collection)
        query = factories.QueryFactory(benchmark=benchmark)
        factories.LabelFactory(query=query)
        factories.EvaluationRunFactory(benchmark=benchmark, index=index)
        factories.ImportJobFactory(collection=collection)
        factories.UploadedQueryFactory(collection=collection, seed=9000 + n)
        factories.ApiKeyFactory()
        SearchLog.objects.create(index=index, source="api", hits=0, best_score=None, timings_ms={})
        make_duplicates(collection, index.feature_model, [image])
        make_proposal(product, index.feature_model)
        make_training(collection, index.feature_model, f"tuned {n}")
        make_frame(image, "bc"[n])


def test_dashboard_tells_figures_and_shows_what_runs(site: Site, staff: Client) -> None:
    waiting = factories.IndexBuildFactory(index=factories.SearchIndexFactory())
    page = staff.get(reverse("admin:index"))
    html = page.content.decode()
    assert "<b>100 %</b>" in html
    assert "<b>12 ms</b>" in html
    assert f'data-job="{waiting.pk}"' in html
    assert "<b>1 / 2</b>" in html


def test_dashboard_hides_what_one_may_not_see(site: Site, client: Client) -> None:
    factories.IndexBuildFactory(index=factories.SearchIndexFactory())
    user = factories.StaffFactory(is_superuser=False)
    user.user_permissions.add(Permission.objects.get(codename="view_product"))
    client.force_login(user)
    html = client.get(reverse("admin:index")).content.decode()
    assert "<b>4</b>" in html
    assert "lk-job" not in html
    assert "<b>100 %</b>" not in html


def test_who_may_only_look_sees_no_action_and_no_button(site: Site, client: Client) -> None:
    user = factories.StaffFactory(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    for model in OURS:
        listed = client.get(address(model, "changelist"))
        assert listed.status_code == 200, model
        offered = set(admin.site._registry[model].get_actions(listed.wsgi_request))
        assert offered <= ({"compare"} if model is EvaluationRun else set()), model  # comparing changes nothing
        row = model.objects.first()
        page = client.get(address(model, "change", row.pk))
        assert page.status_code == 200, model
        assert b"lk-tool" not in page.content, model
        assert client.get(address(model, "add")).status_code == 403, model
        for action in admin.site._registry[model].object_actions:
            client.post(
                address(model, "changelist"), {"action": action, "_selected_action": row.pk, "confirmed": "yes"}
            )
    assert IndexBuild.objects.count() == 1
    assert EvaluationRun.objects.count() == 1
    assert FeatureModel.objects.count() == 1


def test_progress_is_for_those_who_may_see_the_job(site: Site, client: Client) -> None:
    url = address(EvaluationRun, "progress") + f"?ids={site.run.pk},999,x"
    assert client.get(url).status_code == 302  # to the login
    client.force_login(factories.StaffFactory(is_superuser=False))
    assert client.get(url).status_code == 403
    client.force_login(factories.StaffFactory())
    response = client.get(url)
    assert "no-store" in response["Cache-Control"]
    (job,) = response.json()["jobs"]
    assert (job["id"], job["state"], job["percent"], job["finished"]) == (site.run.pk, "done", 100, True)


def test_the_schedule_is_there_and_is_made_once() -> None:
    from django.core.management import call_command
    from django_celery_beat.models import PeriodicTask

    from retrieval_site.celery import app

    app.loader.import_default_modules()
    tasks = PeriodicTask.objects.exclude(task__startswith="celery.")
    assert {task.task for task in tasks} >= {"search.jobs_resume", "search.index_maintain", "search.queries_purge"}
    assert {task.task for task in tasks} <= set(app.tasks)
    tasks.filter(task="search.jobs_resume").update(enabled=False)
    tasks.filter(task="search.queries_purge").delete()
    call_command("migrate", verbosity=0)
    assert not PeriodicTask.objects.get(task="search.jobs_resume").enabled
    assert not PeriodicTask.objects.filter(task="search.queries_purge").exists()
