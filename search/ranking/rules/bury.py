"""Lowers the products of one category, brand or attribute value by ``by`` in score: the reverse of boost."""

from __future__ import annotations

from typing import Annotated

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate
from search.ranking.rules._matching import chosen_once, is_of
from search.ranking.rules._standing import by_standing, check_strength

TITLE = gettext_noop("Bury")
SAYS = gettext_noop(
    "Moves the products of a category, a brand or an attribute down, behind hits that are hardly worse."
)
DOWN = gettext_noop("buried for %(what)s: moved down %(places)s")


def apply(
    candidates: list[Candidate],
    *,
    by: Annotated[float, gettext_noop("How much worse, in score, a hit may be and still pass it: up to 0.5.")] = 0.05,
    category: Annotated[str, gettext_noop("Products of this category.")] = "",
    brand: Annotated[str, gettext_noop("Or of this brand.")] = "",
    attribute: Annotated[str, gettext_noop("Or with this attribute,")] = "",
    value: Annotated[str, gettext_noop("of this value.")] = "",
) -> list[Candidate]:
    check_strength("by", by)
    what = chosen_once(category, brand, attribute, value)
    lifts = [-by if is_of(candidate, category, brand, attribute, value) else 0.0 for candidate in candidates]
    return by_standing(
        candidates, lifts, lambda candidate, up: candidate.because(DOWN, what=what, places=-up) if up < 0 else candidate
    )
