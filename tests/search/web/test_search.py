"""Results: box, filters, paging, what is said when there are none."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import Collection, ImageRole
from search.builds import index_for
from tests import factories
from tests.search.web.conftest import Page, embed

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(shop: Collection) -> str:
    """Results of the picture of Thing 0."""
    return f"/c/tableware/search/?image={shop.images.order_by('id').first().pk}"


def query_of(address: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(address).query)


def test_a_picture_of_the_catalog_finds_the_others_by_falling_score(client: Client, here: str) -> None:
    page = Page(client.get(here))
    assert len(page.titles()) == 24
    assert "Thing 0" not in page.titles()
    percents = [int(re.search(r"(\d+)%$", text)[1]) for _, text in page.all("span", class_="score")]
    assert percents == sorted(percents, reverse=True)
    assert all(found["title"].startswith("Cosine similarity 0.") for found, _ in page.all("span", class_="score"))


def test_a_card_shows_product_price_category_stock_and_the_way_on(client: Client, shop: Collection, here: str) -> None:
    page = Page(client.get(f"{here}&category=mugs&price_min=14&price_max=14"))
    ((_, text),) = page.all("article", class_="hit")
    for shown in ("Thing 9", "mugs", "€14.00", "Out of stock", "More like this"):
        assert shown in text
    thing = shop.images.get(product__title="Thing 9")
    more, why = (found["href"] for found, _ in page.all("a", class_="more-like"))
    assert more == f"/c/tableware/search/?image={thing.pk}"
    assert f"/{thing.pk}/" in why
    assert page.all("a", href=f"/c/tableware/images/{thing.pk}/")


def test_pages_follow_each_other_without_overlap(client: Client, here: str) -> None:
    first = Page(client.get(here))
    second = Page(client.get(first.link(rel="next")))
    assert len(first.titles()) == 24
    assert len(second.titles()) == 5  # thirty without the asking one
    assert not set(first.titles()) & set(second.titles())
    assert not second.all("a", rel="next")
    assert second.link(rel="prev") == here


@pytest.mark.parametrize("number", ["0", "-3", "x", "", "1" * 30, "²"])
def test_a_page_number_that_is_none_is_the_first_page(client: Client, here: str, number: str) -> None:
    assert len(Page(client.get(here, query_params={"image": here.split("=")[1], "page": number})).titles()) == 24


def test_far_beyond_the_end_there_is_a_way_back(client: Client, here: str) -> None:
    answer = client.get(f"{here}&page=9999")
    assert answer.status_code == 200
    assert "There are no more pictures" in answer.content.decode()


def test_filters_narrow_and_each_can_be_taken_away(client: Client, here: str) -> None:
    page = Page(client.get(f"{here}&category=mugs&in_stock=1&attr.colour=red&price_max=12"))
    assert set(page.titles()) == {"Thing 1", "Thing 5", "Thing 7"}
    chips = {text: found["href"] for found, text in page.all("a", class_="chip")}
    assert set(chips) == {"mugs", "up to 12", "In stock", "Colour: red", "Clear all"}
    assert ("in_stock", "1") not in query_of(chips["In stock"])
    assert set(query_of(chips["In stock"])) | {("in_stock", "1")} == set(query_of(chips["mugs"])) | {
        ("category", "mugs")
    }
    assert set(Page(client.get(chips["In stock"])).titles()) == {"Thing 1", "Thing 3", "Thing 5", "Thing 7"}
    assert chips["Clear all"] == here


def test_the_filter_form_works_without_a_script_and_shows_what_is_chosen(client: Client, here: str) -> None:
    page = Page(client.get(f"{here}&category=plates&box=10,10,40,30"))
    (form,) = page.all("form", action="/c/tableware/search/", method="get", id="filter-form")
    assert form
    assert page.all("input", type="hidden", name="image", value=here.split("=")[1])
    assert page.all("input", type="hidden", name="box", value="10,10,40,30")
    boxes = {found["value"]: "checked" in found for found, _ in page.all("input", type="checkbox", name="category")}
    assert boxes == {"plates": True, "mugs": False}
    labels = [text for found, text in page.all("label", class_="option")]
    assert labels[:2] == ["plates20", "mugs10"]
    hints = [found["placeholder"] for found, _ in page.all("input") if found["name"].startswith("price_")]
    assert hints == ["from 5", "to 34"]


def test_paging_and_chips_keep_box_and_filters(client: Client, here: str) -> None:
    page = Page(client.get(f"{here}&box=10,10,40,30&price_max=33"))
    asked = {("box", "10,10,40,30"), ("price_max", "33"), ("image", here.split("=")[1])}
    assert set(query_of(page.link(rel="next"))) == {*asked, ("page", "2")}
    assert set(query_of(page.link(class_="chip"))) == asked - {("price_max", "33")}


def test_a_box_changes_what_is_found_and_is_drawn_without_a_script(client: Client, here: str) -> None:
    whole, part = Page(client.get(here)), Page(client.get(f"{here}&box=24,18,48,36"))
    assert whole.titles() != part.titles()
    ((drawn, _),) = part.all("div", class_="crop")
    assert drawn["style"] == "--x:25.000%;--y:25.000%;--w:50.000%;--h:50.000%"
    assert not whole.all("div", class_="crop")
    ((link, _),) = [found for found in part.all("a") if "data-whole" in found[0]]
    assert link["href"] == here


@pytest.mark.parametrize(
    "box", ["1,2,3", "a,b,c,d", "1,2,-3,4", "1,2,0,4", "1,2,3,4,5", "1e3,1,1,1", "9999,9999,5,5", "١,1,1,1"]
)
def test_a_box_that_holds_nothing_is_refused_in_place(client: Client, here: str, box: str) -> None:
    answer = client.get(here, query_params={"image": here.split("=")[1], "box": box})
    page = Page(answer)
    assert answer.status_code == 400
    assert "box" in page.alert()
    assert page.link(**{"data_whole": ""}) == here


@pytest.mark.parametrize("bad", ["price_min=abc", "price_max=-1", "price_min=9&price_max=2", "in_stock=maybe"])
def test_a_filter_that_cannot_be_is_said_and_kept(client: Client, here: str, bad: str) -> None:
    answer = client.get(f"{here}&{bad}")
    page = Page(answer)
    assert answer.status_code == 400
    assert page.alert()
    for name, value in parse_qsl(bad):
        if name.startswith("price"):
            assert page.all("input", name=name, value=value)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "“Price from” cannot be 'abc'. Write a number such as 12.50."),
        ("zh-hans", "“最低价格”不能是 'abc'。请填写数字，例如 12.50。"),
    ],
)
def test_a_refusal_speaks_of_fields_as_the_page_does(client: Client, here: str, language: str, said: str) -> None:
    answer = client.get(f"{here}&price_min=abc", headers={"accept-language": language})
    assert Page(answer).alert() == said


def test_an_empty_result_names_the_filters_to_loosen_with_their_numbers(client: Client, here: str) -> None:
    page = Page(client.get(f"{here}&category=mugs&price_min=20&in_stock=1"))
    assert not page.titles()
    offered = [text for found, text in page.all("a", class_="button-small") if "data-live" in found]
    assert offered == ["without “mugs”: 10 pictures", "without “from 20”: 6 pictures"]


def test_an_empty_result_that_no_single_filter_explains_offers_to_clear_all(client: Client, here: str) -> None:
    answer = client.get(f"{here}&category=spoons&price_min=900")
    assert "even without one of them" in answer.content.decode()
    page = Page(answer)
    assert page.all("input", name="category", value="spoons")  # still there to be unticked
    assert here in {found["href"] for found, text in page.all("a") if text == "Clear all filters"}


def test_reasons_of_business_rules_are_shown(client: Client, shop: Collection, here: str) -> None:
    index = index_for(shop)
    index.rules = [{"rule": "in_stock_first"}]
    index.save()
    page = Page(client.get(here))
    reasons = [text for _, text in page.all("ul", class_="reasons")]
    assert any(reason.startswith("in stock: moved up") for reason in reasons)


def test_the_time_is_shown_and_where_it_went(client: Client, here: str) -> None:
    page = Page(client.get(here))
    ((_, took),) = page.all("details", class_="took")
    assert re.match(r"0\.\d\d s", took)
    assert "Coarse search" in took


def test_a_page_of_hits_costs_no_query_per_hit(client: Client, here: str) -> None:
    def queries(address: str) -> int:
        client.get(address)  # caches warm
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(address)
        return len(captured)

    assert queries(here) <= queries(f"{here}&price_max=6")  # twenty-four hits cost no more than two


@pytest.mark.parametrize(
    "query",
    [
        "",
        "image=",
        "image=x",
        "image=999999",
        "image=9" * 3,
        "image=" + "9" * 30,
        "query=nonsense",
        "query=00000000-0000-4000-8000-000000000000",
    ],
)
def test_a_picture_that_is_not_there_is_a_404(client: Client, shop: Collection, query: str) -> None:
    assert client.get(f"/c/tableware/search/?{query}").status_code == 404


def test_pictures_of_other_collections_and_of_benchmarks_are_not_searched_with(
    client: Client, shop: Collection
) -> None:
    elsewhere = factories.ImageFactory.create(product=None)
    asking = factories.ImageFactory.create(collection=shop, product=None, role=ImageRole.QUERY)
    uploaded = factories.UploadedQueryFactory.create()
    for who in (f"image={elsewhere.pk}", f"image={asking.pk}", f"query={uploaded.pk}"):
        assert client.get(f"/c/tableware/search/?{who}").status_code == 404


def test_an_upload_into_a_collection_without_pictures_is_explained(client: Client) -> None:
    bare = factories.CollectionFactory.create(slug="bare")
    uploaded = factories.UploadedQueryFactory.create(collection=bare)
    answer = client.get(f"/c/bare/search/?query={uploaded.pk}")
    assert answer.status_code == 409
    assert "has no pictures" in Page(answer).alert()


def test_text_of_the_catalog_is_never_markup(client: Client, shop: Collection, here: str) -> None:
    evil = '<script>alert("x")</script>'
    product = factories.ProductFactory.create(collection=shop, title=evil, category=evil, attributes={evil: evil})
    factories.ImageFactory.create(product=product)
    embed(shop)
    for address in (f"{here}&price_max=13&category={evil}", f"/c/tableware/images/{product.images.get().pk}/"):
        answer: Any = client.get(address)
        assert "&lt;script&gt;" in answer.content.decode()
        assert evil not in answer.content.decode()
