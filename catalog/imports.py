"""Starting an import: check what can be checked at once, keep the upload, make the job's row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db import transaction

from catalog.importers.errors import ImportRefused, PathMissing, UploadTooLarge
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
) -> ImportJob:
    """A queued import of an uploaded CSV, ZIP or .txt of URLs, or (the command's) of a path on this machine.

    An upload that cannot be read at all is refused here and leaves nothing behind. The caller enqueues
    ``catalog.tasks.import_run.delay_on_commit(job.pk)``. Raises an ImportRefused.
    """
    job = ImportJob(collection=collection, created_by=user, role=role)
    if upload is None:
        job.path = str(_checked(Path(path)))
        job.save()
        return job
    if (upload.size or 0) > settings.ARCHIVE_MAX_BYTES:
        raise UploadTooLarge(max_bytes=settings.ARCHIVE_MAX_BYTES)
    name = Path(upload.name or "").name
    if Path(name).suffix.lower() not in SUFFIXES:
        raise ImportRefused
    job.upload.save(name, upload, save=False)
    try:
        with local_copy(job) as copy, open_source(copy, name=name, is_upload=True), transaction.atomic():
            job.save()
    except BaseException:
        job.upload.delete(save=False)
        raise
    return job


def _checked(path: Path) -> Path:
    if not path.name or not path.exists():
        raise PathMissing(path=path)
    if not path.is_dir() and path.suffix.lower() not in SUFFIXES:
        raise ImportRefused
    return path.resolve()
