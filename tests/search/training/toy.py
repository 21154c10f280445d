"""Small trainings: drawn classes, a tiny network at 32 pixels, everything in a folder of the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.spec import ExtractorSpec
from search.training.options import FinetuneOptions
from search.training.pictures import Pictures
from search.training.samples import Samples, split

SIDE = 32
HOW = Preprocessing(resize=SIDE, crop=SIDE)
SPEC = ExtractorSpec("lookalike")
# Random weights learn best with their norm layers' statistics following, and all of them at one rate.
QUICK = {
    "side": SIDE, "steps": 40, "classes": 4, "per_class": 4, "rate": 3e-3, "first_rate": 1.0, "freeze_norm": False,
    "precision": "float32", "augment": 0.2, "patience": 0,
}  # fmt: skip


def samples(classes: int = 6, each: int = 12) -> Samples:
    count = classes * each
    places = np.arange(count)
    return Samples(places + 100, places // each, [f"class {n}" for n in range(classes)], places, places)


def draw(label: int, seed: int, side: int) -> Pixels:
    """A class is the direction of its stripes and how many there are; colours and place differ from one to the next.

    Mirrored it is of the same class, as in earnest.
    """
    rng = np.random.default_rng([label, seed])
    y, x = np.mgrid[0:side, 0:side] / side
    across, stripes = (x, y)[label % 2], (1.5, 3.5, 7.0)[label // 2 % 3] * rng.uniform(0.9, 1.1)
    wave = np.sin(2 * np.pi * (stripes * across + rng.random()))
    ink, paper = rng.uniform(0, 120, 3), rng.uniform(135, 255, 3)
    pixels = np.where(wave[..., None] > 0, ink, paper) + rng.normal(0, 12, (side, side, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def pictures(path: Path, of: Samples, side: int) -> Pictures:
    made = Pictures(path, len(of), side, lambda place: draw(int(of.labels[place]), int(of.ids[place]), side))
    made.fill(lambda *_: None)
    return made


def trunk(seed: int = 0) -> Any:
    """Three stages, 30,000 parameters, random."""
    from search.training.student import Stage, build_student
    from search.training.trunks import Trunk, stages_told

    stages = (Stage(16, 1, 24), Stage(32, 1, 48), Stage(64, 1, 64))
    return Trunk(build_student(seed, stages).eval(), HOW, 64, {"backbone": "lookalike", "stages": stages_told(stages)})


def finetuning(folder: Path, of: Samples | None = None, **given: Any) -> Any:
    """A training that is ready to ``run``; what lies in ``folder`` from an earlier one is gone on from."""
    from search.training.finetune import Finetuning, Side
    from search.training.precision import choose

    options = FinetuneOptions.from_dict({**QUICK, **given})
    train, held_out = split(of or samples(), options.hold_out, options.seed, options.hold_out_by)
    sides = (
        Side(train, pictures(folder / "train.u8", train, 40), np.arange(len(train))),
        Side(held_out, pictures(folder / "held_out.u8", held_out, SIDE), np.arange(len(held_out))),
    )
    return Finetuning(trunk(), SPEC, *sides, options, choose(options.precision, "cpu"), folder)
