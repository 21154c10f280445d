"""One batch of an import: read and hash, decode and store what is new, then one transaction for all rows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from catalog.dicom.signature import HEAD, is_dicom, is_dicom_name
from catalog.errors import LookalikeError
from catalog.files import Stored, files_lock, picture_keep, picture_store
from catalog.images import THUMBNAIL_SIDE, Limits, Picture, check_size, decode
from catalog.importers.errors import UnexpectedRowError, unnamed
from catalog.importers.rows import Row
from catalog.medicine import HIDDEN, PendingFrame, frames_known, frames_save, frames_taken
from catalog.models import Collection, Image, Product
from catalog.pictures import image_fields, images_announce

if TYPE_CHECKING:
    from catalog.dicom.stored import Header

logger = logging.getLogger(__name__)

Key = tuple[str, str, str]  # role, SKU ("" without product), SHA-256


@dataclass
class Item:
    """A row on its way: each stage fills in what it found out, the first error ends it.

    A DICOM file is an item for each chosen frame; ``row`` then says nothing of where it came from, ``given`` does.
    """

    row: Row
    role: str
    given: Row | None = None
    frame: PendingFrame | None = None
    header: Header | None = None
    is_hidden: bool = False
    data: bytes = b""
    sha256: str = ""
    picture: Picture | None = None
    stored: Stored | None = None
    image_id: int | None = None
    created: bool = False
    error: LookalikeError | None = None

    @property
    def key(self) -> Key:
        return self.role, self.row.sku, self.sha256

    @property
    def shown(self) -> str:
        """Where it came from, for the report and the log; the name of a DICOM file is not for them."""
        return HIDDEN if self.is_hidden else self.row.source


def read(item: Item, limits: Limits, frames: str = "", window: str = "") -> list[Item]:
    """Read and hash (runs in a thread). What is known already needs no more than that. One item, or one a frame."""
    item.is_hidden = is_dicom_name(item.row.source)
    try:
        item.data = item.row.read()
        check_size(len(item.data), limits)
        if is_dicom(item.data[:HEAD]):
            item.is_hidden = True
            data, item.data = item.data, b""
            return _frames(item, frames_taken(data, frames, window))
        item.sha256 = hashlib.sha256(item.data).hexdigest()
    except Exception as error:
        fail(item, error)
    return [item]


def _frames(item: Item, frames: list[PendingFrame]) -> list[Item]:
    """What a file's or folder's name said is dropped, what a table says is kept. A product is a series."""
    row = item.row
    made: list[Item] = []
    for frame in frames:
        named = replace(row, source="", size=frame.size)
        if row.defaults:
            named = replace(named, sku=f"series-{frame.series[:16]}", fields=_fields(frame), defaults={})
        made.append(Item(named, item.role, given=row, frame=frame, is_hidden=True))
    return made


def _fields(frame: PendingFrame) -> dict[str, Any]:
    parts = [part for part in (frame.modality, frame.body_part) if part]
    attributes = {"modality": frame.modality, **({"body_part": frame.body_part} if frame.body_part else {})}
    return {"title": " ".join(parts), "category": "/".join(parts), "attributes": attributes}


def store(item: Item, limits: Limits) -> Item:
    """Decode, and write picture and thumbnail (runs in a thread)."""
    try:
        if item.frame:
            copy = item.frame.make()
            item.data, item.header = copy.data, copy.header
            item.sha256 = hashlib.sha256(item.data).hexdigest()
        item.picture = decode(item.data, min_side=THUMBNAIL_SIDE, limits=limits, sha256=item.sha256)
        item.stored = picture_store(item.picture, item.data)
        item.picture.pixels.close()
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a full disk is not this row's fault
        fail(item, error)
    return item


def fail(item: Item, error: Exception) -> None:
    """One bad row never ends an import; what nobody foresaw is logged with its traceback besides."""
    if isinstance(error, LookalikeError):
        item.error = unnamed(error, HIDDEN) if item.is_hidden else error
        return
    if item.is_hidden:  # what broke on a DICOM file may quote it
        logger.error("import of %s failed: %s", HIDDEN, type(error).__name__)
        item.error = UnexpectedRowError(problem=type(error).__name__)
        return
    logger.error("import of %s failed", item.row.source, exc_info=error)
    item.error = UnexpectedRowError(problem=f"{type(error).__name__}: {error}"[:200])


def find_known_remote(collection: Collection, items: Sequence[Item]) -> None:
    """Mark the rows whose URL has been imported before: they are not fetched again."""
    remote = {item.row.source for item in items if item.row.is_remote}
    if not remote:
        return
    images = Image.objects.filter(collection=collection, source__in=remote)
    found = {
        (role, sku or "", source): pk
        for role, sku, source, pk in images.values_list("role", "product__sku", "source", "id")
    }
    for item in items:
        if item.row.is_remote:
            item.image_id = found.get((item.role, item.row.sku, item.row.source))


def find_known(collection: Collection, items: Sequence[Item]) -> None:
    """Mark the rows whose very bytes are in the catalog already, file and all."""
    hashes = {item.sha256 for item in items if item.sha256}
    images = Image.objects.filter(collection=collection, sha256__in=hashes)
    rows = images.values_list("role", "product__sku", "sha256", "id", "file")
    found = {(role, sku or "", sha256): (pk, file) for role, sku, sha256, pk, file in rows}
    for item in items:
        pk, file = found.get(item.key, (None, ""))
        if pk is not None and default_storage.exists(file):
            item.image_id = pk


def find_known_frames(collection: Collection, items: Sequence[Item]) -> None:
    """Mark the frames of DICOM files that were imported before: they are not decoded again."""
    frames = {item.frame.origin for item in items if item.frame}
    found = frames_known(collection, frames) if frames else {}
    for item in items:
        origin = item.frame.origin if item.frame else ""
        pk, file = found.get((item.role, item.row.sku, origin), (None, ""))
        if pk is not None and default_storage.exists(file):
            item.image_id = pk


def write(collection: Collection, items: Sequence[Item]) -> list[int]:
    """All good rows in one transaction: products, pictures, announcement. Returns the new pictures' ids."""
    with transaction.atomic():
        files_lock()
        for item in items:
            if item.stored:
                picture_keep(item.stored, item.data)
        products = products_upsert(collection, [item.row for item in items])
        known = _known_ids(collection, items)
        new: dict[Key, Image] = {}
        for item in items:
            if item.image_id is None and item.key not in known and item.key not in new:
                new[item.key] = _image(collection, products.get(item.row.sku), item)
        Image.objects.bulk_create(new.values())
        frames_save(collection, _headers(items, new))
        added = [image.pk for image in new.values()]
        images_announce(collection, added)
    _settle(items, known, new)
    return added


