"""Distillation: a student learns maps and descriptors of one or several teachers from pictures without labels.

First block by block: Wang et al., Progressive blockwise knowledge distillation, IJCAI 2018 (here all blocks at once,
each from the teachers' maps before it). Then end to end on descriptors and on their mutual similarities:
Park et al., Relational knowledge distillation, CVPR 2019. Teacher and student see the same crops throughout:
Beyer et al., Knowledge distillation: a good teacher is patient and consistent, CVPR 2022.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from search.extraction.preprocess import Pixels
from search.training import checkpoints
from search.training.crops import Crops, ahead
from search.training.precision import Arithmetic, choose
from search.training.recipe import Phase, Recipe
from search.training.student import Student, build_student
from search.training.teachers import Targets, Teacher, fit_targets, side_by_side

SAVE_EVERY = 200  # steps
FIT_BATCHES = 24
Row = dict[str, float | int | str]
Report = Callable[[int, int, Row | None], None]  # raises to stop
Measure = Callable[[Student], float]


@dataclass
class Lesson:
    """What one batch teaches: the student's input and its targets."""

    pixels: Tensor  # (n, 3, side, side)
    stages: list[Tensor]  # the teachers' maps along their axes; empty where they are not asked for
    last: Tensor
    descriptors: Tensor


@dataclass
class Learner:
    """The student, the head that is thrown away at the end, their average and the optimiser."""

    student: Student
    local: nn.Conv2d
    average: Student
    optimiser: torch.optim.AdamW
    arithmetic: Arithmetic
    targets: Targets | None = None
    step: int = 0
    curve: list[Row] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        assert self.targets is not None
        return {
            "student": self.student.state_dict(),
            "local": self.local.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "targets": {name: torch.from_numpy(value) for name, value in self.targets.arrays().items()},
            "step": self.step,
            "curve": self.curve,
        }

    def restore(self, state: dict[str, Any], teachers: int) -> None:
        for name in ("student", "local", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])
        arrays = {name: value.numpy() for name, value in state["targets"].items()}
        self.targets = Targets.from_arrays(arrays, len(self.student.stages), teachers)
        self.step, self.curve = state["step"], state["curve"]


def distill(
    teachers: Sequence[Teacher],
    pictures: Sequence[Pixels],
    folder: Path,
    recipe: Recipe | None = None,
    *,
    measure: Measure | None = None,
    report: Report | None = None,
) -> tuple[Student, list[Row]]:
    """Teach a new student; goes on from the checkpoint in ``folder`` where there is one of the same job.

    ``measure``: held-out mAP of a student, called every so many steps. ``report(step, steps, row)``: a row of the
    curve, or None between measurings; what it raises stops the training, which can go on later. Returns the
    averaged student and the curve. Raises CheckpointBroken, CheckpointDiffers.
    """
    recipe = recipe or Recipe()
    folder.mkdir(parents=True, exist_ok=True)
    crops = Crops(pictures, recipe.batch, recipe.seed)
    learner = _learner(recipe)
    job = _job(recipe, teachers, pictures)
    _restore(learner, folder, job, len(teachers))
    if learner.targets is None:
        learner.targets = _targets(
            teachers, crops, recipe, [stage[-1].out_channels for stage in learner.student.stages]
        )
    targets = learner.targets
    targets.teach(teachers)

    def lesson(step: int) -> Lesson:
        side, cut = _sides(recipe, step)
        return _lesson(teachers, targets, crops.batch(step, cut), side, recipe.phase_at(step)[0])

    losses: list[dict[str, float]] = []
    steps = range(learner.step, recipe.steps)
    # The teachers work in a thread of their own: two that never wait for each other get through more than a pool.
    for step, taught in zip(steps, ahead(lesson, steps), strict=True):
        phase, at = recipe.phase_at(step)
        losses.append(_step(learner, phase, at, taught, recipe))
        learner.step = step + 1
        row = None
        if learner.step % recipe.measure_every == 0 or learner.step == recipe.steps:
            row = _row(learner, phase, losses, measure)
            losses = []
        if row or learner.step % SAVE_EVERY == 0:
            _save(learner, folder, job)
        if report:
            report(learner.step, recipe.steps, row)
    return learner.average.eval(), learner.curve


def _job(recipe: Recipe, teachers: Sequence[Teacher], pictures: Sequence[Pixels]) -> dict[str, str]:
    """What a checkpoint must agree with to be gone on from."""
    shapes = hashlib.sha256(repr([picture.shape for picture in pictures]).encode())
    return {
        "the recipe": repr(recipe),
        "a teacher": " ".join(teacher.name for teacher in teachers),
        "the pictures": shapes.hexdigest(),
    }


