"""DICOM on the pages: which frames and windows a picture offers, and pictures of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from catalog.errors import LookalikeError
from catalog.models import Image
from catalog.viewing import Offer, Offers, is_dicom_file, offers_of, view_png
from search import services
from search.models import UploadedQuery
from search.web.cards import THUMBNAIL_SIDE, Card
from search.web.files import DAY_S, visible
from search.web.refusals import say

OWN = "own"  # the choice whose centre and width are typed


@dataclass(frozen=True)
class View:
    """The frame and window that an address asks for; nothing: the first, as stored."""

    frame: int | None = None
    window: str = ""

    def __bool__(self) -> bool:
        return self.frame is not None or bool(self.window)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        frame = [("frame", str(self.frame))] if self.frame is not None else []
        return frame + ([("window", self.window)] if self.window else [])


AS_STORED = View()


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Chooser:
    """What the form offers. ``own``: what was typed; ``note``: what is to be known of the stored window."""

    frames: tuple[int, ...]
    frame: int
    total: int
    windows: list[Choice]
    own: str
    own_chosen: bool
    note: str

    def __bool__(self) -> bool:
        return len(self.frames) > 1 or bool(self.windows)


def view_of(params: QueryDict) -> View:
    """Raises BadWindow. A frame that is no number is the first."""
    from catalog.dicom.windows import window_choice

    window, own, number = params.get("window", "")[:40], params.get("own", "")[:40].strip(), params.get("frame", "")
    if window == OWN:
        window = own
    frame = int(number) if number.isascii() and number.isdigit() and len(number) < 8 else None
    return View(frame, window_choice(window).text if window else "")


def chooser(subject: UploadedQuery | Image, view: View) -> Chooser | None:
    """The form for a picture that came as DICOM; None for any other."""
    name = str(subject.file.name)
    if not is_dicom_file(name):
        return None
    try:
        offers = offers_of(name)
    except (LookalikeError, FileNotFoundError):  # the page says it where it shows the picture
        return None
    windows = [Choice(one.value, label(one, offers.is_derived), one.value == view.window) for one in offers.windows]
    is_own = bool(view.window) and not any(choice.chosen for choice in windows)
    first = offers.frames[0] if offers.frames else 1
    own = view.window if is_own else ""
    return Chooser(offers.frames, view.frame or first, offers.total, windows, own, is_own, _note(offers))


def label(offer: Offer, is_derived: bool = False) -> str:
    """``Lung (-600 / 1500)``. ``is_derived``: the file had no window, so that none is as stored."""
    from catalog.dicom.windows import PRESET_NAMES

    if offer.is_preset:
        name = _(PRESET_NAMES[offer.name])
    elif not offer.value:
        name = _("As stored: %(name)s") % {"name": offer.name} if offer.name else _("As stored")
        name = _("Derived") if is_derived else name
    else:
        name = offer.name or _("Stored %(number)s") % {"number": offer.value.partition(":")[2]}
    if offer.window is None:
        return name
    return f"{name} ({_number(offer.window.center)} / {_number(offer.window.width)})"


def _number(value: float) -> str:
    return number_format(round(value, 2) if value % 1 else int(value))


def _note(offers: Offers) -> str:
    if offers.is_derived:
        return _("The file has no window; this one was derived from its values.")
    if 1 < len(offers.frames) < offers.total:
        return _("Of its %(total)d frames, %(kept)d were kept to choose from.") % {
            "total": offers.total,
            "kept": len(offers.frames),
        }
    return ""


def subject_url(subject: UploadedQuery | Image, view: View) -> str:
    """Address of a picture that came as DICOM at a view; empty for any other."""
    if not is_dicom_file(str(subject.file.name)):
        return ""
    if isinstance(subject, Image):
        return image_url(subject, view.window)
    where = reverse("web:query_view", kwargs={"query_id": subject.pk})
    return f"{where}?{urlencode(view.pairs, safe='/:')}" if view else where


def image_url(image: Image, window: str = "", *, small: bool = False) -> str:
    pairs = ([("window", window)] if window else []) + ([("small", "1")] if small else [])
    where = reverse("web:image_view", kwargs={"image_id": image.pk})
    return f"{where}?{urlencode(pairs, safe='/:')}" if pairs else where


def windowed(cards: list[Card], window: str) -> list[Card]:
    """Hits that came as DICOM are shown at the query's own window, so that the two can be compared."""
    if not window:
        return cards
    return [
        replace(card, thumbnail=image_url(card.image, window, small=True)) if card.image.format == "DICOM" else card
        for card in cards
    ]


@require_safe
def image_view(request: HttpRequest, image_id: int) -> HttpResponseBase:
    """A stored picture that came as DICOM, at a window, as PNG."""
    try:
        image = get_object_or_404(Image.objects.select_related("collection"), pk=image_id, format="DICOM")
    except OverflowError:
        raise Http404 from None
    is_public = image.collection.is_public
    if not is_public and not visible(request).filter(pk=image.collection_id).exists():
        raise Http404
    return _png(request, str(image.file.name), image.sha256, public=is_public)


@require_safe
def query_view(request: HttpRequest, query_id: uuid.UUID) -> HttpResponseBase:
    """A visitor's own DICOM file: a frame of it at a window, as PNG."""
    mine = services.collections_for(request.user).values("pk")
    uploaded = get_object_or_404(UploadedQuery, pk=query_id, collection__in=mine)
    return _png(request, str(uploaded.file.name), uploaded.sha256, public=False)


def _png(request: HttpRequest, name: str, sha256: str, *, public: bool) -> HttpResponseBase:
    if not is_dicom_file(name):
        raise Http404
    side = THUMBNAIL_SIDE if request.GET.get("small") else None
    try:
        view = view_of(request.GET)
        etag = f'"{sha256}-{view.frame}-{view.window}-{side}"'
        if request.headers.get("If-None-Match") == etag:
            response: HttpResponseBase = HttpResponseNotModified()
        else:
            response = HttpResponse(view_png(name, view.frame, view.window, side), content_type="image/png")
    except FileNotFoundError:
        raise Http404 from None
    except LookalikeError as error:
        return HttpResponse(say(error), status=error.status, content_type="text/plain; charset=utf-8")
    response["ETag"] = etag
    caching: dict[str, Any] = {"public" if public else "private": True, "max_age": DAY_S}
    patch_cache_control(response, **caching)
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
