"""Collections with duplicates in them: drawn pictures, saved again, cut, scaled; all stored by the real services."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image as PillowImage

from catalog.models import Collection, Image
from search.duplicates.scans import scan_create, scan_run
from search.models import DuplicateGroup, DuplicateScan
from tests.factories import ImageFactory, ProductFactory, draw

SIZE = (400, 300)


def saved(pixels: PillowImage.Image, format: str = "JPEG", **save: Any) -> bytes:
    buffer = io.BytesIO()
    pixels.save(buffer, format, **save)
    return buffer.getvalue()


def original(seed: int) -> bytes:
    return saved(draw(seed, SIZE), quality=92)


def again(seed: int, quality: int = 60) -> bytes:
    """The same picture, compressed more."""
    return saved(draw(seed, SIZE), quality=quality)


def smaller(seed: int) -> bytes:
    return saved(draw(seed, SIZE).resize((200, 150)))


def cut(seed: int) -> bytes:
    return saved(draw(seed, SIZE).crop((20, 10, 390, 295)))


def add(collection: Collection, data: bytes, **fields: Any) -> Image:
    """A picture of a product of its own, unless ``product`` is given (None: of none)."""
    if "product" not in fields:
        fields["product"] = ProductFactory(collection=collection)
    return ImageFactory(collection=collection, data=data, **fields)


def scan(collection: Collection, **options: Any) -> DuplicateScan:
    done = scan_run(scan_create(collection, **options).pk)
    assert done.state == DuplicateScan.State.DONE, done.error
    return done


def members(collection: Collection) -> list[set[int]]:
    """The pictures of each open group, by the group's id."""
    groups = DuplicateGroup.objects.filter(collection=collection, state=DuplicateGroup.State.OPEN).order_by("id")
    return [set(group.members.values_list("image_id", flat=True)) for group in groups]
