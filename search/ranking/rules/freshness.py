"""Lifts newer products: by ``margin`` in score when they come in, half of it after each half-life.

The lift is margin * 0.5 ** (age / half-life): bounded, and never a jump from one day to the next.
"""

from __future__ import annotations

import math
from typing import Annotated

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate
from search.ranking.rules._standing import by_standing, check_strength

TITLE = gettext_noop("Newer first")
SAYS = gettext_noop("Moves newer products up, past hits that are hardly better. The older, the less.")
UP = gettext_noop("new, %(days)s days: moved up %(places)s")
DOWN = gettext_noop("%(days)s days old: moved down %(places)s")
DAY_S = 86_400.0
LEAST = 1e-6  # a lift below this is none: scores are not known more closely


def apply(
    candidates: list[Candidate],
    *,
    margin: Annotated[float, gettext_noop("How much a product of today is lifted, in score: up to 0.5.")] = 0.05,
    half_life_days: Annotated[float, gettext_noop("After so many days it is lifted half as much.")] = 30.0,
) -> list[Candidate]:
    check_strength("margin", margin)
    if not 0 < half_life_days <= 36_500:
        raise ValueError(f"half_life_days must be above 0 and at most 36500, not {half_life_days}")
    return by_standing(candidates, [_lift(candidate, margin, half_life_days) for candidate in candidates], _explain)


def holds_s(*, margin: float = 0.05, half_life_days: float = 30.0) -> float:
    """No lift changes by more than LEAST meanwhile: it falls by at most margin * ln 2 / half-life a day."""
    return LEAST * half_life_days / (margin * math.log(2)) * DAY_S if margin else math.inf


def _lift(candidate: Candidate, margin: float, half_life_days: float) -> float:
    """Of a product whose age is not known: none."""
    age = candidate.facts.age_days
    lift = 0.0 if age is None else margin * 0.5 ** (max(age, 0.0) / half_life_days)
    return lift if lift >= LEAST else 0.0


def _explain(candidate: Candidate, up: int) -> Candidate:
    days = int(candidate.facts.age_days or 0)
    return candidate.because(UP, days=days, places=up) if up > 0 else candidate.because(DOWN, days=days, places=-up)
