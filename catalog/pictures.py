"""Pictures of the catalog: added once, announced, deleted with their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction

from catalog.errors import LookalikeError, gettext_noop
from catalog.files import Stored, files_lock, files_remove, picture_keep, picture_store
from catalog.images import THUMBNAIL_SIDE, Limits, Picture, decode
from catalog.models import Collection, Image, ImageRole, Product
from catalog.signals import images_added


class ProductElsewhere(LookalikeError):
    code = "product_elsewhere"
    text = gettext_noop("The product belongs to another collection than the picture.")
    cure = gettext_noop("Give a product of the same collection.")


def picture_limits() -> Limits:
    """The site's limits on pictures, from settings."""
    return Limits(max_bytes=settings.IMAGE_MAX_BYTES, max_pixels=settings.IMAGE_MAX_PIXELS)


def image_add(
    collection: Collection,
    data: bytes,
    *,
    product: Product | None = None,
    role: ImageRole | str = ImageRole.GALLERY,
    source: str = "",
) -> tuple[Image, bool]:
    """Store a picture once. Returns (row, created). Raises PictureError, ProductElsewhere."""
    if product is not None and product.collection_id != collection.pk:
        raise ProductElsewhere
    sha256 = hashlib.sha256(data).hexdigest()
    known = Image.objects.filter(collection=collection, product=product, role=role, sha256=sha256).first()
    if known is not None and known.file.storage.exists(str(known.file.name)):
        return known, False
    picture = decode(data, min_side=THUMBNAIL_SIDE, limits=picture_limits(), sha256=sha256)
    stored = picture_store(picture, data)
    try:
        return _image_row(collection, product, role, source, picture, stored, data)
    except BaseException:
        if not transaction.get_connection().in_atomic_block:  # else the sweep finds them
            files_remove([stored.file, stored.thumbnail])
        raise


def _image_row(
    collection: Collection,
    product: Product | None,
    role: ImageRole | str,
    source: str,
    picture: Picture,
    stored: Stored,
    data: bytes,
) -> tuple[Image, bool]:
    with transaction.atomic():
        files_lock()
        picture_keep(stored, data)
        image, created = Image.objects.get_or_create(
            collection=collection,
            product=product,
            role=role,
            sha256=picture.sha256,
            defaults=image_fields(picture, stored, source),
        )
        if created:
            images_announce(collection, [image.pk])
    return image, created


def image_fields(picture: Picture, stored: Stored, source: str) -> dict[str, Any]:
    """What the row of a stored picture says of it."""
    return {
        "file": stored.file,
        "thumbnail": stored.thumbnail,
        "size": picture.size,
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "source": source[:1000],
    }


def images_announce(collection: Collection, image_ids: Iterable[int]) -> None:
    """Tell the receivers of ``images_added``, inside the transaction that added them."""
    ids = list(image_ids)
    if ids:
        images_added.send(sender=Image, collection=collection, image_ids=ids)


def image_delete(image: Image) -> None:
    """Delete the row, and after commit its files if no other row names them."""
    names = [image.file.name, image.thumbnail.name]
    with transaction.atomic():
        image.delete()
        transaction.on_commit(lambda: files_remove(name for name in names if name))