def _headers(items: Sequence[Item], new: dict[Key, Image]) -> Iterator[tuple[Image, Header | None, str]]:
    """Of each new picture once, from the first item of its key."""
    left = dict(new)
    for item in items:
        image = left.pop(item.key, None)
        if image is not None and item.frame:
            yield image, item.header, item.frame.origin


def _known_ids(collection: Collection, items: Sequence[Item]) -> dict[Key, int]:
    hashes = {item.sha256 for item in items if item.stored}
    images = Image.objects.filter(collection=collection, sha256__in=hashes)
    rows = images.values_list("role", "product__sku", "sha256", "id")
    return {(role, sku or "", sha256): pk for role, sku, sha256, pk in rows}


def _settle(items: Sequence[Item], known: dict[Key, int], new: dict[Key, Image]) -> None:
    for item in items:
        if item.image_id is None:
            image = new.get(item.key)
            item.image_id = image.pk if image else known[item.key]
            item.created = image is not None
            new.pop(item.key, None)
            known[item.key] = item.image_id


def _image(collection: Collection, product: Product | None, item: Item) -> Image:
    assert item.picture is not None
    assert item.stored is not None
    return Image(
        collection=collection,
        product=product,
        role=item.role,
        sha256=item.sha256,
        **image_fields(item.picture, item.stored, item.row.source),
    )


def products_upsert(collection: Collection, rows: Iterable[Row]) -> dict[str, Product]:
    """The products of the rows by SKU, made or brought up to date with one query each way."""
    stated: dict[str, dict[str, Any]] = {}
    guessed: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.sku:
            stated.setdefault(row.sku, {}).update(row.fields)
            guessed.setdefault(row.sku, {}).update(row.defaults)
    # Locked, for _update writes one set of fields to all: it would undo what someone changes meanwhile.
    there = Product.objects.select_for_update().filter(collection=collection, sku__in=stated)
    products = {product.sku: product for product in there}
    new = [
        Product(collection=collection, sku=sku, **{**guessed[sku], **fields})
        for sku, fields in stated.items()
        if sku not in products
    ]
    _update([(product, stated[sku]) for sku, product in products.items()])
    products.update({product.sku: product for product in Product.objects.bulk_create(new)})
    return products


def _update(pairs: Sequence[tuple[Product, dict[str, Any]]]) -> None:
    changed = [
        (product, fields)
        for product, fields in pairs
        if any(getattr(product, name) != value for name, value in fields.items())
    ]
    names = {"updated"}.union(*(fields for _, fields in changed))
    for product, fields in changed:
        product.updated = timezone.now()  # auto_now does not reach bulk_update
        for name, value in fields.items():
            setattr(product, name, value)
    if changed:
        Product.objects.bulk_update([product for product, _ in changed], sorted(names))
