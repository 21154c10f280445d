"""Keeps, or prefers, what costs between ``lowest`` and ``highest``, both included. Currencies are not told apart.

keep    the others are left out; the search goes on until the page is full
prefer  those within are lifted by ``by`` in score, as boost does
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate
from search.ranking.rules._standing import by_standing, check_strength

Mode = Literal["keep", "prefer"]
TITLE = gettext_noop("Price range")
SAYS = gettext_noop("Shows only what costs between two prices, or moves it up.")
DROPPED = gettext_noop("price not between %(lowest)s and %(highest)s")
UP = gettext_noop("price within the range: moved up %(places)s")


def apply(
    candidates: list[Candidate],
    *,
    lowest: Annotated[float, gettext_noop("The lowest price.")] = 0.0,
    highest: Annotated[float | None, gettext_noop("The highest price. Empty: none.")] = None,
    mode: Annotated[Mode, gettext_noop("keep: leave out the others. prefer: move these up.")] = "keep",
    by: Annotated[float, gettext_noop("For prefer: how much better, in score, a hit may be to be passed.")] = 0.05,
    keep_unknown: Annotated[bool, gettext_noop("Products without a price count as within.")] = False,
) -> list[Candidate]:
    check_strength("by", by)
    if lowest < 0 or (highest is not None and highest < lowest):
        raise ValueError(f"prices must rise from 0, not from {lowest} to {highest}")
    within = [_within(candidate.facts.price, lowest, highest, keep_unknown) for candidate in candidates]
    if mode == "keep":
        return [candidate for candidate, is_within in zip(candidates, within, strict=True) if is_within]
    lifts = [by if is_within else 0.0 for is_within in within]
    return by_standing(candidates, lifts, lambda c, up: c.because(UP, places=up) if up > 0 else c)


def drops(*, mode: Mode = "keep", **others: object) -> bool:
    return mode == "keep"


def _within(price: Decimal | None, lowest: float, highest: float | None, keep_unknown: bool) -> bool:
    if price is None:
        return keep_unknown
    # Through text: 19.99 in a configuration means the price 19.99, not the nearest binary number.
    return Decimal(str(lowest)) <= price and (highest is None or price <= Decimal(str(highest)))
