"""How a student is taught: the phases, in order, and their losses. One recipe and one seed give one network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Phase:
    """``steps`` batches at ``rate``, warmed up and then falling by half a cosine to ``end_rate``.

    sides: of the student's crops, pixels, drawn for each batch. teacher_side: of the teachers'; 0: the student's.
    blocks: each stage learns alone from the teachers' map before it. The rest are weights of the losses.
    """

    name: str
    steps: int
    rate: float
    end_rate: float
    sides: tuple[int, ...] = (160,)
    teacher_side: int = 0
    blocks: bool = False
    stages: float = 0.0
    descriptor: float = 1.0
    similarity: float = 0.0
    local: float = 0.3
    warm_up: int = 100

    def rate_at(self, step: int) -> float:
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        passed = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.end_rate + (self.rate - self.end_rate) * (1 + math.cos(math.pi * passed)) / 2


PHASES = (
    # Dense, shallow, quick: every place of every map is a lesson, and no gradient passes more than one stage.
    Phase("blocks", 1200, 3e-3, 3e-4, (96, 128, 160), blocks=True, stages=1.0),
    # Joined: each stage now gets what the one before really gives.
    Phase("joined", 700, 2e-3, 3e-4, (128, 160), stages=0.3, descriptor=2.0, similarity=5.0),
    # What is searched with: descriptors and their similarities, at every size, taught at the teachers' own size.
    Phase("descriptors", 900, 1.5e-3, 1e-5, (128, 160, 192, 224), teacher_side=224, descriptor=2.0, similarity=5.0),
)


@dataclass(frozen=True)
class Recipe:
    seed: int = 0
    batch: int = 64
    phases: tuple[Phase, ...] = PHASES
    decay: float = 0.02  # of weights, AdamW
    average: float = 0.998  # exponential moving average of the weights, which is what comes out
    measure_every: int = 200

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """The phase of a step and the step within it."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(step)

    def scaled(self, share: float) -> Recipe:
        """The same with so many of its steps: for a trial."""
        phases = tuple(
            replace(p, steps=max(1, round(p.steps * share)), warm_up=max(1, round(p.warm_up * share)))
            for p in self.phases
        )
        return replace(self, phases=phases, measure_every=max(1, round(self.measure_every * share)))
