"""When two pictures count as one, and the thresholds, as calibrated (docs/duplicates.md). No Django."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HASH_DISTANCE = 10  # bits of 64
MIN_AGREEMENT = 0.75  # of the blocks that both show
# Inner products of one family of feature models say nothing about another's: by backbone, and for any other network.
SCORES = {"color_gradient": 0.7}
MIN_SCORE = 0.8


@dataclass(frozen=True)
class Rule:
    """Hash or descriptor propose, the pixels decide: either threshold gets a pair looked at, none is enough alone."""

    max_hash_distance: int = MAX_HASH_DISTANCE
    min_score: float = MIN_SCORE
    min_agreement: float = MIN_AGREEMENT

    def proposes(self, distance: int | None, score: float | None) -> bool:
        near = distance is not None and distance <= self.max_hash_distance
        alike = score is not None and score >= self.min_score
        return near or alike

    def confirms(self, agreement: float) -> bool:
        return agreement >= self.min_agreement


def default_score(backbone: str) -> float:
    """The calibrated threshold of a family of feature models."""
    return SCORES.get(backbone, MIN_SCORE)
