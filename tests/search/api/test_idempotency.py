"""Idempotency-Key: done once, answered the same; another body is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalog.models import Collection, Product
from search.api import idempotency
from search.models import Scope
from tests.factories import picture
from tests.search.api.conftest import Api, error_of, upload

pytestmark = pytest.mark.django_db

PRODUCTS = "collections/lamps/products/"


def test_the_same_request_twice_is_done_once(writer: Api, collection: Collection) -> None:
    first = writer.post(PRODUCTS, {"sku": "A", "title": "One"}, Idempotency_Key="k1")
    again = writer.post(PRODUCTS, {"title": "One", "sku": "A"}, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert not first.has_header("Idempotency-Replayed")
    assert Product.objects.count() == 1


def test_without_the_header_nothing_is_kept(writer: Api, collection: Collection) -> None:
    assert writer.post(PRODUCTS, {"sku": "A"}).status_code == 201
    assert writer.post(PRODUCTS, {"sku": "A"}).status_code == 409


def test_another_body_is_refused(writer: Api, collection: Collection) -> None:
    writer.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1")
    response = writer.post(PRODUCTS, {"sku": "B"}, Idempotency_Key="k1")
    assert response.status_code == 422
    assert error_of(response)["code"] == "idempotency_key_reused"
    assert not Product.objects.filter(sku="B").exists()


def test_uploads_compare_by_content(writer: Api, collection: Collection) -> None:
    """Each try has another multipart boundary."""

    def send(seed: int) -> Any:
        form = {"image": upload(picture(seed), f"{seed}.jpg")}
        return writer.post("collections/lamps/images/", form=form, Idempotency_Key="k1")

    first, again, other = send(1), send(1), send(2)
    assert first.status_code == again.status_code == 201  # without the key: 200 the second time
    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 422


def test_after_an_error_the_key_is_free(writer: Api, collection: Collection) -> None:
    body = {"sku": "A", "price": "cheap"}
    assert writer.post(PRODUCTS, body, Idempotency_Key="k1").status_code == 400
    assert writer.post(PRODUCTS, {"sku": "A", "price": "5"}, Idempotency_Key="k1").status_code == 201


def test_keys_of_two_callers_do_not_meet(make_key: Callable[..., str], collection: Collection) -> None:
    one, other = (Api(make_key(Scope.WRITE)) for _ in range(2))
    assert one.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1").status_code == 201
    assert other.post(PRODUCTS, {"sku": "B"}, Idempotency_Key="k1").status_code == 201


def test_an_address_is_part_of_the_key(writer: Api, collection: Collection, private: Collection) -> None:
    assert writer.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1").status_code == 201
    assert writer.post("collections/secret/products/", {"sku": "A"}, Idempotency_Key="k1").status_code == 201


def test_a_request_that_still_runs_is_not_done_twice(writer: Api, collection: Collection, monkeypatch: Any) -> None:
    from search.api.views import products

    inner: list[Any] = []
    real = products.product_upsert

    def slow(*args: Any, **kwargs: Any) -> Any:
        if not inner:
            inner.append(None)
            inner[0] = writer.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1")
        return real(*args, **kwargs)

    monkeypatch.setattr(products, "product_upsert", slow)
    assert writer.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1").status_code == 201
    assert inner[0].status_code == 409
    assert error_of(inner[0])["code"] == "idempotency_key_in_progress"


def test_answers_are_kept_for_a_day(writer: Api, collection: Collection, monkeypatch: Any) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(idempotency.cache, "set", lambda *_args, **kwargs: kept.append(kwargs["timeout"]))
    writer.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1")
    assert kept == [24 * 3600]


def test_a_key_that_lost_its_rights_gets_no_replay(make_key: Callable[..., str], collection: Collection) -> None:
    from search.models import ApiKey

    api = Api(make_key(Scope.WRITE))
    api.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1")
    ApiKey.objects.update(scope=Scope.READ)
    assert api.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="k1").status_code == 403


def test_an_overlong_key_is_refused(writer: Api, collection: Collection) -> None:
    response = writer.post(PRODUCTS, {"sku": "A"}, Idempotency_Key="x" * 201)
    assert response.status_code == 400
    assert "Idempotency-Key" in error_of(response)["fields"]


def test_a_search_is_answered_the_same(reader: Api, gallery: Collection) -> None:
    def send() -> Any:
        form = {"collection": "lamps", "image": upload(picture(1))}
        return reader.post("search/", form=form, Idempotency_Key="s1").json()

    assert send() == send()  # timings included


def test_a_key_that_lost_the_collection_gets_no_replay_of_a_search(
    make_key: Callable[..., str], gallery: Collection
) -> None:
    from search.models import ApiKey

    api = Api(make_key(Scope.READ))
    key = ApiKey.objects.get()
    ApiKey.objects.update(all_collections=False)
    key.collections.set([gallery])

    def send() -> int:
        form = {"collection": "lamps", "image": upload(picture(1))}
        return api.post("search/", form=form, Idempotency_Key="s1").status_code

    assert send() == 200
    key.collections.clear()
    assert send() == 404
