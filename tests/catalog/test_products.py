"""product_upsert, and the lengths the importers check against the model's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from catalog.importers.values import LENGTHS
from catalog.models import Product
from catalog.services import BadProduct, product_upsert
from tests.factories import CollectionFactory, ProductFactory


@pytest.mark.django_db
class TestUpsert:
    def test_make_then_change(self) -> None:
        collection = CollectionFactory.create()
        product, created = product_upsert(collection, "A1", title="Mug", price="12.50", stock=3)
        assert created
        assert product.price == Decimal("12.50")
        again, created = product_upsert(collection, "A1", price="9.90")
        assert (again.pk, created) == (product.pk, False)
        assert (again.title, again.stock) == ("Mug", 3)
        assert Product.objects.get(pk=product.pk).price == Decimal("9.90")

    def test_sku_is_the_collections_own(self) -> None:
        other = ProductFactory.create(sku="A1")
        _, created = product_upsert(CollectionFactory.create(), "A1", title="x")
        assert created
        other.refresh_from_db()
        assert other.title == "Product A1"

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"price": "cheap"}, "price"),
            ({"price": "-1"}, "price"),
            ({"price": "1.234"}, "price"),
            ({"stock": -1}, "stock"),
            ({"url": "javascript:alert(1)"}, "url"),
            ({"title": "x" * 301}, "title"),
            ({"currency": "EURO"}, "currency"),
        ],
    )
    def test_bad_values_are_named_and_change_nothing(self, fields: dict[str, object], named: str) -> None:
        product = ProductFactory.create()
        with pytest.raises(BadProduct, match=f"not valid: {named}: "):
            product_upsert(product.collection, product.sku, **fields)
        with pytest.raises(BadProduct):
            product_upsert(product.collection, "new", **fields)
        assert list(Product.objects.values_list("pk", flat=True)) == [product.pk]

    @pytest.mark.parametrize("sku", ["", "x" * 201])
    def test_bad_sku(self, sku: str) -> None:
        with pytest.raises(BadProduct, match="sku"):
            product_upsert(CollectionFactory.create(), sku)


@pytest.mark.parametrize(("field", "length"), LENGTHS.items())
def test_lengths_are_the_models(field: str, length: int) -> None:
    assert Product._meta.get_field(field).max_length == length
