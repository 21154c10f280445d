"""Puts products to the top, in the order given, whatever their score.

A pinned product is shown for every query that meets the rule's condition: also if the search would not
have found it, for its best picture is looked up. The condition: its best picture scores ``least`` at
least (-1: always), and the best hit is of ``category``, where one is named. Filters hold for pinned
products as for all, and what a rule before or behind this one blocks stays blocked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate

MOST = 50  # SKUs: each is looked up in every search
TITLE = gettext_noop("Pin")
SAYS = gettext_noop("Puts certain products to the top, whatever their score.")
UP = gettext_noop("pinned: moved up %(places)s")
ADDED = gettext_noop("pinned: not among the hits by itself")


def apply(
    candidates: list[Candidate],
    named: Callable[[Sequence[str]], list[Candidate]],
    *,
    skus: Annotated[list[str], gettext_noop("These products, the first on top.")],
    least: Annotated[float, gettext_noop("Only where the product scores at least this, -1 to 1.")] = -1.0,
    category: Annotated[str, gettext_noop("Only where the best hit is of this category.")] = "",
) -> list[Candidate]:
    if not skus or len(skus) > MOST:
        raise ValueError(f"skus must name at least one product and at most {MOST}")
    if not -1 <= least <= 1:
        raise ValueError(f"least must lie between -1 and 1, not {least}")
    if category and (not candidates or max(candidates, key=_best).facts.category != category):
        return candidates
    pinned = _pinned(candidates, named, skus, least)
    first = {candidate.id for candidate in pinned}
    return pinned + [candidate for candidate in candidates if candidate.id not in first]


def _pinned(
    candidates: list[Candidate], named: Callable[[Sequence[str]], list[Candidate]], skus: Sequence[str], least: float
) -> list[Candidate]:
    place = {candidate.id: number for number, candidate in enumerate(candidates)}
    best = {candidate.facts.sku: candidate for candidate in sorted([*named(skus), *candidates], key=_best)}
    found = [best[sku] for sku in dict.fromkeys(skus) if sku in best and best[sku].score >= least]
    pinned = []
    for new, candidate in enumerate(found):
        old = place.get(candidate.id)
        if old is None:
            pinned.append(candidate.because(ADDED))
        else:
            there = candidates[old]  # with what earlier rules did to it
            pinned.append(there.because(UP, places=old - new) if old > new else there)
    return pinned


def _best(candidate: Candidate) -> tuple[float, int]:
    return candidate.score, -candidate.id
