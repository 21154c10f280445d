"""How a network is fine-tuned, as plain values: what the command, the admin and the run's row share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import Any, get_args, get_type_hints

from search.training.errors import BadTrainingOptions

LOSSES = ("triplet", "arcface", "contrastive", "cross_entropy")
MINERS = ("semihard", "hard", "all")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
HOLD_OUTS = ("auto", "classes", "pictures")
# Of a loss, where the options leave them empty: distance of unit vectors, degrees, distance, not used.
MARGINS: Mapping[str, float] = {"triplet": 0.2, "arcface": 28.6, "contrastive": 0.7, "cross_entropy": 0.0}
# What cosines are multiplied with before the softmax.
SCALES: Mapping[str, float] = {"triplet": 1.0, "arcface": 32.0, "contrastive": 1.0, "cross_entropy": 20.0}


@dataclass(frozen=True)
class FinetuneOptions:
    """``labels``: product, category, attribute:NAME or benchmark:NAME. Rates are AdamW's.

    side: of the pictures trained on, pixels; 0: the network's own. steps: batches; 0: as many as ``epochs`` need.
    classes, per_class: a batch holds so many classes, so many pictures of each. rate: of the last stage; the first
    stage learns at ``first_rate`` times that, those between at rates between; the head of a loss at ``head_rate``
    times. freeze: share of the first stages that stay as they are. hold_out: share of the classes (or of each class's
    pictures) that only measures. evaluate_every, checkpoint_every: steps; 0: once an epoch. patience: measurings
    without a better mAP until it stops; 0: never.
    """

    loss: str = "triplet"
    labels: str = "product"
    side: int = 0
    epochs: int = 20
    steps: int = 0
    classes: int = 16
    per_class: int = 4
    rate: float = 3e-4
    first_rate: float = 0.1
    head_rate: float = 10.0
    weight_decay: float = 1e-4
    warm_up: float = 0.05
    margin: float | None = None
    scale: float | None = None
    miner: str = "semihard"
    augment: float = 0.5
    freeze: float = 0.0
    freeze_norm: bool = True
    precision: str = "auto"
    hold_out: float = 0.2
    hold_out_by: str = "auto"
    evaluate_every: int = 0
    checkpoint_every: int = 0
    patience: int = 5
    with_queries: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("loss", LOSSES), ("miner", MINERS), ("precision", PRECISIONS), ("hold_out_by", HOLD_OUTS)):
            if getattr(self, name) not in known:
                raise BadTrainingOptions(option=name, reason=f"{name} is one of {', '.join(known)}")
        for name, low, high in RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise BadTrainingOptions(option=name, reason=f"{name}={value} is not between {low:g} and {high:g}")
        if self.side and self.side < 32:
            raise BadTrainingOptions(option="side", reason=f"side={self.side} is neither 0 nor 32 and more")

    @property
    def batch(self) -> int:
        return self.classes * self.per_class

    @property
    def margin_used(self) -> float:
        return MARGINS[self.loss] if self.margin is None else self.margin

    @property
    def scale_used(self) -> float:
        return SCALES[self.loss] if self.scale is None else self.scale

    def steps_of(self, pictures: int) -> tuple[int, int]:
        """All steps, and those of an epoch, for so many pictures to train on."""
        epoch = max(1, math.ceil(pictures / self.batch))
        return self.steps or epoch * self.epochs, epoch

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FinetuneOptions:
        """Those that are given, the others at their defaults. Raises BadTrainingOptions."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise BadTrainingOptions(option=unknown[0], reason=f"there is no option {', '.join(unknown)}")
        hints = get_type_hints(cls)
        return cls(**{name: _typed(name, value, hints[name]) for name, value in values.items()})


# Name, least and most.
RANGES: tuple[tuple[str, float, float], ...] = (
    ("side", 0, 1024),
    ("epochs", 1, 10_000),
    ("steps", 0, 10_000_000),
    ("classes", 2, 1024),
    ("per_class", 2, 256),
    ("rate", 1e-8, 1),
    ("first_rate", 1e-4, 1),
    ("head_rate", 1e-2, 1e4),
    ("weight_decay", 0, 1),
    ("warm_up", 0, 0.9),
    ("margin", 0, 90),
    ("scale", 0.1, 1000),
    ("augment", 0, 1),
    ("freeze", 0, 0.99),
    ("hold_out", 0.02, 0.8),
    ("evaluate_every", 0, 10_000_000),
    ("checkpoint_every", 0, 10_000_000),
    ("patience", 0, 10_000),
    ("seed", 0, 2**31 - 1),
)


def _typed(name: str, value: Any, kind: Any) -> Any:
    """As JSON or a command line may give it: numbers as such, never a bool for a number."""
    if isinstance(kind, UnionType):
        if value is None:
            return None
        kind = get_args(kind)[0]
    wrong = BadTrainingOptions(option=name, reason=f"{name}={value!r} is no {kind.__name__}")
    if isinstance(value, bool) != (kind is bool) or (kind is str and not isinstance(value, str)):
        raise wrong
    try:
        made = kind(value)
    except (TypeError, ValueError):
        raise wrong from None
    if kind is int and made != float(value):
        raise wrong
    return made
