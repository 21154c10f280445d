"""Searching by picture, address and id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.models import Collection, Image
from search.builds import build_create, build_run, index_for
from search.models import Scope, SearchLog
from tests.factories import CollectionFactory, SearchIndexFactory, picture
from tests.search.api.conftest import Api, error_of, upload

pytestmark = pytest.mark.django_db


def skus(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [hit["product"]["sku"] for hit in response.json()["hits"]]


def search(api: Api, **body: Any) -> Any:
    return api.post("search/", {"collection": "lamps", **body})


def test_by_upload(anonymous: Api, gallery: Collection) -> None:
    response = anonymous.post("search/", form={"collection": "lamps", "image": upload(picture(3)), "k": 4})
    body = response.json()
    assert skus(response)[0] == "LAMP-2"  # made from seed 3
    assert [hit["rank"] for hit in body["hits"]] == [1, 2, 3, 4]
    scores = [hit["score"] for hit in body["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1, abs=2e-3)
    assert body["has_more"] is True
    assert (body["collection"], body["index"], body["build"]) == ("lamps", "main", None)
    assert body["timings_ms"]["total"] > 0


def test_a_hits_picture_can_be_fetched(anonymous: Api, gallery: Collection) -> None:
    hit = anonymous.post("search/", form={"collection": "lamps", "image": upload(picture(1))}).json()["hits"][0]
    image = Image.objects.get(pk=hit["image"]["id"])
    assert hit["image"]["url"] == f"http://testserver{image.file.url}"
    assert hit["image"]["thumbnail_url"] == f"http://testserver{image.thumbnail.url}"


def test_by_image_id_leaves_the_picture_itself_out(anonymous: Api, gallery: Collection) -> None:
    image = Image.objects.get(product__sku="LAMP-2")
    response = search(anonymous, image_id=image.pk)
    assert len(skus(response)) == 5
    assert "LAMP-2" not in skus(response)


def test_by_url(anonymous: Api, gallery: Collection, monkeypatch: Any) -> None:
    asked: list[Any] = []

    def fetched(url: str, **limits: Any) -> bytes:
        asked.append((url, limits))
        return picture(5)

    monkeypatch.setattr("search.api.uploads.fetch", fetched)
    assert skus(search(anonymous, url="https://shop.example/a.jpg"))[0] == "LAMP-4"
    assert asked == [
        ("https://shop.example/a.jpg", {"max_bytes": 32 * 1024**2, "timeout_s": 10, "allow_private": False})
    ]


def test_pages(anonymous: Api, gallery: Collection) -> None:
    image = Image.objects.get(product__sku="LAMP-0")
    whole = skus(search(anonymous, image_id=image.pk, k=5))
    first, second = (search(anonymous, image_id=image.pk, k=3, offset=offset) for offset in (0, 3))
    assert skus(first) + skus(second) == whole
    assert (first.json()["has_more"], second.json()["has_more"]) == (True, False)
    assert [hit["rank"] for hit in second.json()["hits"]] == [4, 5]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"category": "desk"}, {1, 3, 5}),
        ({"category": ["desk", "floor"]}, {0, 1, 2, 3, 4, 5}),
        ({"price_min": "30", "price_max": 50}, {2, 3, 4}),
        ({"in_stock": True}, {1, 2, 4, 5}),
        ({"attributes": {"color": ["red"]}}, {0, 1}),
        ({"attributes": {"color": "blue"}, "category": "desk"}, {3, 5}),
        ({"attributes": {"watts": 9}}, {0, 1, 2, 3, 4, 5}),
        ({"category": "none"}, set()),
    ],
)
def test_filters(anonymous: Api, gallery: Collection, filters: dict[str, Any], expected: set[int]) -> None:
    form = {name: json.dumps(value) if name == "attributes" else value for name, value in filters.items()}
    by_form = anonymous.post("search/", form={"collection": "lamps", "image": upload(picture(1)), **form})
    assert set(skus(by_form)) == {f"LAMP-{number}" for number in expected}
    image = Image.objects.get(product__sku="LAMP-0")
    assert set(skus(search(anonymous, image_id=image.pk, **filters))) == {f"LAMP-{n}" for n in expected - {0}}


def test_a_box_is_what_is_searched(anonymous: Api, gallery: Collection) -> None:
    """A picture pasted into a larger one is found by its box, in either spelling."""
    import io

    from PIL import Image as Pillow

    from tests.factories import draw

    sheet = Pillow.new("RGB", (300, 200), "white")
    sheet.paste(draw(4), (150, 60))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    for box in ("150,60,96,72", "[150, 60, 96, 72]"):
        form = {"collection": "lamps", "image": upload(buffer.getvalue()), "box": box}
        response = anonymous.post("search/", form=form)
        assert skus(response)[0] == "LAMP-3"
        assert response.json()["hits"][0]["score"] > 0.9


@pytest.mark.parametrize(
    "box", [[1, 2, 3], "1,2,3", [1, 2, 3, "x"], [-1, 0, 5, 5], "a,b,c,d", {"x": 1}, [1.5, 0, 5, 5]]
)
def test_malformed_boxes(anonymous: Api, gallery: Collection, box: Any) -> None:
    response = search(anonymous, image_id=Image.objects.first().pk, box=box)
    assert response.status_code == 400
    assert "box" in error_of(response)["fields"]


@pytest.mark.parametrize("box", [[5000, 0, 10, 10], [0, 0, 0, 10]])
def test_boxes_outside_the_picture(anonymous: Api, gallery: Collection, box: list[int]) -> None:
    response = search(anonymous, image_id=Image.objects.first().pk, box=box)
    assert response.status_code == 400, response.content


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"image_id": 1, "url": "https://a.example/"}, None),
        ({"image_id": "x"}, "image_id"),
        ({"image_id": 1, "k": 0}, "k"),
        ({"image_id": 1, "k": 1001}, "k"),
        ({"image_id": 1, "offset": -1}, "offset"),
        ({"image_id": 1, "price_min": "x"}, "price_min"),
        ({"image_id": 1, "price_min": 5, "price_max": 4}, "price_min"),
        ({"image_id": 1, "attributes": ["color"]}, "attributes"),
        ({"image_id": 1, "attributes": {"color": {}}}, "attributes"),
        ({"image_id": 1, "attributes": "{color"}, "attributes"),
        ({"image_id": 1, "attributes": {"color": "a\0b"}}, "attributes"),
        ({"image_id": 1, "category": ["a\0b"]}, "category.0"),
        ({"image_id": 1, "index": "a\0b"}, "index"),
        ({"image_id": 1, "collection": "not a slug"}, "collection"),
        ({"image": "text"}, "image"),
    ],
)
def test_malformed_requests(anonymous: Api, gallery: Collection, body: dict[str, Any], field: str | None) -> None:
    response = search(anonymous, **body)
    assert response.status_code == 400
    assert error_of(response)["code"] == "invalid"
    assert set(error_of(response).get("fields", {})) == ({field} if field else set())


def test_beyond_the_deepest(anonymous: Api, gallery: Collection) -> None:
    response = search(anonymous, image_id=Image.objects.first().pk, k=10, offset=995)
    assert response.status_code == 400
    assert error_of(response)["code"] == "bad_page"


def test_what_is_not_there(anonymous: Api, gallery: Collection) -> None:
    image = Image.objects.first().pk
    for body, code in (
        ({"image_id": 10**9}, "image_not_found"),
        ({"image_id": 10**30}, "image_not_found"),
        ({"image_id": image, "index": "none"}, "index_not_found"),
        ({"image_id": image, "collection": "none"}, "collection_not_found"),
    ):
        response = search(anonymous, **body)
        assert (response.status_code, error_of(response)["code"]) == (404, code)


def test_an_empty_collection_says_so(anonymous: Api, db: None) -> None:
    CollectionFactory(slug="empty")
    response = anonymous.post("search/", form={"collection": "empty", "image": upload(picture(1))})
    assert error_of(response)["code"] == "nothing_to_search"


def test_the_build_that_answered_is_named(anonymous: Api, gallery: Collection) -> None:
    build = build_create(index_for(gallery))
    build_run(build.pk)
    response = anonymous.post("search/", form={"collection": "lamps", "image": upload(picture(3))})
    assert response.json()["build"] == build.pk
    assert skus(response)[0] == "LAMP-2"


def test_an_index_by_name(anonymous: Api, gallery: Collection) -> None:
    default = index_for(gallery)
    SearchIndexFactory(
        collection=gallery,
        name="strict",
        is_default=False,
        feature_model=default.feature_model,
        rules=[{"rule": "min_score", "score": 0.999}],
    )
    form = {"collection": "lamps", "image": upload(picture(3)), "index": "strict"}
    response = anonymous.post("search/", form=form)
    assert skus(response) == ["LAMP-2"]
    assert response.json()["index"] == "strict"


def test_a_new_picture_is_found_and_a_deleted_one_gone(
    writer: Api, gallery: Collection, celery_eager: None, django_capture_on_commit_callbacks: Any
) -> None:
    def best() -> tuple[int, float]:
        hit = writer.post("search/", form={"collection": "lamps", "image": upload(picture(77))}).json()["hits"][0]
        return hit["image"]["id"], hit["score"]

    before = best()
    with django_capture_on_commit_callbacks(execute=True):
        added = writer.post("collections/lamps/images/", form={"image": upload(picture(77))}).json()["id"]
    _pause()
    assert best() == (added, pytest.approx(1, abs=2e-3))
    with django_capture_on_commit_callbacks(execute=True):
        assert writer.delete(f"collections/lamps/images/{added}/").status_code == 204
    assert best() == before


def _pause() -> None:
    import time

    time.sleep(1.1)  # serving looks for new embeddings once a second


def test_a_kept_answer_is_the_same_but_for_the_times(anonymous: Api, gallery: Collection) -> None:
    made, kept = (search(anonymous, image_id=Image.objects.first().pk).json() for _ in range(2))
    assert (made.pop("cached"), kept.pop("cached")) == (False, True)
    assert "cached" in kept.pop("timings_ms")
    made.pop("timings_ms")
    assert kept == made


def test_rights_and_rates_come_before_what_is_kept(
    gallery: Collection, private: Collection, make_key: Any, anonymous: Api, settings: Any
) -> None:
    allowed, other = Api(make_key(Scope.READ, gallery)), Api(make_key(Scope.READ, private))
    settings.API_RATE_KEY = "3/hour"
    gallery.is_public = False
    gallery.save()
    picture_id = Image.objects.first().pk
    assert [search(allowed, image_id=picture_id).json()["cached"] for _ in range(2)] == [False, True]
    assert [search(api, image_id=picture_id).status_code for api in (other, anonymous)] == [404, 404]
    assert [search(allowed, image_id=picture_id).status_code for _ in range(2)] == [200, 429]
    assert SearchLog.objects.count() == 3
