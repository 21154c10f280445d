"""Products: lists and filters, upserts by SKU, changes, deletion."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Collection, Image, Product
from tests.factories import ImageFactory, ProductFactory
from tests.search.api.conftest import Api, error_of

pytestmark = pytest.mark.django_db

PRODUCTS = "collections/lamps/products/"
WHOLE = {
    "title": "Desk lamp",
    "category": "lamps/desk",
    "brand": "Lumen",
    "price": "49.90",
    "currency": "EUR",
    "stock": 7,
    "url": "https://shop.example/12",
    "attributes": {"color": "brass", "watts": 9, "dimmable": True},
}


def test_create_and_read(writer: Api, collection: Collection) -> None:
    created = writer.post(PRODUCTS, {"sku": "L-12", **WHOLE})
    assert created.status_code == 201
    read = writer.get(f"{PRODUCTS}L-12/").json()
    assert {name: read[name] for name in WHOLE} == WHOLE
    assert read == created.json()


def test_an_sku_is_taken_once(writer: Api, collection: Collection) -> None:
    writer.post(PRODUCTS, {"sku": "A", "title": "first"})
    response = writer.post(PRODUCTS, {"sku": "A", "title": "second"})
    assert response.status_code == 409
    assert error_of(response)["code"] == "sku_taken"
    assert Product.objects.get().title == "first"


def test_put_is_an_upsert_and_replaces(writer: Api, collection: Collection) -> None:
    assert writer.put(f"{PRODUCTS}A/", WHOLE).status_code == 201
    assert writer.put(f"{PRODUCTS}A/", WHOLE).status_code == 200
    assert Product.objects.count() == 1
    short = writer.put(f"{PRODUCTS}A/", {"title": "Short"}).json()
    empty = {"title": "Short", "category": "", "brand": "", "price": None, "currency": "", "stock": None, "url": ""}
    assert {name: short[name] for name in empty} == empty
    assert short["attributes"] == {}


def test_put_may_repeat_its_sku_but_not_another(writer: Api, collection: Collection) -> None:
    assert writer.put(f"{PRODUCTS}A/", {"sku": "A"}).status_code == 201
    response = writer.put(f"{PRODUCTS}A/", {"sku": "B"})
    assert response.status_code == 400
    assert set(error_of(response)["fields"]) == {"sku"}


def test_patch_changes_what_is_sent(writer: Api, collection: Collection) -> None:
    writer.put(f"{PRODUCTS}A/", WHOLE)
    changed = writer.patch(f"{PRODUCTS}A/", {"stock": 0, "sku": "B"}).json()
    assert {name: changed[name] for name in WHOLE} == {**WHOLE, "stock": 0}
    assert changed["sku"] == "A"


def test_two_changes_at_once_both_stay(writer: Api, collection: Collection, monkeypatch: Any) -> None:
    """Another request changes the stock after this one has read the row."""
    from search.api.views import products

    writer.put(f"{PRODUCTS}A/", WHOLE)
    real = products.product_upsert

    def meanwhile(*args: Any, **fields: Any) -> Any:
        Product.objects.update(stock=99)
        return real(*args, **fields)

    monkeypatch.setattr(products, "product_upsert", meanwhile)
    changed = writer.patch(f"{PRODUCTS}A/", {"title": "New"}).json()
    assert (changed["title"], changed["stock"]) == ("New", 99)


def test_patch_of_what_is_not_there(writer: Api, collection: Collection) -> None:
    response = writer.patch(f"{PRODUCTS}none/", {"stock": 1})
    assert (response.status_code, error_of(response)["code"]) == (404, "product_not_found")


def test_skus_with_slashes_and_spaces(writer: Api, collection: Collection) -> None:
    """A folder import makes SKUs such as 'desk/brass lamp'."""
    for spelled in ("desk/brass%20lamp", "desk%2Fbrass%20lamp"):
        writer.put(f"{PRODUCTS}{spelled}/", {"title": "x"})
    assert [product.sku for product in Product.objects.all()] == ["desk/brass lamp"]
    assert writer.get(f"{PRODUCTS}desk/brass%20lamp/").json()["sku"] == "desk/brass lamp"


def test_the_same_sku_lives_in_two_collections(writer: Api, collection: Collection, private: Collection) -> None:
    assert writer.put(f"{PRODUCTS}A/", {}).status_code == 201
    assert writer.put("collections/secret/products/A/", {}).status_code == 201


def test_delete_takes_the_pictures_and_their_files(
    writer: Api, collection: Collection, django_capture_on_commit_callbacks: Any
) -> None:
    image = ImageFactory(product=ProductFactory(collection=collection, sku="A"))
    assert image.file.storage.exists(image.file.name)
    with django_capture_on_commit_callbacks(execute=True):
        assert writer.delete(f"{PRODUCTS}A/").status_code == 204
    assert not Product.objects.exists()
    assert not Image.objects.exists()
    assert not image.file.storage.exists(image.file.name)
    assert writer.delete(f"{PRODUCTS}A/").status_code == 404


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"price": "-1"}, "price"),
        ({"price": "1.234"}, "price"),
        ({"stock": 1.5}, "stock"),
        ({"stock": 2**31}, "stock"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"currency": "EURO"}, "currency"),
        ({"attributes": ["a"]}, "attributes"),
        ({"attributes": {"color": {"deep": 1}}}, "attributes"),
        ({"attributes": {"color": None}}, "attributes"),
        ({"attributes": {"color": ["red", ["blue"]]}}, "attributes"),
        ({"attributes": {"color": "a\0b"}}, "attributes"),
        ({"attributes": {"a\0b": 1}}, "attributes"),
        ({"attributes": {"color": "\ud800"}}, "attributes"),
        ({"title": "\ud800"}, "title"),
        ({"attributes": {str(n): n for n in range(101)}}, "attributes"),
        ({"title": "x" * 301}, "title"),
        ({"sku": ""}, "sku"),
        ({"sku": "x" * 201}, "sku"),
        ({"sku": "a\0b"}, "sku"),
    ],
)
def test_malformed_products(writer: Api, collection: Collection, fields: dict[str, Any], wrong: str) -> None:
    response = writer.post(PRODUCTS, {"sku": "A", **fields})
    assert response.status_code == 400
    assert set(error_of(response)["fields"]) == {wrong}
    assert not Product.objects.exists()


@pytest.fixture
def shelf(collection: Collection) -> Collection:
    for number in range(6):
        ProductFactory(
            collection=collection,
            sku=f"P{number}",
            title="Brass lamp" if number == 3 else f"Thing {number}",
            brand="Lumen" if number == 5 else "",
            category="desk" if number % 2 else "floor",
            price=10 * (number + 1),
            stock=number % 3 or None,
            attributes={
                "color": "red" if number < 2 else "blue",
                "watts": number,
                "a__b": "x",
                "rooms": ["hall", "küche"] if number == 4 else "hall",
                "dimmable": number == 5,
            },
        )
    return collection


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "012345"),
        ("search=brass", "3"),
        ("search=p4", "4"),
        ("search=lumen", "5"),
        ("category=desk", "135"),
        ("category=desk&category=floor", "012345"),
        ("price_min=30&price_max=50", "234"),
        ("in_stock=1", "1245"),
        ("attr.color=red", "01"),
        ("attr.color=red&attr.color=blue", "012345"),
        ("attr.color=blue&category=desk", "35"),
        ("attr.watts=4", "4"),
        ("attr.a__b=x&attr.color=red", "01"),
        ("attr.none=x", ""),
        ("attr.rooms=hall", "012345"),
        ("attr.rooms=k%C3%BCche", "4"),
        ("attr.rooms=kitchen", ""),
        ("attr.rooms=K%C3%BCche", ""),
        ("attr.dimmable=true", "5"),
    ],
)
def test_lists_are_filtered_as_searches_are(anonymous: Api, shelf: Collection, query: str, expected: str) -> None:
    rows = anonymous.get(f"{PRODUCTS}?{query}").json()["results"]
    assert "".join(row["sku"][1:] for row in rows) == expected


def test_a_malformed_filter_is_told(anonymous: Api, shelf: Collection) -> None:
    response = anonymous.get(f"{PRODUCTS}?price_min=cheap")
    assert (response.status_code, error_of(response)["code"]) == (400, "bad_filter")


def test_pages_hold_every_row_once_while_rows_are_added(anonymous: Api, shelf: Collection) -> None:
    seen, url = [], f"{PRODUCTS}?limit=2"
    while url:
        page = anonymous.get(url).json()
        seen += [row["sku"] for row in page["results"]]
        Product.objects.filter(sku="P0").delete()  # an offset would now skip one
        url = page["next"]
    assert seen == ["P0", "P1", "P2", "P3", "P4", "P5"]


def test_pages_lead_back(anonymous: Api, shelf: Collection) -> None:
    first = anonymous.get(f"{PRODUCTS}?limit=2").json()
    second = anonymous.get(first["next"]).json()
    assert first["previous"] is None
    assert anonymous.get(second["previous"]).json()["results"] == first["results"]


@pytest.mark.parametrize(("limit", "count"), [("1000", 201), ("0", 50), ("x", 50)])
def test_a_page_has_a_longest_length(anonymous: Api, collection: Collection, limit: str, count: int) -> None:
    Product.objects.bulk_create(Product(collection=collection, sku=f"{n}") for n in range(201))
    got = anonymous.get(f"{PRODUCTS}?limit={limit}").json()["results"]
    assert len(got) == min(count, 200)


def test_lists_and_flags_are_stored_as_sent(writer: Api, collection: Collection) -> None:
    attributes = {"rooms": ["hall", 3, True], "dimmable": False, "watts": 4.5, "quote": 'a "b" \\u0000'}
    assert writer.put(f"{PRODUCTS}A/", {"attributes": attributes}).json()["attributes"] == attributes


@pytest.mark.parametrize("path", ["?search=a%00b", "?attr.a%00=1", "a%00b/", "?category=%00"])
def test_nul_in_an_address_is_refused(writer: Api, collection: Collection, path: str) -> None:
    response = writer.client.get(f"/api/v1/{PRODUCTS}{path}", headers=writer.headers)
    assert (response.status_code, error_of(response)["code"]) == (400, "parse_error")


def test_a_malformed_cursor_is_told(anonymous: Api, shelf: Collection) -> None:
    response = anonymous.get(f"{PRODUCTS}?cursor=nonsense")
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


def test_a_product_shows_its_gallery_pictures(anonymous: Api, collection: Collection) -> None:
    product = ProductFactory(collection=collection, sku="A")
    shown = ImageFactory(product=product)
    ImageFactory(product=product, role="query")
    assert [row["id"] for row in anonymous.get(f"{PRODUCTS}A/").json()["images"]] == [shown.pk]
