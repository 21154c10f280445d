"""Products of the catalog, one by one (importers/batch.py does many)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Collection, Product


class BadProduct(LookalikeError):
    code = "bad_product"
    text = gettext_noop("The product is not valid: %(problem)s")
    cure = gettext_noop("Correct the value and send it again.")


def product_upsert(collection: Collection, sku: str, **fields: Any) -> tuple[Product, bool]:
    """Make or change the product of this SKU; fields not given stay. Returns (row, created). Raises BadProduct."""
    try:
        return _product_upsert(collection, sku, fields)
    except IntegrityError:  # someone else made it at the same moment
        return _product_upsert(collection, sku, fields)


def _product_upsert(collection: Collection, sku: str, fields: dict[str, Any]) -> tuple[Product, bool]:
    with transaction.atomic():
        product = Product.objects.select_for_update().filter(collection=collection, sku=sku).first()
        created = product is None
        product = product or Product(collection=collection, sku=sku)
        for name, value in fields.items():
            setattr(product, name, value)
        try:
            product.full_clean(exclude=["collection"], validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            problems = [f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items()]
            raise BadProduct(problem="; ".join(problems)) from error
        product.save()
    return product, created
