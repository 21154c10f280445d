"""What rules that are not saved yet would do to one search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext

from catalog.models import Image, ImageRole
from search.embedding import descriptor_of
from search.facts import facts_by_id
from search.models import SearchIndex
from search.ranking import Candidate, Ranking, Tier, rules_from
from search.serving import live

LEFT_OUT = 24  # shown of what the rules dropped


@dataclass(frozen=True)
class PreviewReason:
    rule: str
    text: str  # in the reader's language


@dataclass(frozen=True)
class PreviewHit:
    image: Image  # its product selected with it
    score: float
    rank: int  # from 1; of what was left out: 0
    reasons: tuple[PreviewReason, ...]


@dataclass(frozen=True)
class Preview:
    """``dropped``: the best of what the rules left out, with why. ``tiers``: coarse, fine, then each rule."""

    before: list[PreviewHit]
    after: list[PreviewHit]
    dropped: list[PreviewHit]
    tiers: list[Tier]


def preview(index: SearchIndex, rules: Sequence[Mapping[str, Any]], image: Image, k: int = 12) -> Preview:
    """The ``k`` first look-alikes of ``image`` without and with ``rules``, itself left out.

    Raises BadRule, and what extraction raises where the picture has no embedding yet.
    """
    configured = rules_from(list(rules))
    query, own = descriptor_of(image, index.feature_model, None), np.array([image.pk], np.int64)
    gallery = Image.objects.filter(collection_id=index.collection_id, role=ImageRole.GALLERY)

    def lookup(ids: Sequence[int]) -> Mapping[int, Any]:
        return facts_by_id(ids, gallery)

    before, _ = live(index).search(query, k, lookup, excluded=own, rules=())
    after, _ = live(index).search(query, k, lookup, excluded=own, rules=configured, explain=True)
    left_out = _best_left_out(after)
    rows = gallery.select_related("product").in_bulk({c.id for c in [*before.hits, *after.hits, *left_out]})
    tiers = [*after.tiers[:2], *after.rules]
    return Preview(_hits(before.hits, rows), _hits(after.hits, rows), _hits(left_out, rows, ranked=False), tiers)


def _best_left_out(ranking: Ranking) -> list[Candidate]:
    """Each picture once: by the first rule that dropped it."""
    once = {candidate.id: candidate for candidate in reversed(ranking.left_out)}
    return sorted(once.values(), key=lambda candidate: (-candidate.score, candidate.id))[:LEFT_OUT]


def _hits(candidates: Sequence[Candidate], rows: Mapping[int, Image], ranked: bool = True) -> list[PreviewHit]:
    there = [candidate for candidate in candidates if candidate.id in rows]
    return [
        PreviewHit(rows[candidate.id], candidate.score, place if ranked else 0, _reasons(candidate))
        for place, candidate in enumerate(there, 1)
    ]


def _reasons(candidate: Candidate) -> tuple[PreviewReason, ...]:
    return tuple(PreviewReason(reason.rule, gettext(reason.text) % reason.params) for reason in candidate.reasons)
