"""The page that shows what matched: two pictures, their heat, the words for it, and who may see it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
import PIL.Image
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from catalog.models import Collection, Image
from search.builds import index_for
from search.extraction import explain
from tests import factories
from tests.search.web.conftest import Page, embed

pytestmark = pytest.mark.django_db
Upload = Callable[..., SimpleUploadedFile]


@pytest.fixture
def shop(db: None) -> Collection:
    """Six products with a picture each."""
    collection = factories.CollectionFactory.create(name="Tableware", slug="tableware")
    for number in range(6):
        product = factories.ProductFactory.create(collection=collection, title=f"Thing {number}", category="mugs")
        factories.ImageFactory.create(product=product, seed=number + 1)
    embed(collection)
    return collection


def pictures(shop: Collection, count: int) -> list[Image]:
    return list(Image.objects.filter(collection=shop).order_by("pk")[:count])


def address(hit: Image, **asked: Any) -> str:
    return f"/c/{hit.collection.slug}/why/{hit.pk}/?{urlencode(asked, doseq=True)}"


def why(client: Client, hit: Image, **asked: Any) -> Page:
    response = client.get(address(hit, **asked))
    assert response.status_code == 200, response.content.decode()
    return Page(response)


def heats(page: Page) -> list[PIL.Image.Image]:
    sources = [found["src"] for found, _ in page.all("img", class_="why-heat")]
    return [PIL.Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]


def test_every_hit_leads_to_what_matched(client: Client, shop: Collection) -> None:
    asking = pictures(shop, 1)[0]
    results = Page(client.get(f"/c/tableware/search/?image={asking.pk}&category=mugs&page=1"))
    links = [found["href"] for found, text in results.all("a", class_="more-like") if text == "Why?"]
    assert len(links) == len(results.titles()) == 5
    page = Page(client.get(links[0]))
    assert page.all("h1")[0][1] == "What matched"
    assert {found["href"] for found, text in page.all("a") if "Back" in text} == {
        f"/c/tableware/search/?image={asking.pk}&category=mugs"
    }


def test_the_look_alikes_of_a_picture_lead_there_too(client: Client, shop: Collection) -> None:
    shown = pictures(shop, 1)[0]
    page = Page(client.get(f"/c/tableware/images/{shown.pk}/"))
    links = [found["href"] for found, text in page.all("a", class_="more-like") if text == "Why?"]
    assert links
    assert all(link.endswith(f"?image={shown.pk}") for link in links)
    assert client.get(links[0]).status_code == 200


def test_both_pictures_carry_heat_in_their_own_shape_and_words_for_it(client: Client, shop: Collection) -> None:
    asking, hit = pictures(shop, 2)
    page = why(client, hit, image=asking.pk)
    for heat, image in zip(heats(page), (asking, hit), strict=True):
        assert heat.width / heat.height == pytest.approx(image.width / image.height, rel=0.02)
        assert len(np.unique(np.asarray(heat.convert("RGBA")), axis=0)) > 10
    words = [text for _, text in page.all("figcaption")]
    assert all("the picture" in text for text in words)
    assert "Business rules" in [text for _, text in page.all("dt")]
    assert any("Place " in text for _, text in page.all("dd"))


def test_an_upload_and_its_box(client: Client, shop: Collection, upload: Upload) -> None:
    hit = pictures(shop, 1)[0]
    asked = client.post("/c/tableware/query/", {"file": upload(factories.picture(5, (240, 180)))})["Location"]
    query = asked.partition("query=")[2]
    whole, part = (heats(why(client, hit, query=query, **box))[0] for box in ({}, {"box": "120,0,100,180"}))
    assert whole.size == part.size
    hatched = np.asarray(part)[:, : part.width // 3]
    assert (np.asarray(part)[:, -part.width // 5 :] != np.asarray(whole)[:, -part.width // 5 :]).any()
    assert len(np.unique(hatched)) == 2  # stripes: not looked at
    assert "not looked at" in client.get(address(hit, query=query, box="120,0,100,180")).content.decode()


def test_each_example_can_be_chosen(client: Client, shop: Collection) -> None:
    one, liked, unliked, hit = pictures(shop, 4)
    asked = {"image": one.pk, "like": liked.pk, "unlike": unliked.pk}
    page = why(client, hit, **asked)
    links = [found for found, _ in page.all("a", class_="why-choice")]
    assert [found.get("aria-current") for found in links] == ["true", None, None]
    last = client.get(links[2]["href"])
    assert "ticked this picture as unlike" in last.content.decode()
    assert client.get(address(hit, **asked, example=3)).status_code == 404
    assert client.get(address(hit, **asked, example="x")).status_code == 200


def test_a_classical_descriptor_says_that_parts_were_covered(client: Client, shop: Collection) -> None:
    asking, hit = pictures(shop, 2)
    response = client.get(address(hit, image=asking.pk))
    assert "were covered" in response.content.decode()
    assert not Page(response).all("div", class_="why-stage")[0][0].get("data-grid")


def test_it_is_computed_once(client: Client, shop: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    asking, hit = pictures(shop, 2)
    first = heats(why(client, hit, image=asking.pk))

    def never(*args: Any) -> None:
        raise AssertionError("it was kept")

    monkeypatch.setattr("search.explain.explain", never)
    assert [heat.tobytes() for heat in heats(why(client, hit, image=asking.pk))] == [heat.tobytes() for heat in first]


def test_rules_are_told(client: Client, shop: Collection) -> None:
    asking, hit = pictures(shop, 2)
    index = index_for(shop)
    index.rules = [{"rule": "pin", "skus": [hit.product.sku]}] if hit.product else []
    index.save()
    page = why(client, hit, image=asking.pk)
    assert page.all("ul", class_="reasons")


def test_pictures_of_another_collection_do_not_exist_here(client: Client, shop: Collection) -> None:
    asking, hit = pictures(shop, 2)
    other = factories.ImageFactory.create(product=factories.ProductFactory.create())
    assert client.get(f"/c/tableware/why/{other.pk}/?image={asking.pk}").status_code == 404
    assert client.get(address(hit, image=other.pk)).status_code == 404
    assert client.get(address(hit)).status_code == 404


def test_a_private_collection_is_for_members(client: Client, shop: Collection) -> None:
    asking, hit = pictures(shop, 2)
    shop.is_public = False
    shop.save()
    assert client.get(address(hit, image=asking.pk)).status_code == 404
    member = factories.UserFactory.create()
    shop.members.add(member)
    client.force_login(member)
    assert client.get(address(hit, image=asking.pk)).status_code == 200


def test_what_cannot_be_read_is_said(client: Client, shop: Collection) -> None:
    asking, hit = pictures(shop, 2)
    response = client.get(address(hit, image=asking.pk, box="1,2,3"))
    assert response.status_code == 400
    assert "x,y,width,height" in Page(response).alert()


def test_counterparts_are_given_to_the_script(
    client: Client, shop: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, hit = pictures(shop, 2)
    made = explain.explain

    def with_pairs(*args: Any) -> explain.Explanation:
        found = made(*args)
        object.__setattr__(found, "pairs", np.eye(64, dtype=np.float32)[::-1])
        return found

    monkeypatch.setattr("search.explain.explain", with_pairs)
    grids = [
        json.loads(found["data-grid"]) for found, _ in why(client, hit, image=asking.pk).all("div", class_="why-stage")
    ]
    assert grids[0]["partners"] == grids[1]["partners"] == list(range(64))[::-1]
    assert (grids[0]["rows"], grids[0]["columns"], grids[0]["box"]) == (8, 8, [0, 0, 100, 100])
