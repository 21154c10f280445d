"""A trial of rules that are not saved, made ready to be shown: what stands where, from where, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from catalog.models import Image
from search.models import SearchIndex
from search.ranking import Tier
from search.ranking.rules import rule_modules, rules_from, title_of
from search.rule_preview import PreviewHit, preview

SHOWN = 12
TIERS = {"coarse": "coarse search", "fine": "fine search", "rules": "business rules", "database": "database"}


@dataclass(frozen=True)
class Place:
    """A hit at its place, from 1; ``was`` is its place without rules, None where it was not among the first."""

    rank: int
    image: Image
    score: float
    was: int | None
    reasons: Sequence[str]

    @property
    def css(self) -> str:
        if self.was is None:
            return "lk-rose"
        return "lk-rose" if self.rank < self.was else "lk-fell" if self.rank > self.was else ""


@dataclass(frozen=True)
class Trial:
    image: Image
    before: list[Place]
    after: list[Place]
    dropped: list[Place]
    tiers: list[tuple[str, Tier]]


def trial(index: SearchIndex, rules: Any, image: Image, k: int = SHOWN) -> Trial:
    """The look-alikes of ``image`` without and with ``rules``. Raises BadRule and what a search raises."""
    rules_from(rules)  # also what is no list at all is refused in words
    found = preview(index, rules, image, k)
    places = {hit.image.pk: hit.rank for hit in found.before}
    return Trial(
        image,
        _places(found.before, places),
        _places(found.after, places),
        _places(found.dropped, places),
        [(_title(tier), tier) for tier in found.tiers],
    )


def _places(hits: Iterable[PreviewHit], places: dict[int, int]) -> list[Place]:
    return [
        Place(hit.rank, hit.image, hit.score, places.get(hit.image.pk), [reason.text for reason in hit.reasons])
        for hit in hits
    ]


def _title(tier: Tier) -> str:
    return gettext(title_of(tier.name)) if tier.name in rule_modules() else gettext(TIERS.get(tier.name, tier.name))
