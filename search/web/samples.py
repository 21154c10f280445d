"""A handful of a collection's pictures, spread over it, to show what is inside and to try with."""

from __future__ import annotations

from django.core.cache import cache
from django.db.models import Max, Min

from catalog.models import Collection, Image, ImageRole

KEEP_S = 300


def samples(collection: Collection, count: int) -> list[Image]:
    """Up to ``count`` gallery pictures from evenly spaced places; deleted ones are never shown."""
    key = f"web:samples:{collection.pk}:{count}"
    ids: list[int] | None = cache.get(key)
    if not ids:  # an empty collection is looked at afresh, so that its first pictures show at once
        ids = _spread(collection, count)
        cache.set(key, ids, KEEP_S)
    found = Image.objects.filter(collection=collection, role=ImageRole.GALLERY).select_related("product").in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]


def picture_count(collection: Collection) -> int:
    """How many pictures are searched; counted at most once a minute."""
    key = f"web:count:{collection.pk}"
    count: int | None = cache.get(key)
    if not count:
        count = Image.objects.filter(collection=collection, role=ImageRole.GALLERY).count()
        cache.set(key, count, 60)
    return count


def _spread(collection: Collection, count: int) -> list[int]:
    """The first picture at or after each of ``count`` points between the lowest id and the highest."""
    gallery = Image.objects.filter(collection=collection, role=ImageRole.GALLERY)
    ends = gallery.aggregate(low=Min("id"), high=Max("id"))
    if ends["low"] is None:
        return []
    step = (ends["high"] - ends["low"] + 1) / count
    ids = [
        gallery.filter(id__gte=int(ends["low"] + (number + 0.5) * step) if number else ends["low"])
        .order_by("id")
        .values_list("id", flat=True)
        .first()
        for number in range(count)
    ]
    return list(dict.fromkeys(pk for pk in ids if pk is not None))
