"""DICOM on its way into the site: de-identified before anything is written, its study and series kept as pseudonyms.

Whatever takes in bytes from outside calls take_in() (or frames_taken(), for imports) first and goes on with what that
gives. Other pictures pass unchanged. See docs/decisions/0023-dicom-copies.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from django.conf import settings

from catalog.dicom.signature import HEAD, is_dicom
from catalog.errors import gettext_noop
from catalog.images import Limits, PictureError, check_size
from catalog.models import Collection, DicomFrame, DicomSeries, DicomStudy, Image, WindowSource

if TYPE_CHECKING:  # pydicom is read when the first DICOM file comes
    from collections.abc import Callable

    from catalog.dicom.identity import Identity
    from catalog.dicom.reading import Source
    from catalog.dicom.stored import Copy, Header

HIDDEN = "(DICOM file)"  # in place of its name, which may be a patient's
QUERY_BYTES = 64 * 1024 * 1024  # of the frames that a visitor's file keeps to choose from


class NotDicom(PictureError):
    code = "not_dicom"
    text = gettext_noop("A frame or a window was asked for, but the picture is no DICOM file.")
    cure = gettext_noop("Leave them out, or send the DICOM file.")


@dataclass(frozen=True)
class Taken:
    """Bytes that may be stored; of a DICOM file the copy of one frame, and what is kept of it besides."""

    data: bytes
    header: Header | None = None
    origin: str = ""


@dataclass(frozen=True)
class PendingFrame:
    """A frame that has not been decoded yet. ``origin`` is known before: has this very frame been imported?"""

    origin: str
    size: int  # bytes of its copy, about
    series: str
    modality: str
    body_part: str
    make: Callable[[], Copy] = field(repr=False)


def picture_limits() -> Limits:
    """The site's limits on pictures, from settings."""
    return Limits(settings.IMAGE_MAX_BYTES, settings.IMAGE_MAX_PIXELS, settings.DICOM_MAX_FRAMES)


def take_in(data: bytes, *, frame: str = "", window: str = "") -> Taken:
    """What may be kept of ``data``: a picture as it is, a DICOM file as the copy of one frame (the first).

    ``frame``: first, middle, last or a number. ``window``: see window_choice(). Raises PictureError.
    """
    if not is_dicom(data[:HEAD]):
        if frame or window:
            raise NotDicom
        return Taken(data)
    from catalog.dicom.frames import frame_chosen
    from catalog.dicom.stored import dicom_copy
    from catalog.dicom.windows import window_choice

    choice, source = window_choice(window), _opened(data)
    number = frame_chosen(frame, source.frames)
    copy = dicom_copy(source, [number], site_identity(), choice)
    return Taken(copy.data, copy.header, _origin(data, number, choice.text))


def frames_taken(data: bytes, frames: str, window: str) -> list[PendingFrame]:
    """The chosen frames of a DICOM file, each to be made when it is wanted. A window that does not fit is left out.

    Raises PictureError; making one raises it too.
    """
    from catalog.dicom.frames import frames_chosen
    from catalog.dicom.stored import described, dicom_copy
    from catalog.dicom.windows import window_choice

    choice, source, identity = window_choice(window), _opened(data), site_identity()
    series, modality, body_part = described(source, identity)
    return [
        PendingFrame(
            _origin(data, number, choice.text),
            source.frame_bytes,
            series,
            modality,
            body_part,
            partial(dicom_copy, source, [number], identity, choice, strict=False),
        )
        for number in frames_chosen(frames, source.frames)
    ]


def query_copy(data: bytes) -> bytes:
    """What is kept of a visitor's picture: of a DICOM file the frames to choose from, evenly, up to QUERY_BYTES."""
    if not is_dicom(data[:HEAD]):
        return data
    from catalog.dicom.stored import dicom_copy

    source = _opened(data)
    step = -(-source.frames // max(1, QUERY_BYTES // source.frame_bytes))
    return dicom_copy(source, list(range(1, source.frames + 1, step)), site_identity()).data


def frames_save(collection: Collection, pairs: Iterable[tuple[Image, Header | None, str]]) -> None:
    """The rows beside new pictures that came as DICOM: (picture, header, origin). Inside their transaction."""
    rows = [
        DicomFrame(image=image, series=_series(collection, header), origin=origin, **_fields(header))
        for image, header, origin in pairs
        if header is not None
    ]
    DicomFrame.objects.bulk_create(rows)


def frames_known(collection: Collection, origins: Iterable[str]) -> dict[tuple[str, str, str], tuple[int, str]]:
    """(role, SKU, origin) -> (picture's id, its file) of frames that were imported before."""
    frames = DicomFrame.objects.filter(origin__in=set(origins), image__collection=collection)
    rows = frames.values_list("image__role", "image__product__sku", "origin", "image_id", "image__file")
    return {(role, sku or "", origin): (pk, file) for role, sku, origin, pk, file in rows}


def prune(study_ids: Iterable[int]) -> None:
    """Delete those of the studies, and of their series, that have no picture left."""
    ids = list(study_ids)
    DicomSeries.objects.filter(study__in=ids, dicom_frames__isnull=True).delete()
    DicomStudy.objects.filter(pk__in=ids, series__isnull=True).delete()


def site_identity() -> Identity:
    """Makes this site's pseudonyms."""
    return _identity(str(settings.DICOM_SECRET))


@lru_cache(maxsize=4)
def _identity(secret: str) -> Identity:
    from catalog.dicom.identity import Identity

    return Identity(hashlib.sha256(b"lookalike dicom\0" + secret.encode()).digest())


def _opened(data: bytes) -> Source:
    from catalog.dicom.attributes import code
    from catalog.dicom.errors import BurnedIn
    from catalog.dicom.reading import dicom_open

    limits = picture_limits()
    check_size(len(data), limits)
    source = dicom_open(data, limits)
    if settings.DICOM_BURNED_IN == "refuse" and code(source.ds, "BurnedInAnnotation") == "YES":
        raise BurnedIn
    return source


def _origin(data: bytes, number: int, window: str) -> str:
    return site_identity().key("file", hashlib.sha256(data).hexdigest(), str(number), window)


def _series(collection: Collection, header: Header) -> DicomSeries:
    study, _ = DicomStudy.objects.get_or_create(
        collection=collection, key=header.keys.study, patient=header.keys.patient
    )
    named = {"modality": header.modality, "body_part": header.body_part}
    return DicomSeries.objects.get_or_create(study=study, key=header.keys.series, defaults=named)[0]


def _fields(header: Header) -> dict[str, Any]:
    window = header.window
    source = WindowSource.TABLE if header.is_table else WindowSource(window.how) if window else WindowSource.NONE
    return {
        "instance": header.keys.instance,
        "instance_number": header.instance_number,
        "number": header.numbers[0],
        "frames": header.frames,
        "window_source": source,
        "window_center": window.center if window else None,
        "window_width": window.width if window else None,
        "window_function": window.function if window else "",
        "burned_in": header.burned_in,
    }
