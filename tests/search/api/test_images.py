"""Pictures: added once however often they are sent."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from catalog.models import Collection, Image
from search.models import Embedding, SearchIndex
from tests.factories import ImageFactory, ProductFactory, picture
from tests.search.api.conftest import Api, error_of, upload

pytestmark = pytest.mark.django_db

IMAGES = "collections/lamps/images/"


def add(api: Api, seed: int = 1, **form: Any) -> Any:
    return api.post(IMAGES, form={"image": upload(picture(seed), f"photo-{seed}.jpg"), **form})


def test_add(writer: Api, collection: Collection) -> None:
    ProductFactory(collection=collection, sku="A/1")
    response = add(writer, product="A/1")
    assert response.status_code == 201
    body = response.json()
    data = picture(1)
    assert (body["width"], body["height"], body["format"]) == (96, 72, "JPEG")
    assert (body["size"], body["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (body["product"], body["role"], body["source"]) == ("A/1", "gallery", "photo-1.jpg")
    assert writer.get(f"{IMAGES}{body['id']}/").json() == body


def test_the_same_picture_again_is_the_same_row(writer: Api, collection: Collection) -> None:
    first, again = add(writer), add(writer)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Image.objects.count() == 1


def test_the_same_picture_of_another_product_is_another_row(writer: Api, collection: Collection) -> None:
    ProductFactory(collection=collection, sku="A")
    assert [add(writer, **form).status_code for form in ({}, {"product": "A"}, {"role": "query"})] == [201] * 3


def test_by_url(writer: Api, collection: Collection, monkeypatch: Any) -> None:
    monkeypatch.setattr("search.api.uploads.fetch", lambda _url, **_limits: picture(2))
    response = writer.post(IMAGES, {"url": "https://shop.example/2.jpg"})
    assert response.status_code == 201
    assert response.json()["source"] == "https://shop.example/2.jpg"
    assert add(writer, 2).status_code == 200


def test_what_is_missing_or_twice(writer: Api, collection: Collection) -> None:
    for body in ({}, {"product": "A"}):
        assert error_of(writer.post(IMAGES, body))["code"] == "invalid"
    assert error_of(add(writer, url="https://shop.example/a.jpg"))["code"] == "invalid"
    response = add(writer, product="none")
    assert (response.status_code, error_of(response)["code"]) == (404, "product_not_found")
    assert not Image.objects.exists()


def test_a_broken_picture_leaves_nothing_behind(writer: Api, collection: Collection, settings: Any) -> None:
    response = writer.post(IMAGES, form={"image": upload(picture(1)[:500])})
    assert 400 <= response.status_code < 500
    assert not Image.objects.exists()
    assert not [path for path in settings.MEDIA_ROOT.rglob("*.*") if path.is_file()]


def test_a_picture_is_embedded_without_anybody_making_an_index(
    writer: Api, collection: Collection, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        added = add(writer).json()["id"]
    assert SearchIndex.objects.get().collection == collection
    assert Embedding.objects.get(image=added).vector


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", "abc"), ("product=A", "ab"), ("role=query", "b"), ("product=none", ""), ("role=gallery&product=A", "a")],
)
def test_lists(anonymous: Api, collection: Collection, query: str, expected: str) -> None:
    product = ProductFactory(collection=collection, sku="A")
    ImageFactory(product=product, source="a")
    ImageFactory(product=product, role="query", source="b")
    ImageFactory(product=None, collection=collection, source="c")
    rows = anonymous.get(f"{IMAGES}?{query}").json()["results"]
    assert "".join(row["source"] for row in rows) == expected


def test_a_list_by_hash_tells_what_is_here_already(anonymous: Api, collection: Collection) -> None:
    image = ImageFactory(product=None, collection=collection)
    ImageFactory(product=None, collection=collection)
    rows = anonymous.get(f"{IMAGES}?sha256={image.sha256}").json()["results"]
    assert [row["id"] for row in rows] == [image.pk]


def test_a_malformed_role(anonymous: Api, collection: Collection) -> None:
    assert set(error_of(anonymous.get(f"{IMAGES}?role=x"))["fields"]) == {"role"}


def test_delete(writer: Api, collection: Collection, django_capture_on_commit_callbacks: Any) -> None:
    image = ImageFactory(product=None, collection=collection)
    with django_capture_on_commit_callbacks(execute=True):
        assert writer.delete(f"{IMAGES}{image.pk}/").status_code == 204
    assert writer.get(f"{IMAGES}{image.pk}/").status_code == 404
    assert not image.file.storage.exists(image.file.name)
