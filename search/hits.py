"""What a search gives."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.models import Image
from search.extraction.attributes import Prediction
from search.models import IndexBuild, SearchIndex
from search.ranking import Tier


@dataclass(frozen=True)
class Moved:
    """What a business rule did to a hit, in the reader's language."""

    rule: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Hit:
    image: Image  # its product selected with it
    score: float  # inner product of the unit descriptors
    rank: int  # from 1
    reasons: tuple[Moved, ...] = ()
    probability: float | None = None  # that it is relevant; None where scores are not calibrated


@dataclass(frozen=True)
class Results:
    hits: list[Hit]
    has_more: bool
    timings_ms: dict[str, float]  # see SearchRequest; an answer that was kept says cached, and nothing of searching
    index: SearchIndex
    build: IndexBuild | None  # None: exact search over all embeddings answered
    tiers: tuple[Tier, ...] = ()  # coarse, fine, rules: what each did
    cut_off: float | None = None  # hits less probable than this are folded away by pages
    descriptors: int = 1  # examples that were searched by
    looks_like: tuple[Prediction, ...] = ()  # attributes that the examples clearly show; none without a branch
    cached: bool = False  # the answer was kept from an equal question before
