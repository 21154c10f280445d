"""Starting an import: check what can be checked at once, keep the upload, make the job's row."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files import File
from django.db import transaction

from catalog.dicom.frames import frames_check
from catalog.dicom.windows import window_choice
from catalog.importers.archive import ZipTree, holds_dicom
from catalog.importers.errors import ArchiveOfDicom, ImportRefused, PathMissing, UploadTooLarge
from catalog.importers.run import local_copy
from catalog.importers.sources import SUFFIXES, open_source
from catalog.models import Collection, ImageRole, ImportJob


def import_create(
    collection: Collection,
    *,
    upload: File[Any] | None = None,
    path: str | Path = "",
    user: Any = None,
    role: ImageRole | str = ImageRole.GALLERY,
    frames: str = "",
    window: str = "",
) -> ImportJob:
    """A queued import of an uploaded CSV, ZIP or .txt of URLs, or (the command's) of a path on this machine.

    An upload that cannot be read at all is refused here and leaves nothing behind; so is an archive of DICOM files,
    which would lie here as they are. ``frames``, ``window``: of DICOM files, see frames_chosen() and window_choice().
    The caller enqueues ``catalog.tasks.import_run.delay_on_commit(job.pk)``. Raises an ImportRefused, BadFrames,
    BadWindow.
    """
    frames = frames_check(frames or "first")
    window = window_choice(window).text
    job = ImportJob(collection=collection, created_by=user, role=role, frames=frames, window=window)
    if upload is None:
        job.path = str(_checked(Path(path)))
        job.save()
        return job
    if (upload.size or 0) > settings.ARCHIVE_MAX_BYTES:
        raise UploadTooLarge(max_bytes=settings.ARCHIVE_MAX_BYTES)
    name = Path(upload.name or "").name
    if Path(name).suffix.lower() not in SUFFIXES:
        raise ImportRefused
    if name.lower().endswith(".zip"):
        _check_archive(upload, name)
    job.upload.save(name, upload, save=False)
    try:
        with local_copy(job) as copy, open_source(copy, name=name, is_upload=True), transaction.atomic():
            job.save()
    except BaseException:
        job.upload.delete(save=False)
        raise
    return job


def _check_archive(upload: File[Any], name: str) -> None:
    """Before a byte of it is stored. Raises ArchiveOfDicom, and what ZipTree does."""
    tree = ZipTree(cast(BinaryIO, upload.file), settings.IMAGE_MAX_BYTES, settings.ARCHIVE_MAX_BYTES, name)
    try:
        if holds_dicom(tree):
            raise ArchiveOfDicom
    finally:
        tree.close()
        upload.seek(0)


def _checked(path: Path) -> Path:
    if not path.name or not path.exists():
        raise PathMissing(path=path)
    if not path.is_dir() and path.suffix.lower() not in SUFFIXES:
        raise ImportRefused
    return path.resolve()
