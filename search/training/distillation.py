"""A distillation from files to files: reads pictures and teachers, teaches, measures on held-out classes, exports."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from catalog.errors import LookalikeError, gettext_noop
from search.extraction.backbones import torchvision
from search.extraction.network_files import network_file
from search.extraction.pooling import l2_normalise
from search.extraction.preprocess import Pixels
from search.extraction.spec import ExtractorSpec
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
    teachers: tuple[str, ...]  # ONNX files, or torchvision networks by name
    pictures: tuple[Path, ...]
    measure: Path | None = None
    held_out: float = 0.2
    seed: int = 0
    threads: int = 0
    scale: float = 1.0

    def run(self, report: Report, log: Callable[[str], object]) -> Path:
        """Train to the end and write the network; returns the ONNX file. Raises LookalikeError subclasses."""
        teaching = threads_shared(self.threads)
        recipe = self.recipe_of(self.seed, self.scale)
        files, held = self._files()
        teachers = [teacher_of(_spec(named), self.folder, teaching, Path(named).stem) for named in self.teachers]
        pictures, _ = read_all(files)
        if len(pictures) < recipe.batch:
            names = ", ".join(folder.name for folder in self.pictures)
            raise TooFewPictures(found=len(pictures), needed=recipe.batch, folders=names)
        log(f"{len(pictures)} pictures to learn from, {len(held)} held out, {recipe.steps} steps of {recipe.batch}")
        measure = _measure(held, teachers, log)
        student, curve = distill(teachers, pictures, self.folder, recipe, measure=measure, report=report)
        facts = {"teachers": [teacher.name for teacher in teachers], "pictures": len(pictures), "seed": self.seed}
        return write(student, curve, self.folder / f"{self.name}.onnx", facts)

    @staticmethod
    def recipe_of(seed: int, scale: float) -> Recipe:
        return Recipe(seed=seed) if scale == 1 else Recipe(seed=seed).scaled(scale)

    def _files(self) -> tuple[list[Path], list[Path]]:
        """Held out are classes of ``measure``, wherever a picture folder holds them too."""
        files = files_under(self.pictures)
        if self.measure is None:
            return files, []
        measured = files_under([self.measure])
        _, held = split(measured, self.held_out)
        hidden = {path.resolve() for path in held}
        return [path for path in files if path.resolve() not in hidden], held


def _spec(named: str) -> ExtractorSpec:
    """An ONNX file, or a torchvision network by its name, with its own weights."""
    return ExtractorSpec(named, layer="features") if named in torchvision.AT else ExtractorSpec("onnx", weights=named)


def teacher_of(spec: ExtractorSpec, weights_dir: Path, threads: int = 0, name: str = "") -> Teacher:
    """What an extractor is made of, as a teacher. Raises ExtractionError subclasses."""
    with network_file(spec, weights_dir) as file:  # which stays: there is a folder to keep it in
        return Teacher(file.path, file.how, threads, name)


def threads_shared(threads: int = 0) -> int:
    """Give the student its share of so many threads (0: of all cores); returns what is left for the teachers, who
    work beside it."""
    threads = threads or os.cpu_count() or 1
    torch.set_num_threads(max(1, threads - threads // 3 - 1))
    return max(1, threads // 3)


def write(student: network.Student, curve: Sequence[Row], path: Path, facts: Mapping[str, object]) -> Path:
    """NAME.safetensors, NAME.onnx with its card, NAME.curve.json beside each other; returns ``path``, the ONNX file."""
    weights = path.with_suffix(".safetensors")
    network.save(student, weights)
    path.with_suffix(".curve.json").write_text(json.dumps(curve, indent=1))
    measured = {"held_out_mAP": curve[-1]["mAP"]} if curve and "mAP" in curve[-1] else {}
    card = {"name": path.stem, "dim": student.dim, "facts": {**facts, **measured}}
    # What was saved is what is exported: numbers rounded to float16.
    return export_trunk(network.load(weights), path, network.PREPROCESSING, card)


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
