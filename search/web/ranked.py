"""How a page of hits was ranked: what each tier did, and by which build of which index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext

from search.ranking import Tier
from search.ranking.rules import title_of
from search.services import Results


@dataclass(frozen=True)
class Row:
    """One tier, ready for a template."""

    name: str
    ms: float
    came: int
    left: int
    moved: int
    dropped: int


@dataclass(frozen=True)
class Ranked:
    rows: list[Row]
    index: str
    kind: str
    build: int | None
    pictures: int
    examples: int
    href: str  # of the index in the administration; empty for those who may not see it


def ranked(results: Results, user: Any) -> Ranked:
    build, index = results.build, results.index
    may = user.is_staff and user.has_perm("search.view_searchindex")
    return Ranked(
        rows=rows(results.tiers),
        index=index.name,
        kind=build.factory if build else gettext("exact search"),
        build=build.pk if build else None,
        pictures=build.count if build else 0,
        examples=results.descriptors,
        href=reverse("admin:search_searchindex_change", args=[index.pk]) if may else "",
    )


def rows(tiers: Iterable[Tier]) -> list[Row]:
    return [Row(tier_name(tier.name), tier.ms, tier.in_, tier.out, tier.moved, tier.dropped) for tier in tiers]


def tier_name(name: str) -> str:
    known = {
        "coarse": gettext("Coarse search"),
        "fine": gettext("Fine scoring"),
        "rules": gettext("Business rules"),
    }
    return known.get(name) or rule_name(name)


def rule_name(name: str) -> str:
    """A rule's name for people; one that is no longer there keeps its own."""
    try:
        return gettext(title_of(name))
    except KeyError:
        return name


def timings(results: Results) -> list[tuple[str, float]]:
    """Milliseconds of each part, in the order they ran."""
    names = {
        "cached": gettext("From the cache"),
        "decode": gettext("Reading the picture"),
        "network": gettext("Describing it"),
        "expansion": gettext("Query expansion"),
        "coarse": gettext("Coarse search"),
        "fine": gettext("Fine scoring"),
        "rules": gettext("Business rules"),
        "database": gettext("Products from the database"),
    }
    return [(label, results.timings_ms[name]) for name, label in names.items() if name in results.timings_ms]


def seconds(results: Results) -> str:
    """The whole time in seconds, to the hundredth, never less than one of them."""
    return number_format(max(0.01, round(results.timings_ms["total"] / 1000, 2)), 2)
