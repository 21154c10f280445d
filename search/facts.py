"""What business rules may know of pictures, read from the database the same way everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from catalog.models import Image, ImageRole, Product
from search.ranking import Facts

FIELDS = (
    "id",
    "product_id",
    "product__sku",
    "product__stock",
    "product__price",
    "product__category",
    "product__brand",
    "product__attributes",
    "product__created",
)
AT_ONCE = 10_000  # ids of one query: SQLite takes no more than 250,000 parameters
DAY_S = 86_400.0


def facts_of(image: Image) -> Facts:
    """Of a picture whose product was selected with it."""
    product = image.product
    if product is None:
        return Facts()
    return Facts(
        product=product.pk,
        sku=product.sku,
        stock=product.stock,
        price=product.price,
        category=product.category,
        brand=product.brand,
        attributes=product.attributes,
        age_days=_age_days(product.created),
    )


def facts_by_id(ids: Iterable[int], pictures: QuerySet[Image] | None = None) -> dict[int, Facts]:
    """Of those ``pictures`` (all, by default) that exist, by picture id, without reading whole rows."""
    rows = (Image.objects.all() if pictures is None else pictures).order_by()
    wanted, facts = list(ids), dict[int, Facts]()
    for start in range(0, len(wanted), AT_ONCE):
        found = rows.filter(pk__in=wanted[start : start + AT_ONCE]).values_list(*FIELDS)
        facts.update((row[0], _facts(row)) for row in found)
    return facts


def facts_by_sku(collection_id: int, skus: Iterable[str]) -> Mapping[int, Facts]:
    """Of the gallery pictures of these products, by picture id."""
    products = Product.objects.order_by().filter(collection_id=collection_id, sku__in=list(skus))
    # In two steps: as one, SQLite walks through all pictures of the collection.
    keys = list(products.values_list("id", flat=True))
    found = Image.objects.order_by().filter(product_id__in=keys, role=ImageRole.GALLERY).values_list(*FIELDS)
    return {row[0]: _facts(row) for row in found}


def _facts(row: tuple[Any, ...]) -> Facts:
    _, product, sku, stock, price, category, brand, attributes, created = row
    if product is None:
        return Facts()
    return Facts(product, sku, stock, price, category, brand, attributes, _age_days(created))


def _age_days(created: datetime) -> float:
    return max(0.0, (timezone.now() - created).total_seconds() / DAY_S)
