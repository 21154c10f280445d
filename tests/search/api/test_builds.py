"""Indexes and builds, with real FAISS files."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Collection
from search.builds import build_create, build_run, index_for
from search.models import IndexBuild
from tests.search.api.conftest import Api, error_of

pytestmark = pytest.mark.django_db

BUILDS = "collections/lamps/builds/"


def built(collection: Collection, **how: Any) -> IndexBuild:
    return build_run(build_create(index_for(collection), **how).pk)


def test_start_and_follow(
    admin: Api, gallery: Collection, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        started = admin.post(BUILDS, {"index": "main", "factory": "Flat"})
    assert (started.status_code, started.json()["state"]) == (202, "queued")
    build = admin.get(f"{BUILDS}{started.json()['id']}/").json()
    assert (build["state"], build["count"], build["is_active"], build["factory"]) == ("done", 6, True, "Flat")
    assert build["size_bytes"] > 0
    assert admin.get("collections/lamps/indexes/main/").json()["active_build"] == build["id"]


def test_one_at_a_time(admin: Api, gallery: Collection) -> None:
    assert admin.post(BUILDS, {}).status_code == 202
    response = admin.post(BUILDS, {})
    assert (response.status_code, error_of(response)["code"]) == (409, "build_already_running")


def test_a_build_that_waits_is_cancelled(admin: Api, gallery: Collection) -> None:
    pk = admin.post(BUILDS, {}).json()["id"]
    assert admin.post(f"{BUILDS}{pk}/cancel/").json()["state"] == "cancelled"
    assert error_of(admin.post(f"{BUILDS}{pk}/cancel/"))["code"] == "job_finished"
    assert admin.post(BUILDS, {}).status_code == 202


def test_activate_and_roll_back(admin: Api, gallery: Collection) -> None:
    old, new = built(gallery), built(gallery, activate=False)
    assert admin.get(f"{BUILDS}{new.pk}/").json()["is_active"] is False
    assert admin.post(f"{BUILDS}{new.pk}/activate/").json()["is_active"] is True
    assert admin.get(f"{BUILDS}{old.pk}/").json()["is_active"] is False
    back = admin.post("collections/lamps/indexes/main/rollback/")
    assert (back.status_code, back.json()["id"], back.json()["is_active"]) == (200, old.pk, True)
    no_more = admin.post("collections/lamps/indexes/main/rollback/")
    assert (no_more.status_code, error_of(no_more)["code"]) == (409, "no_older_build")


def test_what_is_not_done_is_not_activated(admin: Api, gallery: Collection) -> None:
    pk = admin.post(BUILDS, {}).json()["id"]
    response = admin.post(f"{BUILDS}{pk}/activate/")
    assert (response.status_code, error_of(response)["code"]) == (409, "build_not_ready")


def test_an_unknown_index(admin: Api, gallery: Collection) -> None:
    assert error_of(admin.post(BUILDS, {"index": "none"}))["code"] == "index_not_found"
    assert error_of(admin.get("collections/lamps/indexes/none/"))["code"] == "index_not_found"


def test_lists(anonymous: Api, gallery: Collection) -> None:
    first, second = built(gallery), built(gallery)
    assert [row["id"] for row in anonymous.get(BUILDS).json()["results"]] == [second.pk, first.pk]
    assert anonymous.get(f"{BUILDS}?index=none").json()["results"] == []
    index = anonymous.get("collections/lamps/indexes/").json()["results"][0]
    assert (index["name"], index["is_default"], index["active_build"]) == ("main", True, second.pk)
