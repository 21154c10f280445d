"""Health: for load balancers without a key, with counts for keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
import pytest
from django.db import OperationalError
from django.utils import timezone

from catalog.models import Collection
from search.models import Scope
from tests.factories import ImportJobFactory, IndexBuildFactory, SearchIndexFactory, picture
from tests.search.api.conftest import Api, upload

pytestmark = pytest.mark.django_db


def test_without_a_key(anonymous: Api, collection: Collection) -> None:
    ImportJobFactory(collection=collection)
    body = anonymous.get("health/").json()
    assert body["status"] == body["database"]["status"] == body["cache"]["status"] == "ok"
    assert body["versions"]["django"] == django.get_version()
    assert body["work"] is None


def test_with_a_key_the_work_in_its_collections(
    collection: Collection, private: Collection, make_key: Callable[..., str]
) -> None:
    ImportJobFactory(collection=collection)
    ImportJobFactory(collection=private, state="running")
    ImportJobFactory(collection=private, state="done")
    IndexBuildFactory(index=SearchIndexFactory(collection=private))
    work = Api(make_key()).get("health/").json()["work"]
    assert work == {"imports": 2, "builds": 1, "evaluations": 0}
    assert Api(make_key(Scope.READ, collection)).get("health/").json()["work"]["imports"] == 1


def test_with_a_key_how_often_the_caches_answered(
    gallery: Collection, private: Collection, make_key: Callable[..., str]
) -> None:
    api = Api(make_key(Scope.READ, gallery))
    for k in (3, 3, 4):
        api.post("search/", form={"collection": "lamps", "image": upload(picture(1)), "k": k})
    [counts] = api.get("health/").json()["query_cache"]
    since = counts.pop("since")
    assert since == timezone.now().date().isoformat()
    assert counts == {
        "collection": "lamps",
        "index": "main",
        "hits": 1,
        "misses": 2,
        "descriptor_hits": 2,
        "descriptor_misses": 1,
    }
    assert Api(make_key(Scope.READ, private)).get("health/").json()["query_cache"] == []
    assert Api().get("health/").json()["query_cache"] is None


def test_it_is_not_limited(settings: Any, anonymous: Api) -> None:
    settings.API_RATE_ANONYMOUS = "1/hour"
    assert {anonymous.get("health/").status_code for _ in range(5)} == {200}


@pytest.mark.parametrize(("part", "probe"), [("database", "_ask_database"), ("cache", "_ask_cache")])
def test_a_part_that_is_away_is_503(anonymous: Api, monkeypatch: Any, part: str, probe: str) -> None:
    def away() -> None:
        raise OperationalError("password=hunter2")

    monkeypatch.setattr(f"search.api.views.health.{probe}", away)
    response = anonymous.get("health/")
    assert response.status_code == 503
    assert response.json()["status"] == response.json()[part]["status"] == "failing"
    assert "hunter2" not in response.content.decode()


def test_without_a_key_the_database_is_asked_once(anonymous: Api, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        anonymous.get("health/")
