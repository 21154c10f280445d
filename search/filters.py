"""What a search is narrowed to: category, price, stock and attributes of the product.

Filters turn into the ids a search may return before it runs, so a filter never starves a result.
In an address: ``?category=a&category=b&price_min=5&price_max=10&in_stock=1&attr.color=red``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Self, TypeVar

from django.db.models import F, Model, Q, QuerySet, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, StrIndex
from django.db.models.lookups import GreaterThan
from django.http import QueryDict

from catalog.errors import LookalikeError, gettext_noop

Row = TypeVar("Row", bound=Model)

ATTRIBUTE_PREFIX = "attr."
MAX_PRICE = Decimal(10) ** 10  # what the column holds
MAX_VALUES = 50  # of one filter: longer lists are mistakes or attacks
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


class BadFilter(LookalikeError):
    code = "bad_filter"
    text = gettext_noop("The filter %(name)s cannot be %(value)s.")
    cure = gettext_noop("Write %(expected)s.")


@dataclass(frozen=True)
class Filters:
    """Values of one filter are alternatives; different filters must all hold. Prices are inclusive."""

    categories: tuple[str, ...] = ()
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    in_stock: bool = False
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        prices = self.price_min is not None or self.price_max is not None
        return bool(self.categories or prices or self.in_stock or self.attributes)

    @classmethod
    def from_query(cls, params: QueryDict) -> Self:
        """Read them from an address. Names that are no filters are left alone; raises BadFilter."""
        price_min, price_max = _price(params, "price_min"), _price(params, "price_max")
        if price_min is not None and price_max is not None and price_min > price_max:
            raise BadFilter(name="price_min", value=price_min, expected="a number up to price_max")
        attributes = {
            key.removeprefix(ATTRIBUTE_PREFIX): values
            for key in params
            if key.startswith(ATTRIBUTE_PREFIX) and key != ATTRIBUTE_PREFIX and (values := _values(params, key))
        }
        return cls(
            categories=_values(params, "category"),
            price_min=price_min,
            price_max=price_max,
            in_stock=_flag(params, "in_stock"),
            attributes=attributes,
        )

    def to_query(self) -> list[tuple[str, str]]:
        """The same filters as address parameters, in a fixed order."""
        pairs = [("category", category) for category in self.categories]
        pairs += [("price_min", str(self.price_min))] if self.price_min is not None else []
        pairs += [("price_max", str(self.price_max))] if self.price_max is not None else []
        pairs += [("in_stock", "1")] if self.in_stock else []
        for name, values in sorted(self.attributes.items()):
            pairs += [(f"{ATTRIBUTE_PREFIX}{name}", value) for value in values]
        return pairs

    def apply(self, rows: QuerySet[Row], product: str = "product__") -> QuerySet[Row]:
        """Narrow pictures to those whose product passes. A picture without a product passes no filter.

        ``product``: the way from a row to its product's fields; empty where the rows are products.
        """
        if self.categories:
            rows = rows.filter(**{f"{product}category__in": self.categories})
        if self.price_min is not None:
            rows = rows.filter(**{f"{product}price__gte": self.price_min})
        if self.price_max is not None:
            rows = rows.filter(**{f"{product}price__lte": self.price_max})
        if self.in_stock:
            rows = rows.filter(**{f"{product}stock__gt": 0})
        for number, (name, values) in enumerate(sorted(self.attributes.items())):
            rows = _with_attribute(rows, f"filter_{number}", KeyTextTransform(name, f"{product}attributes"), values)
        return rows


def _with_attribute(
    rows: QuerySet[Row], alias: str, attribute: KeyTextTransform, values: tuple[str, ...]
) -> QuerySet[Row]:
    """Rows whose ``attribute`` is one of ``values``, or is a list that holds one.

    Compared as text, so that 5, "5" and true match what an address says on SQLite and Postgres alike;
    the name travels as a parameter, so that ``__`` in it is never read as a lookup.
    """
    in_list = Q()
    for value in values:
        for element in {json.dumps(value), json.dumps(value, ensure_ascii=False)}:  # stored either way
            # Not __contains: that is LIKE, which tells no capitals from small letters on SQLite.
            in_list |= Q(GreaterThan(StrIndex(F(alias), Value(element)), 0))
    holds = Q(**{f"{alias}__in": values}) | (Q(**{f"{alias}__startswith": "["}) & in_list)
    passing: QuerySet[Row] = rows.alias(**{alias: Cast(attribute, TextField())}).filter(holds)
    return passing


def _values(params: QueryDict, name: str) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(value for value in params.getlist(name) if value))
    if len(values) > MAX_VALUES:
        raise BadFilter(name=name, value=f"{len(values)} values", expected=f"at most {MAX_VALUES}")
    if any("\0" in value for value in (name, *values)):
        raise BadFilter(name=name.replace("\0", ""), value="text with a NUL in it", expected="plain text")
    return values


def _price(params: QueryDict, name: str) -> Decimal | None:
    value = params.get(name, "").strip()
    if not value:
        return None
    try:
        price = Decimal(value)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or not 0 <= price <= MAX_PRICE:
        raise BadFilter(name=name, value=repr(value), expected="a number such as 12.50")
    return price


def _flag(params: QueryDict, name: str) -> bool:
    value = params.get(name, "").strip().lower()
    if value not in _YES | _NO:
        raise BadFilter(name=name, value=repr(value), expected="1 or 0")
    return value in _YES
