"""What rules work on: candidates with plain facts of their products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self


@dataclass(frozen=True)
class Facts:
    """What is known of a picture's product. ``product`` is None for a picture without one."""

    product: int | None = None
    stock: int | None = None  # None: not known
    price: Decimal | None = None
    category: str = ""


@dataclass(frozen=True)
class Reason:
    """Why a rule moved a hit: a %-template, translated where it is shown, and its values."""

    text: str
    params: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text % self.params


@dataclass(frozen=True)
class Candidate:
    """A picture that may become a hit. ``score`` is the inner product of the original descriptors."""

    id: int
    score: float
    facts: Facts = Facts()
    reasons: tuple[Reason, ...] = ()

    def because(self, text: str, **params: object) -> Self:
        # Written out: dataclasses.replace takes ten times as long, and rules move hundreds of candidates.
        return type(self)(self.id, self.score, self.facts, (*self.reasons, Reason(text, params)))
