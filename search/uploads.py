"""Visitors' own pictures: kept for a few days so that a search has an address, then deleted."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from PIL import Image as PillowImage

from catalog.files import SWEEP_AFTER, file_put, files_lock, is_older, listing
from catalog.images import SUFFIXES, decode
from catalog.medicine import query_copy
from catalog.models import Collection
from catalog.services import picture_limits
from search.models import UploadedQuery

FOLDER = "queries"
PREVIEW_SIDE = 1024
QUALITY = 85


def query_upload(collection: Collection, data: bytes) -> UploadedQuery:
    """Store a visitor's picture and a preview without its metadata. Raises PictureError.

    Of a DICOM file the de-identified copy is stored, with the frames to choose from.
    The same bytes in the same collection on the same day are the same row. Files are named by content,
    and a row of another collection may share them; its id is random, so nobody can guess it.
    """
    data = query_copy(data)
    picture = decode(data, limits=picture_limits())
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    name = f"{FOLDER}/{picture.sha256[:2]}/{picture.sha256}"
    files = {f"{name}{SUFFIXES[picture.format]}": data, f"{name}.preview.jpg": _preview(picture.pixels)}
    _put(files)
    same = UploadedQuery.objects.filter(collection=collection, sha256=picture.sha256, created__gte=today)
    if query := same.order_by("created").first():
        return query
    with transaction.atomic():
        files_lock()
        _put(files)  # again beside the row: a purge may have deleted them between
        file, preview = files
        return UploadedQuery.objects.create(
            collection=collection,
            file=file,
            preview=preview,
            sha256=picture.sha256,
            width=picture.width,
            height=picture.height,
        )


def _put(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        file_put(name, data)


def queries_purge(days: int | None = None) -> int:
    """Delete uploads older than QUERY_RETENTION_DAYS, and files no row names. Returns how many rows."""
    keep = settings.QUERY_RETENTION_DAYS if days is None else days
    old = UploadedQuery.objects.filter(created__lt=timezone.now() - timedelta(days=keep))
    names = {name for pair in old.values_list("file", "preview") for name in pair}
    deleted, _ = old.delete()
    drop_unused(names)
    _sweep()
    return deleted


def drop_unused(names: Iterable[str]) -> None:
    """Delete the files that no row names any more: rows of the same bytes share them."""
    with transaction.atomic():
        files_lock(exclusive=True)
        for name in names:
            if not UploadedQuery.objects.filter(Q(file=name) | Q(preview=name)).exists():
                default_storage.delete(name)


def _sweep() -> None:
    """Delete files whose rows went otherwise: with their collection, or just before a process was killed."""
    before = timezone.now() - SWEEP_AFTER  # the row of a young one may be about to be committed
    for folder in listing(FOLDER)[0]:
        place = f"{FOLDER}/{folder}"
        rows = UploadedQuery.objects.filter(sha256__startswith=folder).values_list("file", "preview")
        named = {name for pair in rows for name in pair}
        names = {f"{place}/{name}" for name in listing(place)[1]} - named
        drop_unused(name for name in names if is_older(name, before))


def _preview(pixels: PillowImage.Image) -> bytes:
    small = pixels.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), PillowImage.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)  # a fresh file of pixels alone: no EXIF, no place, no owner
    return buffer.getvalue()
