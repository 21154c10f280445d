"""A page of results: the search itself, and what its template shows."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext

from catalog.facets import facets
from catalog.models import Image
from search import services
from search.models import UploadedQuery
from search.services import Results
from search.web.asked import MAX_PAGE, PAGE_SIZE, Asked
from search.web.cards import cards, picture_url, title
from search.web.narrowing import chips, loosen, narrowing
from search.web.samples import picture_count


def run(asked: Asked) -> Results:
    narrowed: dict[str, Any] = {
        "k": PAGE_SIZE,
        "offset": asked.offset,
        "filters": asked.filters,
        "box": asked.box,
        "source": "web",
    }
    if isinstance(asked.subject, UploadedQuery):
        return services.search_by_query(asked.collection, asked.subject, **narrowed)
    return services.search_by_image(asked.collection, asked.subject, **narrowed)


def search_context(asked: Asked, params: QueryDict, results: Results | None, error: str) -> dict[str, Any]:
    subject = asked.subject
    empty = results is not None and not results.hits
    return {
        "collection": asked.collection,
        "asked": asked,
        "subject": subject,
        "subject_title": title(subject) if isinstance(subject, Image) else "",
        "subject_url": picture_url(subject) if isinstance(subject, Image) else preview_url(subject),
        "narrowing": narrowing(facets(asked.collection), params),
        "chips": chips(asked),
        "clear_href": asked.href(filters=type(asked.filters)()),
        "whole_href": asked.href(box=None),
        "cards": cards(results.hits, asked.collection.slug) if results else [],
        "timings": timings(results) if results else [],
        "seconds": seconds(results) if results else "",
        "loosen": loosen(asked) if empty and asked.filters else [],
        "previous_href": asked.href(page=asked.page - 1) if asked.page > 1 else "",
        "next_href": asked.href(page=asked.page + 1) if results and results.has_more and asked.page < MAX_PAGE else "",
        "results": results,
        "count": picture_count(asked.collection),
        "error": error,
        "ratio": f"{subject.width / subject.height:.4f}",
        **crop_percent(asked),
    }


def crop_percent(asked: Asked) -> dict[str, str]:
    """The box in per cent of the picture, for drawing it without a script."""
    if not asked.box:
        return {}
    x, y, width, height = asked.box
    whole = asked.subject
    shares = (x / whole.width, y / whole.height, width / whole.width, height / whole.height)
    return dict(zip(("crop_x", "crop_y", "crop_w", "crop_h"), (f"{100 * share:.3f}%" for share in shares), strict=True))


def timings(results: Results) -> list[tuple[str, float]]:
    """Milliseconds of each tier, in the order they ran."""
    names = {
        "decode": gettext("Reading the picture"),
        "network": gettext("Describing it"),
        "coarse": gettext("Coarse search"),
        "fine": gettext("Fine scoring"),
        "rules": gettext("Business rules"),
        "database": gettext("Products from the database"),
    }
    return [(label, results.timings_ms[name]) for name, label in names.items() if name in results.timings_ms]


def seconds(results: Results) -> str:
    """The whole time in seconds, to the hundredth, never less than one of them."""
    return number_format(max(0.01, round(results.timings_ms["total"] / 1000, 2)), 2)


def preview_url(uploaded: UploadedQuery) -> str:
    return reverse("web:preview", kwargs={"query_id": uploaded.pk})
