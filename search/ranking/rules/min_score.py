"""Drops hits whose score is below ``score`` (inner product of unit vectors, -1 to 1)."""

from __future__ import annotations

from typing import Annotated

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate

TITLE = gettext_noop("Minimum score")
SAYS = gettext_noop("Leaves out hits that are too unlike.")
DROPPED = gettext_noop("score below %(score)s")


def apply(
    candidates: list[Candidate], *, score: Annotated[float, gettext_noop("The lowest score that is shown, -1 to 1.")]
) -> list[Candidate]:
    if not -1 <= score <= 1:
        raise ValueError(f"score must lie between -1 and 1, not {score}")
    return [candidate for candidate in candidates if candidate.score >= score]


def floor(*, score: float) -> float:
    return score
