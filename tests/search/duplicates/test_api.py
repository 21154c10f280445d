"""The API of duplicates, every answer held to the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from catalog.models import Collection, Image
from search import serving
from search.models import DuplicateGroup, Scope
from tests.factories import CollectionFactory
from tests.search.api.conftest import Api, error_of
from tests.search.api.conftest import make_key as make_key
from tests.search.duplicates.gallery import add, again, original, scan

pytestmark = pytest.mark.django_db
GROUPS = "collections/lamps/duplicates/"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def lamps() -> Collection:
    return CollectionFactory(slug="lamps", name="Lamps")


@pytest.fixture
def pair(lamps: Collection) -> tuple[Image, Image]:
    return add(lamps, original(1)), add(lamps, again(1))


@pytest.fixture
def writer(make_key: Callable[..., str]) -> Api:
    return Api(make_key(Scope.WRITE))


def test_scan_look_and_decide(
    writer: Api, pair: tuple[Image, Image], celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        started = writer.post(f"{GROUPS}scan/", {})
    assert started.status_code == 202
    done = writer.get(f"{GROUPS}scan/{started.json()['id']}/").json()
    assert (done["state"], done["found"], done["error"]) == ("done", 1, "")
    (group,) = writer.get(GROUPS).json()["results"]
    assert [shown["image"]["id"] for shown in group["pictures"]] == [image.pk for image in pair]
    assert (group["kind"], group["pictures"][0]["score"]) == ("near", None)
    merge = {"decision": "merge", "keep": pair[0].pk, "across_products": True}
    decided = writer.post(f"{GROUPS}{group['id']}/", merge).json()
    assert (decided["state"], len(decided["pictures"])) == ("merged", 1)
    assert list(Image.objects.values_list("pk", flat=True)) == [pair[0].pk]
    assert writer.get(GROUPS).json()["results"] == []
    assert len(writer.get(f"{GROUPS}?state=merged").json()["results"]) == 1


def test_dismiss_and_take_back(writer: Api, lamps: Collection, pair: tuple[Image, Image]) -> None:
    scan(lamps)
    pk = DuplicateGroup.objects.get().pk
    assert writer.post(f"{GROUPS}{pk}/", {"decision": "dismiss"}).json()["state"] == "dismissed"
    assert error_of(writer.post(f"{GROUPS}{pk}/", {"decision": "keep"}))["code"] == "already_decided"
    assert writer.post(f"{GROUPS}{pk}/", {"decision": "reopen"}).json()["state"] == "open"
    assert writer.post(f"{GROUPS}{pk}/", {"decision": "keep"}).json()["state"] == "kept"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"decision": "merge"}, "invalid"),
        ({"decision": "burn"}, "invalid"),
        ({}, "invalid"),
        ({"decision": "merge", "keep": 0}, "not_in_group"),
    ],
)
def test_malformed_decisions(
    writer: Api, lamps: Collection, pair: tuple[Image, Image], body: dict[str, Any], code: str
) -> None:
    scan(lamps)
    assert error_of(writer.post(f"{GROUPS}{DuplicateGroup.objects.get().pk}/", body))["code"] == code
    assert Image.objects.count() == 2


def test_another_product_is_not_left_bare_unasked(writer: Api, lamps: Collection, pair: tuple[Image, Image]) -> None:
    scan(lamps)
    body = {"decision": "merge", "keep": pair[0].pk}
    error = error_of(writer.post(f"{GROUPS}{DuplicateGroup.objects.get().pk}/", body))
    assert error["code"] == "several_products"
    assert pair[1].product.sku in error["message"]


def test_unknown_things(writer: Api, lamps: Collection) -> None:
    assert error_of(writer.get(f"{GROUPS}1/"))["code"] == "group_not_found"
    assert error_of(writer.get(f"{GROUPS}scan/1/"))["code"] == "job_not_found"
    assert error_of(writer.post(f"{GROUPS}scan/", {"index": "none"}))["code"] == "index_not_found"
    assert error_of(writer.get(f"{GROUPS}?state=odd"))["code"] == "bad_filter"
    assert error_of(writer.post(f"{GROUPS}scan/", {"min_score": 2}))["code"] == "invalid"


def test_one_scan_at_a_time_and_cancelling(writer: Api, lamps: Collection) -> None:
    pk = writer.post(f"{GROUPS}scan/", {}).json()["id"]
    assert error_of(writer.post(f"{GROUPS}scan/", {}))["code"] == "scan_running"
    assert writer.post(f"{GROUPS}scan/{pk}/cancel/").json()["state"] == "cancelled"
    assert error_of(writer.post(f"{GROUPS}scan/{pk}/cancel/"))["code"] == "job_finished"


def test_readers_see_nothing_of_it(make_key: Callable[..., str], lamps: Collection, pair: tuple[Image, Image]) -> None:
    scan(lamps)
    reader = Api(make_key(Scope.READ))
    assert reader.get(GROUPS).status_code == 403
    assert reader.post(f"{GROUPS}scan/", {}).status_code == 403
    assert reader.post(f"{GROUPS}{DuplicateGroup.objects.get().pk}/", {"decision": "keep"}).status_code == 403
    assert Api().get(GROUPS).status_code in (401, 403)


def test_a_key_of_another_collection(make_key: Callable[..., str], lamps: Collection) -> None:
    other = Api(make_key(Scope.WRITE, CollectionFactory()))
    assert error_of(other.get(GROUPS))["code"] == "collection_not_found"


def test_a_repeated_request_is_done_once(writer: Api, lamps: Collection, pair: tuple[Image, Image]) -> None:
    scan(lamps)
    where, body = f"{GROUPS}{DuplicateGroup.objects.get().pk}/", {"decision": "dismiss"}
    answers = [writer.post(where, body, Idempotency_Key="once").json() for _ in range(2)]
    assert answers[0] == answers[1]
