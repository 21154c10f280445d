"""What the query looks like, each attribute one click from being a filter."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from search.extraction.attributes import CATEGORY, Prediction
from search.filters import Filters
from search.services import Results
from search.web.asked import Asked
from search.web.cards import attribute_label, category, percent

MOST = 6
SUREST = 99  # per cent: nothing that was learnt is certain


@dataclass(frozen=True)
class Look:
    """One attribute; ``href`` asks for pictures of products with it alone; empty where that is asked already."""

    name: str
    value: str
    percent: int
    href: str


def looks(asked: Asked, results: Results | None) -> list[Look]:
    return [_look(asked, prediction) for prediction in (results.looks_like if results else ())[:MOST]]


def _look(asked: Asked, prediction: Prediction) -> Look:
    narrowed = _narrowed(asked.filters, prediction.attribute, prediction.value)
    href = "" if narrowed == asked.filters else asked.href(filters=narrowed)
    sure = min(SUREST, percent(prediction.confidence))
    if prediction.attribute == CATEGORY:
        return Look(_("Category"), category(prediction.value), sure, href)
    return Look(attribute_label(prediction.attribute), prediction.value, sure, href)


def _narrowed(filters: Filters, attribute: str, value: str) -> Filters:
    """Another value of the same attribute gives way: one click narrows, and never widens."""
    if attribute == CATEGORY:
        return replace(filters, categories=(value,))
    return replace(filters, attributes={**filters.attributes, attribute: (value,)})
