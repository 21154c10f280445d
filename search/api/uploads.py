"""Bodies: how large they may be, checked before they are read, and pictures by upload or URL."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request

from catalog.fetch import BlockedAddress, fetch
from catalog.images import BrokenPicture, UnsupportedFormat
from search.api.errors import UploadTooLarge

# what whoever sends a picture may be told, for the schema
PICTURE_REFUSALS = (
    BrokenPicture(),
    BlockedAddress(),
    UnsupportedFormat(),
)
FORM_OVERHEAD = 64 * 1024  # the other fields of a form and its boundaries


def body_check(request: Request, file_limit: int) -> None:
    """Refuse a body by its declared length: Django never reads past that, so it binds. Raises UploadTooLarge.

    ``file_limit``: bytes of the largest file this address takes, 0 if it takes none.
    """
    limit = int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    if file_limit and (request.content_type or "").startswith("multipart/"):
        limit = file_limit + FORM_OVERHEAD
    size = int(request.META.get("CONTENT_LENGTH") or 0)
    if size > limit:
        raise UploadTooLarge(size=size, limit=file_limit or limit)


def picture_read(upload: UploadedFile[Any] | None, url: str) -> bytes:
    """The bytes of an uploaded or named picture, at most IMAGE_MAX_BYTES. Raises UploadTooLarge, FetchError."""
    if upload is None:
        return fetch(
            url,
            max_bytes=settings.IMAGE_MAX_BYTES,
            timeout_s=settings.FETCH_TIMEOUT_S,
            allow_private=settings.FETCH_ALLOW_PRIVATE,
        )
    size = upload.size or 0
    if size > settings.IMAGE_MAX_BYTES:
        raise UploadTooLarge(size=size, limit=settings.IMAGE_MAX_BYTES)
    data: bytes = upload.read()
    return data
