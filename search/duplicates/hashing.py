"""Perceptual hashes of a collection's pictures, each computed once, and their small copies for a closer look."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from PIL import Image as PillowImage

from catalog.errors import LookalikeError
from catalog.images import THUMBNAIL_SIDE, decode
from catalog.models import Collection, Image, ImageRole
from catalog.services import picture_limits
from search.duplicates.aligning import Small
from search.duplicates.phash import BYTES, perceptual_hash
from search.models import PerceptualHash

logger = logging.getLogger(__name__)

CHUNK = 200
KEPT = 4096  # small copies in memory: 10 kB each
UNREADABLE = bytes(BYTES)  # the hash of nothing; such pictures are compared by nothing but their SHA-256

Progress = Callable[[int, int], None]


def hash_pending(collection: Collection, on_progress: Progress) -> int:
    """Hash the gallery pictures that have no hash yet; how many. Safe to run twice, and to stop at any time."""
    waiting = Image.objects.filter(collection=collection, role=ImageRole.GALLERY, perceptual_hash__isnull=True)
    total, done = waiting.count(), 0
    while chunk := list(waiting.order_by("id").values_list("id", "thumbnail", "file")[:CHUNK]):
        _insert([PerceptualHash(image_id=key, value=_hash_of(thumb or file)) for key, thumb, file in chunk])
        done += len(chunk)
        on_progress(done, max(total, done))
    return done


def _hash_of(name: str) -> bytes:
    try:
        return perceptual_hash(_pixels(name))
    except (LookalikeError, FileNotFoundError) as error:
        logger.warning("%s has no perceptual hash: %s", name, error)
        return UNREADABLE


def _pixels(name: str) -> PillowImage.Image:
    with default_storage.open(name) as file:
        data = file.read()
    return decode(data, min_side=THUMBNAIL_SIDE, limits=picture_limits()).pixels


def _insert(rows: list[PerceptualHash], tries: int = 3) -> None:
    """Insert those whose picture is still there: one may be deleted meanwhile."""
    for left in reversed(range(tries)):
        there = set(Image.objects.filter(pk__in=[row.image_id for row in rows]).values_list("pk", flat=True))
        try:
            with transaction.atomic():
                PerceptualHash.objects.bulk_create(
                    [row for row in rows if row.image_id in there], ignore_conflicts=True
                )
            return
        except IntegrityError:
            if not left:
                raise


class SmallCopies:
    """Small grey copies of pictures by id, the last ones kept; None for a picture that cannot be read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Small | None] = OrderedDict()

    def of(self, image_id: int) -> Small | None:
        if image_id not in self._kept:
            self._kept[image_id] = self._made(image_id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(image_id)
        return self._kept[image_id]

    def _made(self, image_id: int) -> Small | None:
        names = Image.objects.filter(pk=image_id).values_list("thumbnail", "file").first()
        try:
            return Small.of(_pixels(names[0] or names[1])) if names else None
        except (LookalikeError, FileNotFoundError):
            return None
