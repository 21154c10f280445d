"""What a query looks like, on the page of results."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from django.test import Client

from catalog.models import Image
from search.models import Embedding, SearchIndex
from search.vectors import from_bytes
from tests.search.branches import branch_site, embed
from tests.search.web.conftest import Page

pytestmark = pytest.mark.django_db


@pytest.fixture
def image() -> Image:
    """A blue bowl of a collection that is searched with a branch."""
    site = branch_site(36)
    site.collection.indexes.all().delete()
    SearchIndex.objects.create(collection=site.collection, feature_model=site.model, is_default=True)
    rows = Embedding.objects.filter(feature_model=site.base).order_by("image_id")
    x = site.branch.apply(np.stack([from_bytes(row.vector, site.base.dim) for row in rows]))
    embed(site.images, site.model, x)
    return site.images[4]


def page(client: Client, query: str) -> Page:
    answer = client.get(f"/c/kitchen/search/?{query}")
    assert answer.status_code == 200
    return Page(answer)


def test_each_attribute_is_a_filter_of_one_click(client, image) -> None:
    shown = page(client, f"image={image.pk}")
    links = shown.all("a", class_="look")
    assert [text.split(": ")[1].rstrip("0123456789%").strip() for _, text in links] == ["bowls", "blue"]
    asked = [dict(parse_qsl(urlsplit(found["href"]).query)) for found, _ in links]
    assert asked == [
        {"image": str(image.pk), "category": "bowls"},
        {"image": str(image.pk), "attr.colour": "blue"},
    ]
    assert all("data-live" in found for found, _ in links)
    assert links[1][0]["title"] == "Show only Colour: blue"


def test_a_click_narrows_and_what_is_chosen_is_no_link(client, image) -> None:
    (_, (colour, _)) = page(client, f"image={image.pk}").all("a", class_="look")
    answer = client.get(colour["href"])
    narrowed = Page(answer)
    assert {card.image.product.attributes["colour"] for card in answer.context["cards"]} == {"blue"}
    [(_, chosen)] = narrowed.all("span", class_="look-chosen")
    assert chosen.startswith("Colour: blue")
    assert len(narrowed.all("a", class_="look")) == 1


def test_a_click_takes_the_place_of_another_value(client, image) -> None:
    links = page(client, f"image={image.pk}&attr.colour=red&category=mugs").all("a", class_="look")
    asked = [parse_qsl(urlsplit(found["href"]).query) for found, _ in links]
    assert [pair for pair in asked[1] if pair[0].startswith("attr.")] == [("attr.colour", "blue")]
    assert ("category", "mugs") in asked[1]


def test_box_examples_and_cut_off_stay(client, image) -> None:
    other = Image.objects.get(product__sku="P0013")
    assert (other.product.category, other.product.attributes["colour"]) == ("bowls", "blue")
    links = page(client, f"image={image.pk}&like={other.pk}&min_p=0").all("a", class_="look")
    assert links
    assert all(f"like={other.pk}" in found["href"] and "min_p=0" in found["href"] for found, _ in links)


def test_without_a_branch_nothing_is_said(client, shop) -> None:
    image = shop.images.first()
    shown = Page(client.get(f"/c/tableware/search/?image={image.pk}"))
    assert shown.titles()
    assert not shown.all("div", class_="looks")
