"""Filters of evaluation reports and comparisons."""

from __future__ import annotations

from django import template

from catalog.admin.base import NOTHING, thumbnail_url
from catalog.models import Grade, Image
from search.run_reports import data_uri

register = template.Library()


@register.filter
def score(value: float | None, digits: int = 4) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


@register.filter
def signed(value: float | None, digits: int = 4) -> str:
    """With its sign, and a true minus; what rounds to nothing has none."""
    if value is None:
        return NOTHING
    text = f"{value:+.{digits}f}"
    return text[1:] if not text.strip("+-0.") else text.replace("-", "−")


@register.filter
def mean_name(per_query: str) -> str:
    """AP@10 of a query is mAP@10 of a class."""
    return f"m{per_query}" if per_query.startswith("AP") else per_query


@register.filter
def embedded(image: Image | None) -> str:
    """A small copy of the picture as a data address."""
    return data_uri(image)


@register.filter
def in_a_list(value: str) -> list[str]:
    return [value]


@register.filter
def unlocalized(value: int) -> str:
    """A number for an address, without a language's separators."""
    return str(value)


@register.simple_tag
def thumbnail_address(image: Image) -> str:
    return thumbnail_url(image)


@register.filter
def grade_word(value: str) -> str:
    """The grade's name without the explanation behind it."""
    return str(Grade(value).label).partition(":")[0].partition("：")[0]
