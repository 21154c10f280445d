"""Asking why a hit was found: numbers, pictures, and who may ask."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest

from catalog.models import Collection, Image
from tests import factories
from tests.factories import picture
from tests.search.api.conftest import Api, error_of, upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(gallery: Collection) -> tuple[Image, Image]:
    first, second = Image.objects.filter(collection=gallery).order_by("pk")[:2]
    return first, second


def ask(api: Api, hit: Image, where: str = "explain/", **body: Any) -> Any:
    return api.post(where, {"collection": "lamps", "hit": hit.pk, **body})


def test_the_numbers_of_both_pictures(anonymous: Api, two: tuple[Image, Image]) -> None:
    response = ask(anonymous, two[1], image_id=two[0].pk)
    assert response.status_code == 200, response.content
    body = response.json()
    hits = anonymous.post("search/", {"collection": "lamps", "image_id": two[0].pk}).json()["hits"]
    score = next(hit["score"] for hit in hits if hit["image"]["id"] == two[1].pk)
    assert body["score"] == pytest.approx(score, abs=2e-3)
    assert body["method"] == "occlusion"
    for heat, image in zip((body["query"], body["hit"]), two, strict=True):
        assert (heat["width"], heat["height"]) == (image.width, image.height)
        assert heat["box"] == [0, 0, image.width, image.height]
        assert np.array(heat["values"]).shape == (8, 8)
        assert np.array(heat["values"]).max() > 0


def test_by_upload(anonymous: Api, two: tuple[Image, Image]) -> None:
    response = anonymous.post("explain/", form={"collection": "lamps", "hit": two[0].pk, "image": upload(picture(1))})
    assert response.status_code == 200, response.content
    assert response.json()["score"] == pytest.approx(1, abs=2e-3)  # made from seed 1


def test_a_heat_map_is_a_png_in_the_picture_s_shape(anonymous: Api, two: tuple[Image, Image]) -> None:
    where = "explain/heat-map/"
    found = {
        which: ask(anonymous, two[1], where, image_id=two[0].pk, picture=which, side=96) for which in ("query", "hit")
    }
    for response in found.values():
        assert response["Content-Type"] == "image/png"
        heat = PIL.Image.open(io.BytesIO(response.content))
        assert heat.size == (96, 72)
        assert 0 < np.asarray(heat.convert("RGBA"))[..., 3].min() < 255
    assert found["query"].content != found["hit"].content


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid"),
        ({"image_id": 1, "url": "https://shop.example/a.jpg"}, 400, "invalid"),
        ({"image_id": 10**9}, 404, "image_not_found"),
        ({"image_id": "first", "index": "none"}, 404, "index_not_found"),
        ({"image_id": "first", "box": [9000, 0, 5, 5]}, 400, "bad_box"),
        ({"image_id": "first", "method": "maps"}, 409, "no_feature_maps"),
        ({"image_id": "first", "frame": "2"}, 400, "invalid"),
    ],
)
def test_refusals(anonymous: Api, two: tuple[Image, Image], body: dict[str, Any], status: int, code: str) -> None:
    body = {name: two[0].pk if value == "first" else value for name, value in body.items()}
    response = ask(anonymous, two[1], **body)
    assert (response.status_code, error_of(response)["code"]) == (status, code)


def test_a_hit_of_another_collection_is_not_there(
    anonymous: Api, two: tuple[Image, Image], private: Collection
) -> None:
    other = factories.ImageFactory(product=factories.ProductFactory(collection=private))
    assert error_of(ask(anonymous, other, image_id=two[0].pk))["code"] == "image_not_found"
    response = anonymous.post("explain/", {"collection": "secret", "hit": other.pk, "image_id": other.pk})
    assert error_of(response)["code"] == "collection_not_found"


def test_it_counts_against_the_rate(two: tuple[Image, Image], make_key: Any) -> None:
    api = Api(make_key(rate="1/day"))
    assert ask(api, two[1], image_id=two[0].pk)["X-RateLimit-Remaining"] == "0"
    assert ask(api, two[1], image_id=two[0].pk).status_code == 429
