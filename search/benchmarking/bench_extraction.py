"""From JPEG files to stored embeddings: ours, and the loop that guides show, on the same files in the same rounds."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings

from catalog.models import Collection, Image
from search.benchmarking import Job, Report
from search.benchmarking.rows import collection_of
from search.embedding import embed_pending, feature_model_prepare
from search.models import Embedding, FeatureModel

Side = Callable[[], float]  # one round over all pictures; its seconds
GUIDE = "guide's loop: torch eager ResNet50, one picture at a time"
WARM_UP = 32


class GuideLoop:
    """The other side, in a process of its own: its threads and its memory do not meet ours."""

    def __init__(self, collection: Collection) -> None:
        self._child = subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", "search.benchmarking.guide_loop", str(collection.pk)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()  # ready and warm

    def __call__(self) -> float:
        assert self._child.stdin is not None
        self._child.stdin.write("round\n")
        self._child.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        self._child.communicate()

    def _answer(self) -> str:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("The guide's loop ended early; see above.")
        return line


def ours(collection: Collection, model: FeatureModel) -> Side:
    count = Image.objects.filter(collection=collection).count()
    feature_model_prepare(model)
    embed_pending(collection, model, limit=WARM_UP)

    def once() -> float:
        Embedding.objects.filter(feature_model=model).delete()
        gc.collect()
        start = time.perf_counter()
        done = embed_pending(collection, model)
        seconds = time.perf_counter() - start
        if done != count or Embedding.objects.filter(feature_model=model, error="").count() != count:
            raise RuntimeError(f"{model.name} embedded {done} of {count} pictures.")
        return seconds

    return once


def _models(job: Job) -> dict[str, FeatureModel]:
    models = {"color_gradient": FeatureModel(name="color_gradient", backbone="color_gradient")}
    for path in job.weights:
        name = Path(path).stem
        models[f"{name}, {settings.EXTRACTION_RUNTIME}"] = FeatureModel(name=name, backbone="onnx", weights=path)
    if find_spec("torchvision"):
        # Random weights: the same work for the processor as trained ones.
        name = f"resnet50, {settings.EXTRACTION_RUNTIME}"
        models = {name: FeatureModel(name="resnet50", backbone="resnet50", weights="none"), **models}
    FeatureModel.objects.bulk_create(models.values())
    return models


def measure(job: Job) -> Report:
    """``job.rounds`` rounds, every side once in each; pictures/s at the median round."""
    collection = collection_of(job.pictures, "benchmark-extraction")
    sides: dict[str, Side] = {name: ours(collection, model) for name, model in _models(job).items()}
    notes = [f"{len(job.pictures)} JPEG files a round, {job.rounds} rounds; decoding and database rows included"]
    loop = None
    if find_spec("torchvision"):
        loop = sides[GUIDE] = GuideLoop(collection)
    else:
        notes.append("torch and torchvision are not installed: neither ResNet50 nor the guide's loop was measured")
    try:
        seconds = _rounds(sides, job.rounds)
    finally:
        if loop:
            loop.close()
    return Report(
        "Extraction: pictures/s from JPEG files to stored embeddings", _rows(seconds, len(job.pictures)), notes
    )


def _rounds(sides: dict[str, Side], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        for name, side in sides.items():
            seconds[name].append(side())
            print(f"round {number} of {rounds}, {name}: {seconds[name][-1]:.2f} s", file=sys.stderr)
    return seconds


def _rows(seconds: dict[str, list[float]], count: int) -> list[dict[str, Any]]:
    guide = statistics.median(seconds[GUIDE]) if GUIDE in seconds else None
    rows = []
    for name, times in seconds.items():
        median = statistics.median(times)
        row: dict[str, Any] = {"side": name, "pictures/s": round(count / median, 1)}
        row |= {"slowest round": round(count / max(times), 1), "fastest round": round(count / min(times), 1)}
        rows.append(row | ({"times the loop": round(guide / median, 2)} if guide else {}))
    return rows
