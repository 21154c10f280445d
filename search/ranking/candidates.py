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
    sku: str = ""
    stock: int | None = None  # None: not known
    price: Decimal | None = None  # None: not known
    category: str = ""
    brand: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)
    age_days: float | None = None  # since the product was made; None: not known


@dataclass(frozen=True)
class Reason:
    """What a rule did to a hit, and why: a %-template, translated where it is shown, and its values."""

    rule: str
    text: str
    params: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text % self.params


@dataclass(frozen=True)
class Candidate:
    """A picture that may become a hit.

    ``score`` is the inner product of the original descriptors and never changes. ``lift`` is what rules
    in score units (boost, bury, freshness, price_range) added so far: they order by the sum of both.
    """

    id: int
    score: float
    facts: Facts = Facts()
    reasons: tuple[Reason, ...] = ()
    lift: float = 0.0

    @property
    def standing(self) -> float:
        return self.score + self.lift

    # Written out: dataclasses.replace takes ten times as long, and rules move hundreds of candidates.

    def because(self, text: str, **params: object) -> Self:
        """With one more reason; the rule's name is written in by ``Rule``."""
        return type(self)(self.id, self.score, self.facts, (*self.reasons, Reason("", text, params)), self.lift)

    def lifted(self, by: float) -> Self:
        return type(self)(self.id, self.score, self.facts, self.reasons, self.lift + by)
