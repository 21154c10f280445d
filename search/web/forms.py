"""What visitors send: pictures, or the address of one; and a box of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
MOST_PICTURES = 8  # sent at once
TOGETHER = 2  # times as many bytes as one may have: phones' pictures are a few MB each


class NoPicture(LookalikeError):
    code = "no_picture"
    text = gettext_noop("There was no picture in what you sent.")
    cure = gettext_noop("Choose a file, or give the address of a picture.")


class TooManyPictures(LookalikeError):
    code = "too_many_pictures"
    text = gettext_noop("More pictures were sent than can be searched with at once.")
    cure = gettext_noop("Choose at most %(most)s.")


class TooManyBytesTogether(TooManyBytes):
    text = gettext_noop("The pictures are too large together: more than %(max_bytes)s.")
    cure = gettext_noop("Send fewer of them, or smaller copies.")


class MalformedBox(LookalikeError):
    code = "bad_box"
    text = gettext_noop("The box %(box)s cannot be read.")
    cure = gettext_noop("Write it as x,y,width,height in pixels of the picture.")


class QueryForm(forms.Form):
    """Pictures by file or by camera, else one by address."""

    url = forms.CharField(label=_("Address of a picture"), required=False, max_length=4000)

    def pictures(self) -> list[tuple[str, Callable[[], bytes]]]:
        """(name, how to read it) of each; the name is that of its file where there are several.

        Raises NoPicture, TooManyPictures; reading raises TooManyBytes, FetchError.
        """
        sent = [*self.files.getlist("file"), *self.files.getlist("photo")]
        if len(sent) > MOST_PICTURES:
            raise TooManyPictures(most=MOST_PICTURES)
        if sent:
            return [((one.name or "") if len(sent) > 1 else "", partial(_read, one)) for one in sent]
        self.is_valid()
        if url := self.cleaned_data.get("url"):
            return [("", partial(_fetch, url))]
        raise NoPicture


def _fetch(url: str) -> bytes:
    return fetch(
        url,
        max_bytes=settings.IMAGE_MAX_BYTES,
        timeout_s=settings.FETCH_TIMEOUT_S,
        allow_private=settings.FETCH_ALLOW_PRIVATE,
    )


def too_large() -> TooManyBytes:
    return TooManyBytes(max_bytes=settings.IMAGE_MAX_BYTES)


def body_check(request: HttpRequest) -> None:
    """Refuse a body by its declared length, before a byte of it is stored. Raises TooManyBytes.

    A body that is only somewhat too large is read and thrown away: a browser that is still sending
    would otherwise show a broken connection instead of the answer.
    """
    size = int(request.META.get("CONTENT_LENGTH") or 0)
    most = TOGETHER * settings.IMAGE_MAX_BYTES
    if size <= most + FORM_OVERHEAD:
        return
    if size <= MOST_READ_AWAY:
        while request.read(CHUNK):
            pass
    raise TooManyBytesTogether(max_bytes=most)


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
