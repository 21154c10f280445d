"""A distillation from files to files: reads pictures and teachers, teaches, measures on held-out classes, exports."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from catalog.errors import LookalikeError, gettext_noop
from search.extraction.cards import read_card
from search.extraction.pooling import l2_normalise
from search.extraction.preprocess import Pixels
from search.training import student as network
from search.training.crops import files_under, read_all
from search.training.distill import Measure, Report, Row, describe, distill
from search.training.export import export_trunk
from search.training.held_out import leave_one_out, split, squashed
from search.training.recipe import Recipe
from search.training.teachers import Teacher
from search.types import Descriptors


class TooFewPictures(LookalikeError):
    code = "too_few_pictures"
    text = gettext_noop("There are %(found)d pictures to learn from in %(folders)s; %(needed)d are needed.")
    cure = gettext_noop("Name folders that hold more pictures.")


@dataclass(frozen=True)
class Distillation:
    """See ``manage.py distill``. ``measure``: a folder of class folders, of which a share is held out everywhere."""

    folder: Path
    name: str
    teachers: tuple[Path, ...]
    pictures: tuple[Path, ...]
    measure: Path | None = None
    held_out: float = 0.2
    seed: int = 0
    threads: int = 0
    scale: float = 1.0

    def run(self, report: Report, log: Callable[[str], object]) -> Path:
        """Train to the end and write the network; returns the ONNX file. Raises LookalikeError subclasses."""
        if self.threads:
            torch.set_num_threads(self.threads)
        recipe = self._recipe()
        files, held = self._files()
        teachers = [Teacher(path, read_card(path).preprocessing, self.threads) for path in self.teachers]
        pictures, _ = read_all(files)
        if len(pictures) < recipe.batch:
            names = ", ".join(folder.name for folder in self.pictures)
            raise TooFewPictures(found=len(pictures), needed=recipe.batch, folders=names)
        log(f"{len(pictures)} pictures to learn from, {len(held)} held out, {recipe.steps} steps of {recipe.batch}")
        student, curve = distill(
            teachers, pictures, self.folder, recipe, measure=_measure(held, teachers, log), report=report
        )
        return self._write(student, curve, len(pictures))

    def _recipe(self) -> Recipe:
        recipe = Recipe(seed=self.seed)
        return recipe if self.scale == 1 else recipe.scaled(self.scale)

    def _files(self) -> tuple[list[Path], list[Path]]:
        """Held out are classes of ``measure``, wherever a picture folder holds them too."""
        files = files_under(self.pictures)
        if self.measure is None:
            return files, []
        measured = files_under([self.measure])
        _, held = split(measured, self.held_out)
        hidden = {path.resolve() for path in held}
        return [path for path in files if path.resolve() not in hidden], held

    def _write(self, student: network.Student, curve: Sequence[Row], pictures: int) -> Path:
        network.save(student, self.folder / f"{self.name}.safetensors")
        (self.folder / f"{self.name}.curve.json").write_text(json.dumps(curve, indent=1))
        facts = {
            "teachers": [path.name for path in self.teachers],
            "pictures": pictures,
            "seed": self.seed,
            "held_out_mAP": curve[-1].get("mAP") if curve else None,
        }
        card = {"name": self.name, "dim": student.dim, "facts": facts}
        # What was saved is what is exported: numbers rounded to float16.
        saved = network.load(self.folder / f"{self.name}.safetensors")
        return export_trunk(saved, self.folder / f"{self.name}.onnx", network.PREPROCESSING, card)


def _measure(held: Sequence[Path], teachers: Sequence[Teacher], log: Callable[[str], object]) -> Measure | None:
    """mAP, each picture of the held-out classes a query among the others; the teachers' own is logged first."""
    if not held:
        return None
    pictures, files = read_all(held)
    classes = [file.parent.name for file in files]
    whole = squashed(pictures, network.PREPROCESSING.crop)
    for teacher in teachers:
        log(f"{teacher.name}: held-out mAP {leave_one_out(_means(teacher, whole), classes):.4f}")
    return lambda student: leave_one_out(describe(student, whole), classes)


def _means(teacher: Teacher, pixels: Pixels) -> Descriptors:
    """Mean-pooled, as the network is without any training here."""
    found = [teacher.run(pixels[at : at + 32], inner=False)[-1] for at in range(0, len(pixels), 32)]
    return l2_normalise(np.concatenate(found))
