"""Why a hit was found: the asking picture beside it, with a heat map on both."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_safe

from catalog.errors import LookalikeError
from catalog.models import Collection, Image, ImageRole
from search.explain import hit_explain
from search.extraction.explain import Explanation, Method
from search.extraction.heat import Heat, inner
from search.overlays import overlay
from search.services import Hit as FoundHit
from search.serving import default_index
from search.web.asked import Asked, asked_of, example_of
from search.web.cards import card, percent, picture_url, title
from search.web.context import page, upload_limits, visible_collection
from search.web.medical import subject_url
from search.web.refusals import say
from search.web.results import preview_url, question, run, shown

SIDE = 512  # of the heat map, pixels: it is smooth, so browsers may enlarge it
MEASURED = 128  # pixels of a picture that is only measured
SMALLEST = 0.97  # share of the picture below which it is said that not all of it was seen


@dataclass(frozen=True)
class Side:
    """One of the two pictures, ready for a template."""

    name: str
    picture: str
    alt: str
    heat: str  # address of a PNG, in the page itself
    where: str
    width: int
    height: int
    is_whole: bool
    grid: str  # JSON for the page's script: rows, columns, box in per cent, partners


@dataclass(frozen=True)
class Choice:
    """One of the examples; the page shows the chosen one beside the hit."""

    label: str
    picture: str
    kind: str  # main, also, like or unlike
    href: str
    is_chosen: bool


@require_safe
def why(request: HttpRequest, slug: str, image_id: int) -> HttpResponse:
    """``image_id`` is the hit; the address goes on as that of the results, with ``example``, counted from 0."""
    collection = visible_collection(request, slug)
    hit = _gallery_image(collection, image_id)
    asked = example_of(collection, request.GET)
    context: dict[str, Any] = {"collection": collection, "asked": asked, "hit": card(hit, slug), **upload_limits()}
    status = 200
    try:
        asked = asked_of(asked, request.GET)
        context |= {"asked": asked, "back_href": asked.href(page=asked.page)}
        context |= _explained(asked, hit, _number(request))
    except LookalikeError as refusal:
        context["error"], status = say(refusal), refusal.status
    return page(request, "web/why.html", context, status)


def _number(request: HttpRequest) -> int:
    text = request.GET.get("example", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def _gallery_image(collection: Collection, image_id: int) -> Image:
    try:
        return Image.objects.select_related("product", "collection").get(
            collection=collection, role=ImageRole.GALLERY, pk=image_id
        )
    except (Image.DoesNotExist, OverflowError):
        raise Http404 from None


def _explained(asked: Asked, hit: Image, number: int) -> dict[str, Any]:
    examples, choices = list(asked.examples()), _choices(asked, hit, number)
    if number >= len(examples):
        raise Http404
    example, found = examples[number], hit_explain(default_index(asked.collection), examples[number], hit)
    partners = found.partners()
    ranked = _ranked(asked, hit)
    return {
        "sides": [
            _side(found.query, partners[0], choices[number].label, choices[number].picture, _("Your picture")),
            _side(found.hit, partners[1], title(hit), picture_url(hit), _("The hit")),
        ],
        "choices": choices if len(choices) > 1 else [],
        "is_unlike": example.weight < 0,
        "is_covered": found.method == Method.OCCLUSION,
        "percent": percent(found.score),
        "score": number_format(round(found.score, 3), 3),
        "attributes": _attributes(found),
        "ranked": card(hit, asked.collection.slug, ranked) if ranked else None,
        "rank": ranked.rank if ranked else None,
        "all_whole": found.query.seen >= SMALLEST and found.hit.seen >= SMALLEST,
        "has_partners": bool(partners[0]),
    }


def _ranked(asked: Asked, hit: Image) -> FoundHit | None:
    """The hit as the page of results shows it; None if it is no longer there."""
    return next((one for one in run(asked).hits if one.image.pk == hit.pk), None)


def _attributes(found: Explanation) -> str:
    return number_format(round(found.attributes, 3), 3) if abs(found.attributes) >= 5e-4 else ""


def _choices(asked: Asked, hit: Image, number: int) -> list[Choice]:
    """The asking picture and the further examples, in the order of ``asked.examples``."""
    subject = asked.subject
    label = title(subject) if isinstance(subject, Image) else _("Your picture")
    url = subject_url(subject, asked.view) or (
        picture_url(subject) if isinstance(subject, Image) else preview_url(subject)
    )
    ones = [(label, url, "main"), *((one.label, one.picture, one.kind) for one in shown(asked))]
    href = card(hit, asked.collection.slug, question=question(asked)).why_href
    return [
        Choice(label, url, kind, f"{href}&example={at}", at == number) for at, (label, url, kind) in enumerate(ones)
    ]


def _side(heat: Heat, partners: list[int], alt: str, picture: str, name: str) -> Side:
    png = base64.b64encode(overlay(heat, SIDE)).decode()
    rows, columns = heat.values.shape
    left, top, right, bottom = heat.box
    shares = (left / heat.size[0], top / heat.size[1], (right - left) / heat.size[0], (bottom - top) / heat.size[1])
    grid = {"rows": rows, "columns": columns, "box": [round(100 * share, 3) for share in shares], "partners": partners}
    return Side(
        name=name,
        picture=picture,
        alt=alt,
        heat=f"data:image/png;base64,{png}",
        where=where_text(heat),
        width=heat.size[0],
        height=heat.size[1],
        is_whole=heat.seen >= SMALLEST,
        grid=json.dumps(grid),
    )


def where_text(heat: Heat) -> str:
    """The heat map in words."""
    small = heat.picture(MEASURED)
    if not (heat.excess > 0).any():
        return _("Nothing in it stands out.")
    share = number_format(max(1, round(100 * float(inner(small).mean()))), 0)
    if not heat.where:
        return _("The match is spread over the picture. Half of the heat lies on %(share)s%% of it.") % {"share": share}
    return _("Matches most: %(where)s. Half of the heat lies on %(share)s%% of the picture.") % {
        "where": _names()[heat.where],
        "share": share,
    }


def _names() -> dict[str, str]:
    """Of Heat.where."""
    return {
        "upper_left": pgettext("part of a picture", "upper left"),
        "upper_centre": pgettext("part of a picture", "top centre"),
        "upper_right": pgettext("part of a picture", "upper right"),
        "middle_left": pgettext("part of a picture", "left"),
        "middle_centre": pgettext("part of a picture", "centre"),
        "middle_right": pgettext("part of a picture", "right"),
        "lower_left": pgettext("part of a picture", "lower left"),
        "lower_centre": pgettext("part of a picture", "bottom centre"),
        "lower_right": pgettext("part of a picture", "lower right"),
        "upper_half": pgettext("part of a picture", "upper half"),
        "lower_half": pgettext("part of a picture", "lower half"),
        "left_half": pgettext("part of a picture", "left half"),
        "right_half": pgettext("part of a picture", "right half"),
    }
