"""Facets are counted from the database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from catalog.facets import Facets, count_attributes, facets
from tests.factories import CollectionFactory, ImageFactory, ProductFactory


@pytest.mark.django_db
class TestFacets:
    def test_counted(self) -> None:
        collection = CollectionFactory.create()
        for category, price, colour in [("mugs", 5, "red"), ("mugs", 9, "blue"), ("lamps", 7, "red"), ("", None, "")]:
            product = ProductFactory.create(
                collection=collection, category=category, price=price, stock=None, attributes={"colour": colour}
            )
            ImageFactory.create(product=product)
        assert facets(collection) == Facets(
            categories=[("mugs", 2), ("lamps", 1)],
            attributes={"colour": [("red", 2), ("blue", 1)]},
            price=(Decimal(5), Decimal(9)),
            has_stock=False,
        )

    def test_only_what_can_be_found_counts(self) -> None:
        product = ProductFactory.create()  # no picture
        query = ProductFactory.create(collection=product.collection)
        ImageFactory.create(product=query, role="query")
        ImageFactory.create(product=ProductFactory.create())  # another collection
        assert facets(product.collection) == Facets()

    def test_many_pictures_are_one_product(self) -> None:
        product = ProductFactory.create(category="mugs", stock=0)
        for _ in range(3):
            ImageFactory.create(product=product)
        found = facets(product.collection)
        assert found.categories == [("mugs", 1)]
        assert found.has_stock

    def test_cached_for_a_while(self, django_assert_num_queries: Any) -> None:
        product = ImageFactory.create().product
        first = facets(product.collection)
        with django_assert_num_queries(0):
            assert facets(product.collection) == first


class TestAttributes:
    def test_identifiers_and_other_types_are_no_facets(self) -> None:
        rows = [{"barcode": f"{n}", "colour": "red", "weight": n, "tags": ["a"]} for n in range(600)]
        assert count_attributes(rows) == {"colour": [("red", 600)]}

    def test_most_frequent_first_and_capped(self) -> None:
        rows = [{"size": f"s{n:02}"} for n in range(40) for _ in range(n + 1)]
        values = count_attributes(rows)["size"]
        assert values[0] == ("s39", 40)
        assert len(values) == 30
        many = [{f"a{n}": "x"} for n in range(20)]
        assert len(count_attributes(many)) == 12
