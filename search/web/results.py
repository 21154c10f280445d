"""A page of results: the search itself, and what its template shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from catalog.facets import facets
from catalog.models import Image
from search import services
from search.models import UploadedQuery
from search.services import Results
from search.web.asked import MAX_PAGE, PAGE_SIZE, Asked
from search.web.cards import cards, picture_url, thumbnail_url, title
from search.web.likely import cut
from search.web.looks import looks
from search.web.medical import chooser, subject_url, windowed
from search.web.narrowing import chips, loosen, narrowing
from search.web.ranked import ranked, seconds, timings
from search.web.samples import picture_count


@dataclass(frozen=True)
class Shown:
    """One further example as the query panel shows it; ``href`` asks without it."""

    kind: str  # also, like or unlike
    label: str
    picture: str
    href: str


def run(asked: Asked) -> Results:
    return services.search_by_examples(
        asked.collection,
        list(asked.examples()),
        k=PAGE_SIZE,
        offset=asked.offset,
        filters=asked.filters,
        source="web",
    )


def search_context(request: HttpRequest, asked: Asked, results: Results | None, error: str) -> dict[str, Any]:
    subject, slug = asked.subject, asked.collection.slug
    empty = results is not None and not results.hits
    divided = cut(asked, results)
    return {
        "collection": asked.collection,
        "asked": asked,
        "subject": subject,
        "subject_title": title(subject) if isinstance(subject, Image) else "",
        "subject_url": subject_url(subject, asked.view)
        or (picture_url(subject) if isinstance(subject, Image) else preview_url(subject)),
        "chooser": chooser(subject, asked.view),
        "chooser_kept": kept(asked),
        "examples": shown(asked),
        "narrowing": narrowing(facets(asked.collection), request.GET),
        "chips": chips(asked),
        "looks": looks(asked, results),
        "clear_href": asked.href(filters=type(asked.filters)()),
        "whole_href": asked.href(box=None),
        "cards": windowed(cards(divided.shown, slug, question(asked)), asked.view.window),
        "folded": windowed(cards(divided.folded, slug, question(asked)), asked.view.window),
        "cut": divided,
        "calibrated": bool(results and any(hit.probability is not None for hit in results.hits)),
        "timings": timings(results) if results else [],
        "seconds": seconds(results) if results else "",
        "ranked": ranked(results, request.user) if results else None,
        "loosen": loosen(asked) if empty and asked.filters else [],
        "previous_href": asked.href(page=asked.page - 1) if asked.page > 1 else "",
        "next_href": asked.href(page=asked.page + 1) if results and results.has_more and asked.page < MAX_PAGE else "",
        "results": results,
        "count": picture_count(asked.collection),
        "error": error,
        "ratio": f"{subject.width / subject.height:.4f}",
        **crop_percent(asked),
    }


def question(asked: Asked) -> str:
    """What was asked, page and all, as it stands in the address."""
    return asked.href(page=asked.page).partition("?")[2]


def shown(asked: Asked) -> list[Shown]:
    """The further examples, in the order of the address."""
    added = [
        Shown(
            "also",
            _("Your picture %(number)s") % {"number": number},
            preview_url(one),
            asked.href(also=_without(asked.also, one)),
        )
        for number, one in enumerate(asked.also, start=2 if asked.is_upload else 1)
    ]
    liked = [
        Shown("like", title(one), thumbnail_url(one), asked.href(liked=_without(asked.liked, one)))
        for one in asked.liked
    ]
    unliked = [
        Shown("unlike", title(one), thumbnail_url(one), asked.href(unliked=_without(asked.unliked, one)))
        for one in asked.unliked
    ]
    return [*added, *liked, *unliked]


def kept(asked: Asked) -> list[tuple[str, str]]:
    """What the chooser of frame and window leaves as it is."""
    return [pair for pair in asked.pairs if pair not in asked.view.pairs]


def _without(ones: tuple[Any, ...], left_out: object) -> tuple[Any, ...]:
    return tuple(one for one in ones if one is not left_out)


def with_uploads(asked: Asked, uploads: list[UploadedQuery]) -> Asked:
    """The same question, asked with these pictures too; each is there once."""
    there = {one.pk for one in asked.also} | {asked.subject.pk}
    new = {one.pk: one for one in uploads if one.pk not in there}
    return replace(asked, also=(*asked.also, *new.values()), page=1)


def crop_percent(asked: Asked) -> dict[str, str]:
    """The box in per cent of the picture, for drawing it without a script."""
    if not asked.box:
        return {}
    x, y, width, height = asked.box
    whole = asked.subject
    shares = (x / whole.width, y / whole.height, width / whole.width, height / whole.height)
    return dict(zip(("crop_x", "crop_y", "crop_w", "crop_h"), (f"{100 * share:.3f}%" for share in shares), strict=True))


def preview_url(uploaded: UploadedQuery) -> str:
    return reverse("web:preview", kwargs={"query_id": uploaded.pk})
