"""What a collection can be filtered by, counted from the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Count, Exists, Max, Min, OuterRef, QuerySet

from catalog.models import Collection, Image, ImageRole, Product

CACHE_S = 60
MAX_CATEGORIES = 200
MAX_ATTRIBUTES = 12
MAX_VALUES = 30
TOO_MANY_VALUES = 500  # of one attribute: an identifier, not something to filter by


@dataclass(frozen=True)
class Facets:
    """Categories and attribute values with their numbers of products, most frequent first."""

    categories: list[tuple[str, int]] = field(default_factory=list)
    attributes: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    price: tuple[Decimal, Decimal] | None = None
    has_stock: bool = False


def facets(collection: Collection) -> Facets:
    """Facets over products with at least one gallery picture; up to 60 seconds old."""
    key = f"catalog.facets.{collection.pk}"
    found: Facets | None = cache.get(key)
    if found is None:
        found = facets_count(collection)
        cache.set(key, found, CACHE_S)
    return found


def facets_count(collection: Collection) -> Facets:
    pictures = Image.objects.filter(product=OuterRef("pk"), role=ImageRole.GALLERY)
    products = Product.objects.filter(Exists(pictures), collection=collection).order_by()
    prices = products.aggregate(low=Min("price"), high=Max("price"))
    return Facets(
        categories=_categories(products),
        attributes=count_attributes(products.exclude(attributes={}).values_list("attributes", flat=True).iterator()),
        price=None if prices["low"] is None else (prices["low"], prices["high"]),
        has_stock=products.filter(stock__isnull=False).exists(),
    )


def _categories(products: QuerySet[Product]) -> list[tuple[str, int]]:
    counted = products.exclude(category="").values_list("category").annotate(n=Count("id")).order_by("-n", "category")
    return [(str(category), int(n)) for category, n in counted[:MAX_CATEGORIES]]


def count_attributes(rows: Iterable[Mapping[str, object]]) -> dict[str, list[tuple[str, int]]]:
    """The attributes most products have; only text values, for these are what filters compare."""
    counters: dict[str, Counter[str]] = {}
    for attributes in rows:
        for name, value in attributes.items():
            if isinstance(value, str) and value:
                counters.setdefault(name, Counter())[value] += 1
    useful = {name: counter for name, counter in counters.items() if len(counter) <= TOO_MANY_VALUES}
    names = sorted(useful, key=lambda name: (-useful[name].total(), name))[:MAX_ATTRIBUTES]
    return {name: sorted(useful[name].items(), key=lambda item: (-item[1], item[0]))[:MAX_VALUES] for name in names}
