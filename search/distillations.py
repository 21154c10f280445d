"""Distillation as a training run: a feature model's network teaches the small one, on a collection's own pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.files.storage import default_storage
from django.utils.text import slugify

from catalog.models import Image, ImageRole
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import sha256_of
from search.feature_models import feature_model_create
from search.models import TrainingRun
from search.training.errors import BadTrainingOptions
from search.training.trainable import require_torch

if TYPE_CHECKING:
    from search.training.distill import Row

FOLDER = "distilled"  # in WEIGHTS_ROOT


def run(run: TrainingRun) -> None:
    """Do a claimed run, or go on with it: see search.trainings.WORK. Options: seed, and scale (share of the steps)."""
    require_torch()
    from search.training.crops import read_all
    from search.training.distill import distill
    from search.training.distillation import Distillation, TooFewPictures, teacher_of, threads_shared, write

    if run.collection is None or run.base is None:
        raise BadTrainingOptions(option="base", reason="the collection or the teacher was deleted")
    weights = Path(settings.WEIGHTS_ROOT)
    recipe = Distillation.recipe_of(int(run.options.get("seed", 0)), float(run.options.get("scale", 1)))
    run.progress(run.done, recipe.steps, "decoding")
    pictures, _ = read_all(_files(run))
    if len(pictures) < recipe.batch:
        raise TooFewPictures(found=len(pictures), needed=recipe.batch, folders=run.collection.slug)
    teacher = teacher_of(run.base.spec, weights, threads_shared(settings.EXTRACTION_THREADS), run.base.name)
    student, curve = distill([teacher], pictures, run.folder, recipe, report=_reporter(run))
    (weights / FOLDER).mkdir(parents=True, exist_ok=True)
    facts = {"teachers": [run.base.name], "pictures": len(pictures), "seed": recipe.seed}
    path = write(student, curve, weights / FOLDER / f"{slugify(run.name) or 'student'}-{run.pk}.onnx", facts)
    spec = ExtractorSpec("onnx", weights=f"{FOLDER}/{path.name}", weights_sha256=sha256_of(path))
    run.curve, run.results = curve, {**facts, "steps": recipe.steps}
    run.result = feature_model_create(run.name, spec)
    run.save(update_fields=["curve", "result", "results"])


def _files(run: TrainingRun) -> list[Path]:
    """Of the gallery, in an order that stays: queries are kept for measuring."""
    rows = Image.objects.filter(collection=run.collection, role=ImageRole.GALLERY).order_by("id")
    return [Path(default_storage.path(name)) for name in rows.values_list("file", flat=True).iterator()]


def _reporter(run: TrainingRun) -> Callable[[int, int, Row | None], None]:
    def report(step: int, steps: int, row: Row | None) -> None:
        if row:
            run.curve = [*run.curve, row]
            TrainingRun.objects.filter(pk=run.pk).update(curve=run.curve)
        run.progress(step, steps, "training")

    return report
