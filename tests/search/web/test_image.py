"""One picture of the catalog, large."""

from __future__ import annotations

import pytest
from django.test import Client

from catalog.models import Collection
from tests import factories
from tests.search.web.conftest import Page, embed

pytestmark = pytest.mark.django_db


def test_it_shows_the_product_its_other_pictures_and_its_look_alikes(client: Client, shop: Collection) -> None:
    product = factories.ProductFactory.create(
        collection=shop,
        title="Teapot",
        brand="Kiln",
        category="pots/tea",
        url="https://shop.example/teapot",
        attributes={"colour": "green", "parts": ["lid", "spout"], "lidded": True, "note": None},
    )
    first, second = (factories.ImageFactory.create(product=product, seed=seed) for seed in (400, 401))
    embed(shop)
    page = Page(client.get(f"/c/tableware/images/{first.pk}/"))
    facts = {name: value for (_, name), (_, value) in zip(page.all("dt"), page.all("dd"), strict=True)}
    assert facts["Brand"] == "Kiln"
    assert facts["Category"] == "pots › tea"
    assert facts["Parts"] == "lid, spout"
    assert facts["Lidded"] == "yes"
    assert "Note" not in facts
    assert facts["Picture"].startswith("96 × 72 · JPEG")
    assert page.all("a", href="https://shop.example/teapot")
    assert page.all("img", src=f"/media/{first.file.name}")
    assert page.all("a", class_="try", href=f"/c/tableware/images/{second.pk}/")
    alike = [text for _, text in page.all("h3")]
    assert len(alike) == 12
    assert "Teapot" not in alike


def test_look_alikes_are_of_different_products(client: Client, shop: Collection) -> None:
    image = shop.images.get(product__title="Thing 0")
    double = shop.products.get(title="Thing 1")
    for quality in (90, 80, 70):  # the very same picture, three times, of one product
        factories.ImageFactory.create(product=double, data=factories.picture(1, quality=quality))
    embed(shop)
    alike = [text for _, text in Page(client.get(f"/c/tableware/images/{image.pk}/")).all("h3")]
    assert alike[0] == "Thing 1"
    assert len(alike) == len(set(alike)) == 12


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example"])
def test_only_web_addresses_of_a_shop_become_links(client: Client, shop: Collection, url: str) -> None:
    product = factories.ProductFactory.create(collection=shop, url=url)
    image = factories.ImageFactory.create(product=product)
    embed(shop)
    assert not Page(client.get(f"/c/tableware/images/{image.pk}/")).all("a", href=url)


def test_a_picture_without_a_product_is_named_after_its_file(client: Client, shop: Collection) -> None:
    image = factories.ImageFactory.create(collection=shop, product=None, source="holiday/sea_side-2.jpg")
    embed(shop)
    assert Page(client.get(f"/c/tableware/images/{image.pk}/")).all("h1")[0][1] == "sea side 2"


def test_a_format_browsers_do_not_show_is_shown_by_its_thumbnail(client: Client, shop: Collection) -> None:
    image = factories.ImageFactory.create(collection=shop, product=None, data=factories.picture(9, format="TIFF"))
    embed(shop)
    page = Page(client.get(f"/c/tableware/images/{image.pk}/"))
    assert page.all("img", src=f"/media/{image.thumbnail.name}", width="96")


def test_before_anything_is_prepared_the_product_is_shown_all_the_same(client: Client) -> None:
    image = factories.ImageFactory.create()
    answer = client.get(f"/c/{image.collection.slug}/images/{image.pk}/")
    assert answer.status_code == 200
    assert "still being prepared" in Page(answer).alert()


def test_a_picture_that_is_not_there_is_a_404(client: Client, shop: Collection) -> None:
    elsewhere = factories.ImageFactory.create()
    for number in (elsewhere.pk, 10**6, 10**30):
        assert client.get(f"/c/tableware/images/{number}/").status_code == 404
