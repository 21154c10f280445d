"""A stored DICOM copy at another frame and window: what it offers, the picture, and bytes to search with."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.files.storage import default_storage

from catalog.images import SUFFIXES
from catalog.medicine import picture_limits, site_identity

if TYPE_CHECKING:  # pydicom is read when the first DICOM file is looked at
    from catalog.dicom.reading import Source
    from catalog.dicom.windows import Window

DICOM = SUFFIXES["DICOM"]


@dataclass(frozen=True)
class Offer:
    """One window. ``value`` as window_choice() reads it; ``name`` of a preset or of the file's own, or empty."""

    value: str
    name: str
    window: Window | None
    is_preset: bool = False


@dataclass(frozen=True)
class Offers:
    """``frames``: numbers, as the original counts them; ``total``: how many it had. Colour has no windows."""

    frames: tuple[int, ...]
    total: int
    windows: tuple[Offer, ...]
    is_derived: bool = False


def is_dicom_file(name: str) -> bool:
    """Whether a stored file is a DICOM copy."""
    return name.endswith(DICOM)


def offers_of(name: str) -> Offers:
    """The frames and windows of a stored copy. Presets are offered for CT alone. Raises PictureError."""
    from catalog.dicom.private import own_of
    from catalog.dicom.rendering import is_ct, stored_vois
    from catalog.dicom.windows import PRESETS, Window

    source = _open(name)
    own = own_of(source.ds)
    if source.samples != 1:
        return Offers(own.numbers, own.total, ())
    stored = stored_vois(source, 1)
    windows = [
        Offer(f"stored:{place}" if place > 1 else "", voi.name if isinstance(voi, Window) else "", _window(voi))
        for place, voi in enumerate(stored, start=1)
    ]
    presets = [Offer(key, key, window, is_preset=True) for key, window in PRESETS.items()] if is_ct(source) else []
    return Offers(own.numbers, own.total, (*windows, *presets), own.how == "derived")


def view_png(name: str, frame: int | None = None, window: str = "", side: int | None = None) -> bytes:
    """PNG of a frame at a window; one that does not fit shows the stored one. Raises PictureError."""
    from PIL import Image

    from catalog.dicom.rendering import render
    from catalog.dicom.windows import window_choice

    choice, source = window_choice(window), _open(name)
    image = Image.fromarray(render(source, _place(source, frame), choice, strict=False).pixels)
    if side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def view_bytes(name: str, frame: int | None = None, window: str = "") -> bytes:
    """A copy of one frame with that window first: what decode() shows of it is the asked view. Raises PictureError."""
    from catalog.dicom.stored import dicom_copy
    from catalog.dicom.windows import window_choice

    choice, source = window_choice(window), _open(name)
    return dicom_copy(source, [_place(source, frame)], site_identity(), choice).data


def _open(name: str) -> Source:
    from catalog.dicom.reading import dicom_open

    with default_storage.open(name) as file:
        return dicom_open(file.read(), picture_limits())


def _place(source: Source, frame: int | None) -> int:
    """Where a frame of the original lies in the copy, from 1. Raises BadFrame."""
    from catalog.dicom.errors import BadFrame
    from catalog.dicom.private import own_of

    own = own_of(source.ds)
    if frame is None:
        return 1
    if frame not in own.numbers:
        raise BadFrame(frame=frame, frames=own.total)
    return own.numbers.index(frame) + 1


def _window(voi: object) -> Window | None:
    from catalog.dicom.windows import Window

    return voi if isinstance(voi, Window) else None
