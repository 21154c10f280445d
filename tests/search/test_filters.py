"""Filters: read from an address, written back, applied by the database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict

from catalog.models import Image, Product
from search import serving
from search.builds import build_create, build_run
from search.filters import BadFilter, Filters
from search.services import search_by_image
from tests.factories import CollectionFactory
from tests.search.gallery import make_index

QUERY = (
    "category=mugs&category=cups&price_min=5&price_max=10.50&in_stock=1&attr.colour=red&attr.colour=blue&attr.size=L"
)


def test_an_address_is_read_and_written_back() -> None:
    filters = Filters.from_query(QueryDict(QUERY))
    assert filters == Filters(
        categories=("mugs", "cups"),
        price_min=Decimal(5),
        price_max=Decimal("10.50"),
        in_stock=True,
        attributes={"colour": ("red", "blue"), "size": ("L",)},
    )
    again = QueryDict(mutable=True)
    for name, value in filters.to_query():
        again.appendlist(name, value)
    assert Filters.from_query(again) == filters
    assert again.urlencode() == QUERY


@pytest.mark.parametrize("query", ["", "category=&price_min=&price_max=&in_stock=&attr.colour=&attr.=x&page=2&k=5"])
def test_nothing_asked_is_no_filter(query: str) -> None:
    filters = Filters.from_query(QueryDict(query))
    assert not filters
    assert filters.to_query() == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("price_min=cheap", "price_min"),
        ("price_max=NaN", "price_max"),
        ("price_max=Infinity", "price_max"),
        ("price_min=-1", "price_min"),
        ("price_min=1e400", "price_min"),
        ("price_min=9&price_max=3", "price_min"),
        ("in_stock=maybe", "in_stock"),
        ("category=a%00b", "category"),
        ("attr.co%00l=a", "attr.col"),
        ("&".join(f"category={n}" for n in range(51)), "category"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(query: str, name: str) -> None:
    with pytest.raises(BadFilter, match=name):
        Filters.from_query(QueryDict(query))


@pytest.mark.parametrize("filters", [Filters(categories=("a",)), Filters(price_min=Decimal(0)), Filters(in_stock=True)])
def test_any_filter_counts(filters: Filters) -> None:
    assert filters


def products(*fields: dict[str, Any]) -> list[str]:
    collection = CollectionFactory()
    for n, values in enumerate(fields):
        product = Product.objects.create(collection=collection, sku=str(n), **values)
        Image.objects.create(
            collection=collection, product=product, file="x", sha256=f"{n:064}", size=1, width=1, height=1
        )
    Image.objects.create(collection=collection, file="x", sha256="f" * 64, size=1, width=1, height=1)
    return [product.sku for product in Product.objects.filter(collection=collection)]


def passing(filters: Filters) -> list[str]:
    return [image.product.sku for image in filters.apply(Image.objects.all()).select_related("product")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (Filters(categories=("mugs",)), ["0"]),
        (Filters(categories=("mugs", "cups")), ["0", "1"]),
        (Filters(price_min=Decimal("5")), ["0", "1"]),
        (Filters(price_max=Decimal("5.00")), ["0"]),
        (Filters(price_min=Decimal(6), price_max=Decimal(8)), ["1"]),
        (Filters(in_stock=True), ["0"]),
        (Filters(categories=("mugs",), price_min=Decimal(6)), []),
    ],
)
def test_products_pass(filters: Filters, wanted: list[str]) -> None:
    products(
        {"category": "mugs", "price": 5, "stock": 1},
        {"category": "cups", "price": 7, "stock": 0},
        {"category": "", "price": None, "stock": None},
    )
    assert passing(filters) == wanted


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("colour", ("red",), ["0", "4"]),
        ("colour", ("red", "blue"), ["0", "1", "4"]),
        ("colour", ("Red",), []),
        ("colour", ('red"',), []),
        ("size", ("5",), ["0", "1"]),
        ("new", ("true",), ["0"]),
        ("colour__contains", ("x",), ["2"]),
        ("a b.c", ("y",), ["2"]),
        ("颜色", ("红",), ["3", "5"]),
        ("nothing", ("red",), []),
        ("it's", ("ok",), ["3"]),
    ],
)
def test_attributes_pass_whatever_their_type_or_name(name: str, values: tuple[str, ...], wanted: list[str]) -> None:
    products(
        {"attributes": {"colour": "red", "size": 5, "new": True}},
        {"attributes": {"colour": "blue", "size": "5", "new": False}},
        {"attributes": {"colour": "reddish", "colour__contains": "x", "a b.c": "y"}},
        {"attributes": {"colour": None, "颜色": "红", "it's": "ok"}},
        {"attributes": {"colour": ["red", "green"]}},
        {"attributes": {"颜色": ["红", "绿"]}},
    )
    assert passing(Filters(attributes={name: values})) == wanted


@pytest.mark.django_db
@pytest.mark.parametrize("factory", ["Flat", "IVF32,SQ8", "HNSW16"])
@pytest.mark.parametrize(
    ("filters", "share"),
    [
        (Filters(in_stock=True), 0.5),
        (Filters(categories=("category 3",)), 0.1),
        (Filters(price_min=Decimal(7), price_max=Decimal(7)), 0.01),
        (Filters(categories=("none",)), 0.0),
    ],
)
def test_a_filter_never_starves_a_search(factory: str, filters: Filters, share: float) -> None:
    """Every selectivity gives k hits if there are k, the same ones that exact search gives."""
    index = make_index(5000, factory=factory)
    image = index.collection.images.first()
    exact = [hit.image.pk for hit in search_by_image(index.collection, image, k=30, filters=filters).hits]
    assert build_run(build_create(index).pk).state == "done"
    serving.forget()
    results = search_by_image(index.collection, image, k=30, filters=filters)
    assert results.build is not None
    passing_ids = set(filters.apply(Image.objects.exclude(pk=image.pk)).values_list("pk", flat=True))
    assert abs(len(passing_ids) - share * 5000) <= 1
    hits = [hit.image.pk for hit in results.hits]
    assert len(hits) == min(30, len(passing_ids))
    assert set(hits) <= passing_ids
    assert results.has_more == (len(passing_ids) > 30)
    assert len(set(hits) & set(exact)) >= 0.95 * len(exact)
