"""What visitors send: a picture, or the address of one; and a box of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog.errors import LookalikeError, gettext_noop
from catalog.fetch import fetch
from catalog.images import TooManyBytes

FORM_OVERHEAD = 64 * 1024  # the other fields of a form and its boundaries
MOST_READ_AWAY = 256 * 1024 * 1024
CHUNK = 1024 * 1024


class NoPicture(LookalikeError):
    code = "no_picture"
    text = gettext_noop("There was no picture in what you sent.")
    cure = gettext_noop("Choose a file, or give the address of a picture.")


class MalformedBox(LookalikeError):
    code = "bad_box"
    text = gettext_noop("The box %(box)s cannot be read.")
    cure = gettext_noop("Write it as x,y,width,height in pixels of the picture.")


class QueryForm(forms.Form):
    """A picture by file, by camera or by address. The first that is there counts."""

    file = forms.FileField(label=_("Picture"), required=False, allow_empty_file=True)
    photo = forms.FileField(label=_("Photo"), required=False, allow_empty_file=True)
    url = forms.CharField(label=_("Address of a picture"), required=False, max_length=4000)

    def data_bytes(self) -> bytes:
        """The bytes of the picture. Raises NoPicture, TooManyBytes or a FetchError."""
        self.is_valid()
        if sent := self.cleaned_data.get("file") or self.cleaned_data.get("photo"):
            return _read(sent)
        if url := self.cleaned_data.get("url"):
            return fetch(
                url,
                max_bytes=settings.IMAGE_MAX_BYTES,
                timeout_s=settings.FETCH_TIMEOUT_S,
                allow_private=settings.FETCH_ALLOW_PRIVATE,
            )
        raise NoPicture


def too_large() -> TooManyBytes:
    return TooManyBytes(max_bytes=settings.IMAGE_MAX_BYTES)


def body_check(request: HttpRequest) -> None:
    """Refuse a body by its declared length, before a byte of it is stored. Raises TooManyBytes.

    A body that is only somewhat too large is read and thrown away: a browser that is still sending
    would otherwise show a broken connection instead of the answer.
    """
    size = int(request.META.get("CONTENT_LENGTH") or 0)
    if size <= settings.IMAGE_MAX_BYTES + FORM_OVERHEAD:
        return
    if size <= MOST_READ_AWAY:
        while request.read(CHUNK):
            pass
    raise too_large()


def _read(sent: UploadedFile[Any]) -> bytes:
    if (sent.size or 0) > settings.IMAGE_MAX_BYTES:  # known before a byte of it is read into memory
        raise too_large()
    return bytes(sent.read())


def parse_box(text: str) -> tuple[int, int, int, int] | None:
    """``x,y,w,h`` in upright original pixels; nothing: the whole picture. Raises MalformedBox."""
    if not text:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        raise MalformedBox(box=text[:60])
    x, y, width, height = map(int, parts)
    if not (width and height):
        raise MalformedBox(box=text[:60])
    return x, y, width, height
