"""Pictures of the catalog: added once, announced, deleted with their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction

from catalog.errors import LookalikeError, gettext_noop
from catalog.files import Stored, files_lock, files_remove, picture_keep, picture_store
from catalog.images import THUMBNAIL_SIDE, Picture, decode
from catalog.medicine import Taken, frames_known, frames_save, picture_limits, prune, take_in
from catalog.models import Collection, DicomStudy, Image, ImageRole, Product
from catalog.signals import images_added


class ProductElsewhere(LookalikeError):
    code = "product_elsewhere"
    text = gettext_noop("The product belongs to another collection than the picture.")
    cure = gettext_noop("Give a product of the same collection.")


def image_add(
    collection: Collection,
    data: bytes,
    *,
    product: Product | None = None,
    role: ImageRole | str = ImageRole.GALLERY,
    source: str = "",
    frame: str = "",
    window: str = "",
) -> tuple[Image, bool]:
    """Store a picture once. Returns (row, created). Raises PictureError, ProductElsewhere.

    ``frame``, ``window``: of a DICOM file, see take_in(). Where such a file came from is not kept: its name may be a
    patient's.
    """
    if product is not None and product.collection_id != collection.pk:
        raise ProductElsewhere
    taken = take_in(data, frame=frame, window=window)
    if taken.header is None:
        return _add(collection, taken, product, role, source)
    sku = product.sku if product else ""
    pk, file = frames_known(collection, [taken.origin]).get((str(role), sku, taken.origin), (None, ""))
    if pk is not None and default_storage.exists(file):
        return Image.objects.get(pk=pk), False
    return _add(collection, taken, product, role, "")


def _add(
    collection: Collection, taken: Taken, product: Product | None, role: ImageRole | str, source: str
) -> tuple[Image, bool]:
    data = taken.data
    sha256 = hashlib.sha256(data).hexdigest()
    known = Image.objects.filter(collection=collection, product=product, role=role, sha256=sha256).first()
    if known is not None and known.file.storage.exists(str(known.file.name)):
        return known, False
    picture = decode(data, min_side=THUMBNAIL_SIDE, limits=picture_limits(), sha256=sha256)
    stored = picture_store(picture, data)
    try:
        return _image_row(collection, product, role, source, picture, stored, taken)
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
    taken: Taken,
) -> tuple[Image, bool]:
    with transaction.atomic():
        files_lock()
        picture_keep(stored, taken.data)
        image, created = Image.objects.get_or_create(
            collection=collection,
            product=product,
            role=role,
            sha256=picture.sha256,
            defaults=image_fields(picture, stored, source),
        )
        if created:
            frames_save(collection, [(image, taken.header, taken.origin)])
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
        studies = list(DicomStudy.objects.filter(series__dicom_frames__image=image).values_list("pk", flat=True))
        image.delete()
        prune(studies)
        transaction.on_commit(lambda: files_remove(name for name in names if name))
