"""Moves what is in stock before what is sold out, among the first ``within`` hits; stock not known counts as in.

The range is bounded so that a poor match far down does not pass the best one.
"""

from __future__ import annotations

from typing import Annotated

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate

TITLE = gettext_noop("In stock first")
SAYS = gettext_noop("Moves what is in stock before what is sold out. Stock not known counts as in stock.")
UP = gettext_noop("in stock: moved up %(places)s")
DOWN = gettext_noop("sold out: moved down %(places)s")


def apply(
    candidates: list[Candidate], *, within: Annotated[int, gettext_noop("Among this many first hits.")] = 200
) -> list[Candidate]:
    if within < 1:
        raise ValueError(f"within must be at least 1, not {within}")
    head, tail = candidates[:within], candidates[within:]
    places = sorted(range(len(head)), key=lambda place: (_sold_out(head[place]), place))
    return [_moved(head[old], old - new) for new, old in enumerate(places)] + tail


def _sold_out(candidate: Candidate) -> bool:
    return candidate.facts.stock is not None and candidate.facts.stock <= 0


def _moved(candidate: Candidate, up: int) -> Candidate:
    if up == 0:
        return candidate
    return candidate.because(UP, places=up) if up > 0 else candidate.because(DOWN, places=-up)
