"""Drops hits whose score is below ``score`` (inner product of unit vectors, -1 to 1)."""

from __future__ import annotations

from search.ranking.candidates import Candidate


def apply(candidates: list[Candidate], *, score: float) -> list[Candidate]:
    if not -1 <= score <= 1:
        raise ValueError(f"score must lie between -1 and 1, not {score}")
    return [candidate for candidate in candidates if candidate.score >= score]


def floor(*, score: float) -> float:
    return score
