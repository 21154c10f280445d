"""Cells of a table -> fields of a product, each checked, a bad one named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from catalog.importers.errors import BadValue
from catalog.models import ImageRole

LENGTHS = {"sku": 200, "title": 300, "category": 200, "brand": 100, "url": 1000, "currency": 3}
MAX_STOCK = 2**31 - 1  # PositiveIntegerField on Postgres
MAX_PRICE = Decimal(10) ** 10
CENT = Decimal("0.01")
ATTRIBUTE = "attr."
OTHER = {"image", "images", "role", "attributes"}


def _bad(column: str, value: str, expected: str) -> BadValue:
    return BadValue(column=column, value=repr(value[:80]), expected=expected)


def text(column: str, value: str) -> str:
    if len(value) > LENGTHS[column]:
        raise _bad(column, value, f"at most {LENGTHS[column]} characters")
    return value


def price(column: str, value: str) -> Decimal:
    try:
        number = Decimal(value.replace(" ", "").replace("\u00a0", ""))
        if not 0 <= number < MAX_PRICE:  # also what is not a number
            raise InvalidOperation
    except InvalidOperation:
        raise _bad(column, value, "a number such as 12.50, not negative") from None
    return number.quantize(CENT)


def stock(column: str, value: str) -> int:
    try:
        number = Decimal(value)
        if number != number.to_integral_value() or not 0 <= number <= MAX_STOCK:
            raise InvalidOperation
    except InvalidOperation:
        raise _bad(column, value, "a whole number, not negative") from None
    return int(number)


def currency(column: str, value: str) -> str:
    if not (len(value) == 3 and value.isascii() and value.isalpha()):
        raise _bad(column, value, "three letters such as EUR")
    return value.upper()


def url(column: str, value: str) -> str:
    if not value.lower().startswith(("http://", "https://")):
        raise _bad(column, value, "an address beginning with http:// or https://")
    return text(column, value)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def attributes(column: str, value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict) or "\\u0000" in value:
        raise _bad(column, value, 'a JSON object such as {"colour": "red"}')
    return parsed


def role(column: str, value: str) -> str:
    if value.lower() not in ImageRole.values:
        raise _bad(column, value, "gallery or query")
    return value.lower()


PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "sku": text,
    "title": text,
    "category": text,
    "brand": text,
    "price": price,
    "currency": currency,
    "stock": stock,
    "url": url,
}


def product_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    """Fields a row states. An empty cell states nothing. Raises BadValue."""
    for column, value in cells.items():
        if "\0" in value:
            raise _bad(column, value, "text without NUL")
    fields = {name: parse(name, cells[name]) for name, parse in PARSERS.items() if cells.get(name)}
    found = attributes("attributes", cells["attributes"]) if cells.get("attributes") else {}
    for column, value in cells.items():
        if value and column not in PARSERS and column not in OTHER:
            found[column.removeprefix(ATTRIBUTE)] = value
    if found:
        fields["attributes"] = found
    return fields
