"""From JPEG files to stored embeddings: ours, and the loop that guides show, on the same files in the same rounds."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings

from catalog.models import Collection, Image
from search.benchmarking import Job, Report
from search.benchmarking.networks import in_eight_bits, networks
from search.benchmarking.rows import collection_of
from search.embedding import embed_pending, feature_model_prepare
from search.extraction.spec import ExtractorSpec
from search.models import Embedding, FeatureModel

Round = tuple[float, float]  # seconds, and seconds of all cores together
Side = Callable[[], Round]  # one round over all pictures
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

    def __call__(self) -> Round:
        assert self._child.stdin is not None
        self._child.stdin.write("round\n")
        self._child.stdin.flush()
        seconds, core = self._answer().split()
        return float(seconds), float(core)

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

    def once() -> Round:
        Embedding.objects.filter(feature_model=model).delete()
        gc.collect()
        start, core = time.perf_counter(), time.process_time()
        done = embed_pending(collection, model)
        seconds, core = time.perf_counter() - start, time.process_time() - core
        if done != count or Embedding.objects.filter(feature_model=model, error="").count() != count:
            raise RuntimeError(f"{model.name} embedded {done} of {count} pictures.")
        return seconds, core

    return once


def _models(job: Job, folder: Path) -> dict[str, FeatureModel]:
    """By the name in the table: networks as asked for, each in 8 bits too where that was, and the classical one."""
    chosen = networks(job, Path(settings.WEIGHTS_ROOT))
    if job.eight_bits:
        chosen = [one for named in chosen for one in (named, in_eight_bits(named, job, folder))]
    models = {
        f"{named.name}, {settings.EXTRACTION_RUNTIME}": FeatureModel(name=named.name, **_row(named.spec))
        for named in chosen
    }
    models["color_gradient"] = FeatureModel(name="color_gradient", backbone="color_gradient")
    FeatureModel.objects.bulk_create(models.values())
    return models


def _row(spec: ExtractorSpec) -> dict[str, Any]:
    return {part.name: getattr(spec, part.name) for part in fields(spec)}


def measure(job: Job) -> Report:
    """``job.rounds`` rounds, every side once in each; pictures/s at the median round."""
    collection = collection_of(job.pictures, "benchmark-extraction")
    notes = [
        f"{len(job.pictures)} JPEG files a round, {job.rounds} rounds; decoding and database rows included",
        "core ms: time of all cores together for a picture, which other work on the machine disturbs less",
    ]
    with tempfile.TemporaryDirectory(prefix="extraction-") as folder:
        models = _models(job, Path(folder))
        sides: dict[str, Side] = {name: ours(collection, model) for name, model in models.items()}
        loop = None
        if find_spec("torchvision"):
            loop = sides[GUIDE] = GuideLoop(collection)
        else:
            notes.append("torch and torchvision are not installed: neither ResNet50 nor the guide's loop was measured")
        try:
            rounds = _rounds(sides, job.rounds)
        finally:
            if loop:
                loop.close()
    return Report(
        "Extraction: pictures/s from JPEG files to stored embeddings", _rows(rounds, len(job.pictures)), notes
    )


def _rounds(sides: dict[str, Side], rounds: int) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        for name, side in sides.items():
            found[name].append(side())
            print(f"round {number} of {rounds}, {name}: {found[name][-1][0]:.2f} s", file=sys.stderr)
    return found


def _rows(rounds: dict[str, list[Round]], count: int) -> list[dict[str, Any]]:
    guide = statistics.median(seconds for seconds, _ in rounds[GUIDE]) if GUIDE in rounds else None
    rows = []
    for name, found in rounds.items():
        times = [seconds for seconds, _ in found]
        median = statistics.median(times)
        row: dict[str, Any] = {"side": name, "pictures/s": round(count / median, 1)}
        row |= {"slowest round": round(count / max(times), 1), "fastest round": round(count / min(times), 1)}
        row |= {"core ms": round(1000 * statistics.median(core for _, core in found) / count, 2)}
        rows.append(row | ({"times the loop": round(guide / median, 2)} if guide else {}))
    return rows
