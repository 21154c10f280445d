"""Which picture of a group is the best one: the most detail, not the most pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image as PillowImage

from catalog.errors import LookalikeError
from catalog.images import decode
from catalog.models import Image
from catalog.services import picture_limits

STEPS = (0.25, 0.35, 0.5, 0.71)  # shares of the side
UNSEEN = 1.5  # grey levels, root mean square: a loss nobody sees
ROUGHLY = 1.1  # as much detail: then bytes decide, for stronger compression loses what is not measured here
MOST = 2048  # pixels of a side that are looked at


def best_of(images: Sequence[Image]) -> Image | None:
    """The one with the most pixels that say something; of near equals the one with the most bytes, then the oldest."""
    if not images:
        return None
    details = {image.pk: detail(image) for image in images}
    most = max(details.values())
    near = [image for image in images if details[image.pk] * ROUGHLY >= most]
    return min(near, key=lambda image: (-image.size, image.pk))


def detail(image: Image) -> float:
    """Pixels of the smallest size that shows as much: an enlarged picture counts as what it was enlarged from."""
    try:
        with default_storage.open(str(image.file.name)) as file:
            pixels = decode(file.read(), min_side=MOST, limits=picture_limits()).pixels
    except (LookalikeError, OSError):
        return 0.0
    return image.width * image.height * _share(pixels.convert("L")) ** 2


def _share(grey: PillowImage.Image) -> float:
    grey.thumbnail((MOST, MOST), PillowImage.Resampling.BOX)
    whole = np.asarray(grey, np.float32)
    return next((step for step in STEPS if _loss(grey, whole, step) < UNSEEN), 1.0)


def _loss(grey: PillowImage.Image, whole: np.ndarray[tuple[int, int], np.dtype[np.float32]], step: float) -> float:
    """Root mean square of what shrinking to ``step`` loses."""
    size = max(1, round(grey.width * step)), max(1, round(grey.height * step))
    small = grey.resize(size, PillowImage.Resampling.LANCZOS)
    again = np.asarray(small.resize(grey.size, PillowImage.Resampling.BICUBIC), np.float32)
    return float(np.sqrt(np.mean((whole - again) ** 2)))
