"""Pictures of a collection, read from their files as an extractor wants them, for what is measured on a few of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.files.storage import default_storage

from catalog.images import PictureError, decode
from catalog.models import Image
from catalog.services import picture_limits
from search.extraction.extractor import Extractor
from search.extraction.preprocess import Pixels


def pixels_of(ids: Sequence[int], extractor: Extractor) -> Iterator[tuple[int, Pixels]]:
    """Id and uint8 (side, side, 3) of each picture that can be read, in the order of ``ids``."""
    limits = picture_limits()
    for start in range(0, len(ids), 500):  # SQLite takes so many values in one question
        part = ids[start : start + 500]
        files = dict(Image.objects.filter(pk__in=part).values_list("pk", "file"))
        for image_id in part:
            try:
                with default_storage.open(files.get(image_id, "deleted")) as file:
                    picture = decode(file.read(), min_side=extractor.min_side, limits=limits)
            except (FileNotFoundError, PictureError):
                continue
            yield image_id, extractor.prepare(picture.pixels)
