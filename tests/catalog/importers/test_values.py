"""Cells of a table."""

from __future__ import annotations

from decimal import Decimal

import pytest

from catalog.importers.errors import BadValue
from catalog.importers.values import product_fields


def test_every_column() -> None:
    cells = {
        "sku": "A1",
        "title": "Mug",
        "category": "mugs",
        "brand": "Kiln",
        "price": "12.5",
        "currency": "eur",
        "stock": "3",
        "url": "https://shop.example/a1",
        "image": "a.jpg",
        "role": "gallery",
        "attributes": '{"material": "clay", "weight": 300}',
        "attr.colour": "red",
        "Season": "winter",
    }
    assert product_fields(cells) == {
        "sku": "A1",
        "title": "Mug",
        "category": "mugs",
        "brand": "Kiln",
        "price": Decimal("12.50"),
        "currency": "EUR",
        "stock": 3,
        "url": "https://shop.example/a1",
        "attributes": {"material": "clay", "weight": 300, "colour": "red", "Season": "winter"},
    }


def test_empty_cells_state_nothing() -> None:
    assert product_fields(
        {"sku": "A1", "title": "", "price": "", "stock": "", "attr.colour": "", "attributes": ""}
    ) == {"sku": "A1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", "0.00"), ("1 299.90", "1299.90"), ("1e2", "100.00"), ("0.005", "0.00"), ("9999999999.99", "9999999999.99")],
)
def test_prices(text: str, expected: str) -> None:
    assert product_fields({"price": text})["price"] == Decimal(expected)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", "-1"),
        ("price", "12,50"),
        ("price", "NaN"),
        ("price", "Infinity"),
        ("price", "1e30"),
        ("price", "$5"),
        ("stock", "-1"),
        ("stock", "1.5"),
        ("stock", "many"),
        ("stock", "99999999999"),
        ("stock", "sNaN"),
        ("stock", "Infinity"),
        ("currency", "EURO"),
        ("currency", "€€€"),
        ("url", "javascript:alert(1)"),
        ("url", "https://x/" + "x" * 1000),
        ("sku", "x" * 201),
        ("title", "x" * 301),
        ("title", "NUL \0"),
        ("Season", "NUL \0"),
        ("attributes", "[1]"),
        ("attributes", "{"),
        ("attributes", '{"a": NaN}'),
        ("attributes", '{"a": "\\u0000"}'),
        ("attributes", "[" * 100_000),
    ],
)
def test_bad_cells_are_named(column: str, value: str) -> None:
    with pytest.raises(BadValue) as caught:
        product_fields({column: value})
    assert caught.value.params["column"] == column
    assert len(str(caught.value)) < 400