def _learner(recipe: Recipe) -> Learner:
    arithmetic = choose("auto", "cpu")
    student = build_student(recipe.seed)
    arithmetic.placed(student)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        local = nn.Conv2d(student.dim, student.dim, 1)
    average = build_student(recipe.seed)
    parameters = [*student.parameters(), *local.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return Learner(student, local, average, torch.optim.AdamW(groups), arithmetic)


def _sides(recipe: Recipe, step: int) -> tuple[int, int]:
    """Of the student's crops, and of the crops that are cut: the teachers' where those are larger."""
    phase, _ = recipe.phase_at(step)
    side = int(np.random.default_rng([recipe.seed, 11, step]).choice(phase.sides))
    return side, phase.teacher_side or side


def _targets(teachers: Sequence[Teacher], crops: Crops, recipe: Recipe, channels: Sequence[int]) -> Targets:
    side = recipe.phases[0].sides[0]
    unseen = (crops.batch(recipe.steps + at, side) for at in range(FIT_BATCHES))  # crops that no step sees
    return fit_targets(teachers, unseen, channels, recipe.seed)


def _lesson(teachers: Sequence[Teacher], targets: Targets, pixels: Pixels, side: int, phase: Phase) -> Lesson:
    inner = bool(phase.stages)
    found = [teacher.run(pixels, inner=inner) for teacher in teachers]
    last = len(targets.stages) - 1 if inner else 0
    stages = [torch.from_numpy(side_by_side(found, stage)) for stage in range(last)]
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    if side != pixels.shape[1]:
        x = functional.interpolate(x, size=side, mode="bilinear", antialias=True)
    return Lesson(
        x.contiguous(memory_format=torch.channels_last),
        [stage.contiguous(memory_format=torch.channels_last) for stage in stages],
        torch.from_numpy(side_by_side(found, last)),
        torch.from_numpy(targets.descriptors(found)),
    )


def _step(learner: Learner, phase: Phase, at: int, lesson: Lesson, recipe: Recipe) -> dict[str, float]:
    for group in learner.optimiser.param_groups:
        group["lr"] = phase.rate_at(at)
    learner.student.train()
    with learner.arithmetic.autocast():
        maps = _blocks(learner.student, lesson) if phase.blocks else learner.student.maps(lesson.pixels)
        local = learner.local(maps[-1])
    losses = _losses(phase, [m.float() for m in maps], local.float(), lesson)
    learner.optimiser.zero_grad(set_to_none=True)
    total = sum(losses.values(), torch.zeros(()))
    total.backward()
    nn.utils.clip_grad_norm_(learner.student.parameters(), 5.0)
    learner.optimiser.step()
    _average(learner, recipe.average)
    return {name: float(loss.detach()) for name, loss in losses.items()}


def _blocks(student: Student, lesson: Lesson) -> list[Tensor]:
    """Every stage from the teachers' own map before it."""
    inputs = [lesson.pixels, *lesson.stages]
    return [stage(x) for stage, x in zip(student.stages, inputs, strict=True)]


def _losses(phase: Phase, maps: Sequence[Tensor], local: Tensor, lesson: Lesson) -> dict[str, Tensor]:
    """Squared errors are of axes whose mean variance is 1, so they are shares of the variance."""
    found: dict[str, Tensor] = {}
    if phase.stages:
        errors = [functional.mse_loss(a, b) for a, b in zip(maps, lesson.stages, strict=False)]
        found["stages"] = phase.stages * torch.stack(errors).sum()
    if phase.local:
        last = lesson.last
        if last.shape != local.shape:
            last = functional.interpolate(last, size=local.shape[2:], mode="bilinear", align_corners=False)
        found["local"] = phase.local * functional.mse_loss(local, last)
    x = functional.normalize(maps[-1].mean(dim=(2, 3)), dim=1)
    t = lesson.descriptors
    found["descriptor"] = phase.descriptor * (1 - (x * t).sum(dim=1)).mean()
    if phase.similarity:
        others = ~torch.eye(len(x), dtype=torch.bool)
        found["similarity"] = phase.similarity * functional.mse_loss((x @ x.T)[others], (t @ t.T)[others])
    return found


@torch.no_grad()
def _average(learner: Learner, decay: float) -> None:
    decay = min(decay, (learner.step + 1) / (learner.step + 10))
    for mean, now in zip(learner.average.state_dict().values(), learner.student.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)


def _row(learner: Learner, phase: Phase, losses: list[dict[str, float]], measure: Measure | None) -> Row:
    names = losses[-1] if losses else {}
    means = {name: float(np.mean([loss[name] for loss in losses if name in loss])) for name in names}
    row: Row = {"step": learner.step, "phase": phase.name, "loss": sum(means.values()), **means}
    if measure:
        row["mAP"] = measure(learner.average.eval())
    learner.curve.append(row)
    return row


def _save(learner: Learner, folder: Path, job: dict[str, str]) -> None:
    checkpoints.save(folder, {"job": job, **learner.state()})


def _restore(learner: Learner, folder: Path, job: dict[str, str], teachers: int) -> None:
    saved = checkpoints.load(folder, job)
    if saved is not None:
        learner.restore(saved, teachers)


@torch.no_grad()
def describe(student: Student, pixels: Pixels, batch: int = 64) -> NDArray[np.float32]:
    """uint8 (n, side, side, 3) -> mean-pooled descriptors (n, dim), rows L2-normalised."""
    arithmetic, found = choose("auto", "cpu"), []
    for start in range(0, len(pixels), batch):
        x = torch.from_numpy(pixels[start : start + batch]).permute(0, 3, 1, 2).float() / 127.5 - 1
        with arithmetic.autocast():
            maps = student(x.contiguous(memory_format=torch.channels_last))
        found.append(functional.normalize(maps.float().mean(dim=(2, 3)), dim=1).numpy())
    return np.concatenate(found)
