"""The filters of a results page: what may be chosen, what is chosen, and what to loosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from django.http import QueryDict
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from catalog.facets import Facets
from catalog.models import Image, ImageRole
from search.filters import ATTRIBUTE_PREFIX, Filters
from search.web.asked import Asked
from search.web.cards import attribute_label, category

SHOWN = 7  # options of a group before 'more'
MOST = 200  # options of a group at all


@dataclass(frozen=True)
class Option:
    value: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class Group:
    """Checkboxes of one name; ``rest`` is folded away."""

    name: str
    label: str
    first: list[Option]
    rest: list[Option]
    active: bool


@dataclass(frozen=True)
class Narrowing:
    """All that the filter form shows. Prices are as typed, so that a refused one is not lost."""

    groups: list[Group]
    price_min: str
    price_max: str
    price_floor: str  # the catalog's own range, shown as a hint
    price_ceiling: str
    has_price: bool
    has_stock: bool
    in_stock: bool

    @property
    def offers(self) -> bool:
        return bool(self.groups or self.has_price or self.has_stock)


@dataclass(frozen=True)
class Chip:
    """One chosen filter, the address without it, and the filters that would be left."""

    label: str
    href: str
    left: Filters


def narrowing(facets: Facets, params: QueryDict) -> Narrowing:
    """The form, from the collection's facets and what the address has chosen of them."""
    groups = [_group("category", _("Category"), facets.categories, params.getlist("category"))]
    for name, values in facets.attributes.items():
        key = f"{ATTRIBUTE_PREFIX}{name}"
        groups.append(_group(key, attribute_label(name), values, params.getlist(key)))
    low, high = facets.price or (None, None)
    return Narrowing(
        groups=[group for group in groups if group.first],
        price_min=params.get("price_min", ""),
        price_max=params.get("price_max", ""),
        price_floor="" if low is None else number_format(math.floor(low), 0, force_grouping=True),
        price_ceiling="" if high is None else number_format(math.ceil(high), 0, force_grouping=True),
        has_price=facets.price is not None or bool(params.get("price_min") or params.get("price_max")),
        has_stock=facets.has_stock or bool(params.get("in_stock")),
        in_stock=params.get("in_stock", "").lower() in {"1", "true", "yes", "on"},
    )


def _group(name: str, label: str, counts: Iterable[tuple[str, int]], chosen: list[str]) -> Group:
    """Chosen options come first and are there even where the facets no longer know them."""
    known = [(value, count) for value, count in counts if value][:MOST]
    missing = [(value, 0) for value in dict.fromkeys(chosen) if value and value not in dict(known)]
    say = category if name == "category" else str
    options = [Option(value, say(value), count, value in chosen) for value, count in [*missing, *known]]
    options.sort(key=lambda option: not option.chosen)
    first = options[: max(SHOWN, sum(option.chosen for option in options))]
    rest = options[len(first) :]
    if len(rest) == 1:  # a fold that hides one line is longer than the line
        first, rest = options, []
    return Group(name, label, first, rest, bool(chosen))


def chips(asked: Asked) -> list[Chip]:
    """The chosen filters, each with the address that takes it away."""
    return [Chip(label, asked.href(filters=left), left) for label, left in _without_each(asked.filters)]


def _without_each(filters: Filters) -> Iterator[tuple[str, Filters]]:
    for value in filters.categories:
        left = tuple(other for other in filters.categories if other != value)
        yield category(value), replace(filters, categories=left)
    if filters.price_min is not None:
        yield _("from %(price)s") % {"price": _plain(filters.price_min)}, replace(filters, price_min=None)
    if filters.price_max is not None:
        yield _("up to %(price)s") % {"price": _plain(filters.price_max)}, replace(filters, price_max=None)
    if filters.in_stock:
        yield _("In stock"), replace(filters, in_stock=False)
    for name, values in filters.attributes.items():
        for value in values:
            kept = tuple(other for other in values if other != value)
            rest = {key: kept if key == name else other for key, other in filters.attributes.items()}
            label = _("%(name)s: %(value)s") % {"name": attribute_label(name), "value": value}
            yield label, replace(filters, attributes={key: left for key, left in rest.items() if left})


def _plain(number: Decimal) -> str:
    return number_format(number, force_grouping=True)


def loosen(asked: Asked) -> list[tuple[Chip, int]]:
    """For an empty result: each filter whose removal would leave pictures, and how many, most first."""
    gallery = Image.objects.filter(collection=asked.collection, role=ImageRole.GALLERY)
    counted = [(chip, chip.left.apply(gallery).count()) for chip in chips(asked)]
    return sorted(((chip, count) for chip, count in counted if count), key=lambda pair: -pair[1])
