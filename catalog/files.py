"""Content-addressed picture files in Django's default storage.

A name says what is in the file, so a file is written once, never changed, and shared by every row of
the same bytes. It is deleted when no row names it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from catalog.images import SUFFIXES, Picture, thumbnail
from catalog.models import Image, ImportJob

IMAGES, THUMBNAILS, IMPORTS = "images", "thumbnails", "imports"
SWEEP_AFTER = timedelta(hours=1)
_LOCK = 0x1007A11  # one advisory lock: a row that names a file against the deletion of that file


@dataclass(frozen=True)
class Stored:
    """The two files of a picture; ``thumbnail_data`` and the bytes are kept until its row is committed."""

    file: str
    thumbnail: str
    thumbnail_data: bytes


def picture_store(picture: Picture, data: bytes) -> Stored:
    """Write a picture and its thumbnail, each whole or not at all."""
    folder = picture.sha256[:2]
    stored = Stored(
        f"{IMAGES}/{folder}/{picture.sha256}{SUFFIXES[picture.format]}",
        f"{THUMBNAILS}/{folder}/{picture.sha256}.webp",
        thumbnail(picture.pixels),
    )
    picture_keep(stored, data)
    return stored


def picture_keep(stored: Stored, data: bytes) -> None:
    """Make sure both files are there; called again beside the row, in case they were deleted between."""
    file_put(stored.file, data)
    file_put(stored.thumbnail, stored.thumbnail_data)


def file_put(name: str, data: bytes) -> None:
    """Write a content-addressed file unless it is there already, atomically on a file system."""
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:  # object storage: a put is atomic
        if not default_storage.exists(name):
            default_storage.save(name, ContentFile(data))
        return
    try:
        if path.stat().st_size == len(data):
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    _write_atomically(path, data)


def _write_atomically(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{uuid4().hex}.part")
    try:
        partial.write_bytes(data)
        if settings.FILE_UPLOAD_PERMISSIONS is not None:
            partial.chmod(settings.FILE_UPLOAD_PERMISSIONS)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def files_lock(*, exclusive: bool = False) -> None:
    """Inside a transaction: keep files from being deleted (or, exclusive, from being named) until it ends.

    SQLite needs nothing: its write transactions (BEGIN IMMEDIATE) already wait for each other.
    """
    if connection.vendor == "postgresql":
        function = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [_LOCK])


def files_remove(names: Iterable[str]) -> int:
    """Delete those of the files that no row names. Returns how many."""
    removed = 0
    with transaction.atomic():
        files_lock(exclusive=True)
        for name in set(names) - {""}:
            if not Image.objects.filter(Q(file=name) | Q(thumbnail=name)).exists():
                default_storage.delete(name)
                removed += 1
    return removed


def files_sweep(older_than: timedelta = SWEEP_AFTER) -> int:
    """Delete picture and import files that no row names: left by deleted collections, or by a kill.

    Young files are spared: their row may be about to be committed. Returns how many were deleted.
    """
    before = timezone.now() - older_than
    removed = 0
    for top in (IMAGES, THUMBNAILS):
        for folder in listing(top)[0]:
            names = [f"{top}/{folder}/{name}" for name in listing(f"{top}/{folder}")[1]]
            named = _named_pictures(f"{top}/{folder}/", top)
            removed += files_remove(name for name in names if name not in named and is_older(name, before))
    named = {name for pair in ImportJob.objects.values_list("upload", "report") for name in pair}
    for name in listing(IMPORTS)[1]:
        if f"{IMPORTS}/{name}" not in named and is_older(f"{IMPORTS}/{name}", before):
            default_storage.delete(f"{IMPORTS}/{name}")
            removed += 1
    return removed


def _named_pictures(prefix: str, top: str) -> set[str]:
    field = "file" if top == IMAGES else "thumbnail"
    sha = prefix.rstrip("/").rsplit("/", 1)[1]
    return set(Image.objects.filter(sha256__startswith=sha).values_list(field, flat=True))


def listing(folder: str) -> tuple[list[str], list[str]]:
    """Names of a folder's folders and files; none where there is no such folder."""
    try:
        return default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []


def is_older(name: str, before: datetime) -> bool:
    """Whether a file was last written before that; false if it is gone."""
    try:
        return default_storage.get_modified_time(name) < before
    except FileNotFoundError:
        return False
