"""8-bit quantisation as a training run: a float feature model in, one in 8 bits out, and what that cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.utils import timezone
from django.utils.text import slugify

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Collection
from search.embedding import extractor_for, extractor_of
from search.evaluation.comparison import compare
from search.extraction.backbones.onnx import NAME as ONNX
from search.extraction.extractor import Extractor
from search.extraction.network_files import network_file
from search.extraction.preprocess import Pixels
from search.extraction.runtimes import choose as choose_runtime
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import sha256_of
from search.feature_models import feature_model_create
from search.finetunings import index_beside
from search.machine_runtime import site_runtime
from search.models import FeatureModel, TrainingRun
from search.models.quantisation import ACCEPTED, MAP, NEIGHBOURS
from search.models.training import TrainingKind
from search.picture_files import pixels_of
from search.quantisation_samples import Chosen, choose
from search.training.agreement import average_precisions, cosines, neighbours_kept
from search.trainings import training_create
from search.types import Descriptors

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

FOLDER = "quantised"  # in WEIGHTS_ROOT
BATCH = 32
AUTO = "auto"
METHODS = (AUTO, "minmax", "percentile", "entropy")
KEEP = (AUTO, "none", "first", "last", "ends", "depthwise")


class CannotQuantise(LookalikeError):
    code = "cannot_quantise"
    text = gettext_noop("%(model)s cannot be quantised: %(reason)s.")
    cure = gettext_noop("%(cure)s")
    status = 409


@dataclass(frozen=True)
class QuantiseOptions:
    """``calibrate``: pictures that ranges are read off; ``judge``: that candidates are compared on; ``measure``: that
    the loss is measured on. ``labels``: as fine-tuning names them, ``auto``, or empty for neighbours alone."""

    method: str = AUTO
    keep: str = AUTO
    labels: str = AUTO
    calibrate: int = 96
    judge: int = 64
    measure: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("keep", KEEP)):
            if getattr(self, name) not in known:
                _refuse("the options", f"{name}={getattr(self, name)} is none of {', '.join(known)}", "Correct it.")
        for name in ("calibrate", "judge", "measure"):
            if getattr(self, name) < 8:
                _refuse("the options", f"{name}={getattr(self, name)} pictures are fewer than 8", "Take more.")


def quantise_create(
    collection: Collection,
    base: FeatureModel,
    name: str,
    options: QuantiseOptions | None = None,
    user: AbstractBaseUser | None = None,
) -> TrainingRun:
    """A queued run. Raises CannotQuantise, NameTaken, TrainingUnderWay."""
    options = options or QuantiseOptions()
    _check(base)
    choose(collection, options.labels, options.calibrate, options.judge, options.measure, options.seed)
    return training_create(
        TrainingKind.QUANTISE, name, collection=collection, base=base, options=asdict(options), user=user
    )


def run(run: TrainingRun) -> None:
    """Do a claimed run: see search.trainings.WORK. One that was killed begins again, it takes minutes."""
    collection, base = run.collection, run.base
    if collection is None or base is None:
        raise CannotQuantise(model=run.name, reason="its collection or base was deleted", cure="Start another one.")
    options = QuantiseOptions(**run.options)
    _check(base)
    chosen = choose(collection, options.labels, options.calibrate, options.judge, options.measure, options.seed)
    extractor = extractor_for(base)
    path = _path(run)
    made = _written(run, base, extractor, chosen, options, path)
    name = str(path.relative_to(settings.WEIGHTS_ROOT))
    spec = replace(base.spec, backbone=ONNX, layer="", preprocessing={}, weights=name, weights_sha256=sha256_of(path))
    figures = {**measured(extractor, extractor_of(spec), chosen, run), **made}
    run.results = figures
    run.result = feature_model_create(run.name, spec, quantised_from=base, quantisation=figures)
    run.save(update_fields=["results", "result"])
    index_beside(collection, run.result)


def _written(
    run: TrainingRun, base: FeatureModel, extractor: Extractor, chosen: Chosen, options: QuantiseOptions, path: Path
) -> dict[str, Any]:
    """Write the best candidate and its card; how it was found, and the sizes of both files."""
    from search.training.quantise import best

    run.progress(0, 0, "reading pictures")
    calibration = [pixels for _, pixels in pixels_of(chosen.calibrate, extractor)]
    judged = np.stack([pixels for _, pixels in pixels_of(chosen.judge, extractor)])
    with network_file(base.spec, Path(settings.WEIGHTS_ROOT)) as source:
        how = source.how.as_dict()
        spec = replace(base.spec, backbone=ONNX, layer="", weights_sha256="", preprocessing=how)
        tried = best(
            source.path,
            calibration,
            source.how,
            path,
            _Judge(extractor, judged, spec),
            output=source.output,
            methods=("minmax", "percentile") if options.method == AUTO else (options.method,),
            keep=None if options.keep == AUTO else (options.keep,),
            on_try=lambda done, total: run.progress(done, total, "quantising"),
        )
        _write_card(path, how, base)
        size = {"float": source.path.stat().st_size, "eight_bits": path.stat().st_size}
    first = tried[0]
    found = {"collection": chosen.collection, "pictures": len(calibration), "method": first.method}
    found |= {"kept_in_float": first.kept, "layers_in_float": first.layers, "tried": [asdict(row) for row in tried]}
    return {"bytes": size, "calibration": found}


def measure(model: FeatureModel, collection: Collection, options: QuantiseOptions | None = None) -> dict[str, Any]:
    """Measure a model in 8 bits against the one it was made from, on a collection's pictures, and keep the figures."""
    base, options = model.quantised_from, options or QuantiseOptions()
    if base is None:
        raise CannotQuantise(
            model=model, reason="it was not quantised here, so there is nothing to compare with", cure="Name another."
        )
    chosen = choose(collection, options.labels, options.calibrate, options.judge, options.measure, options.seed)
    figures = measured(extractor_for(base), extractor_for(model), chosen)
    kept = {name: model.quantisation[name] for name in ("bytes", "calibration") if name in model.quantisation}
    model.quantisation = {**kept, **figures}
    model.save(update_fields=["quantisation"])
    return figures


def loss_accept(model: FeatureModel, who: str) -> None:
    """Let a model in 8 bits serve though it lost more than allowed. Raises CannotQuantise for one without figures."""
    if "loss" not in model.quantisation:
        raise CannotQuantise(model=model, reason="there is no measured loss to accept", cure="Measure it first.")
    model.quantisation = {
        **model.quantisation,
        ACCEPTED: {"by": who, "at": timezone.now().isoformat(timespec="seconds")},
    }
    model.save(update_fields=["quantisation"])


def measured(x: Extractor, y: Extractor, chosen: Chosen, run: TrainingRun | None = None) -> dict[str, Any]:
    """What ``y`` lost against ``x`` on the chosen pictures, as plain values; loss above zero is worse."""
    ids, one, other = _both(x, y, chosen, run)
    found: dict[str, Any] = {
        "measured": timezone.now().isoformat(timespec="seconds"),
        "pictures": len(ids),
        "overlap": chosen.overlap,
        "cosine_mean": round(float(cosines(one, other).mean()), 6),
        "cosine_min": round(float(cosines(one, other).min()), 6),
        "neighbours@10": round(neighbours_kept(one, other), 4),
        "labels": chosen.labels,
        "runtime": choose_runtime(site_runtime(), settings.EXTRACTION_DEVICE).value,
    }
    found |= {"loss_of": NEIGHBOURS, "loss": round(1 - found["neighbours@10"], 4)}
    if chosen.labels:
        places = np.array([chosen.place[image_id] for image_id in ids])
        labels, contents = chosen.classes[places], chosen.contents[places]
        scores = [average_precisions(part, labels, contents) for part in (one, other)]
        difference = compare(*scores)
        if difference.first is not None and difference.second is not None:
            loss = difference.first - difference.second
            found |= {"mAP_float": round(difference.first, 4), "mAP": round(difference.second, 4)}
            found |= {"loss_of": MAP, "loss": round(loss, 4), "queries": len(difference.differences)}
            if difference.low is not None and difference.high is not None:
                found["loss_interval"] = [round(-difference.high, 4), round(-difference.low, 4)]
    return found


def _both(
    x: Extractor, y: Extractor, chosen: Chosen, run: TrainingRun | None
) -> tuple[list[int], Descriptors, Descriptors]:
    ids: list[int] = []
    parts: list[tuple[Descriptors, Descriptors]] = []
    for batch in _batches(pixels_of(chosen.measure, x)):
        pixels = np.stack([one for _, one in batch])
        parts.append((x.describe(pixels), y.describe(pixels)))
        ids += [image_id for image_id, _ in batch]
        if run is not None:
            run.progress(len(ids), len(chosen.measure), "measuring")
    if len(ids) < 2:
        _refuse("The model", "fewer than two pictures could be read", "Add pictures.")
    return ids, np.concatenate([one for one, _ in parts]), np.concatenate([other for _, other in parts])


def _batches(pictures: Iterator[tuple[int, Pixels]]) -> Iterator[list[tuple[int, Pixels]]]:
    batch: list[tuple[int, Pixels]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class _Judge:
    """A candidate file -> mean cosine of its descriptors with the float ones."""

    def __init__(self, extractor: Extractor, pixels: Pixels, spec: ExtractorSpec) -> None:
        self._pixels, self._spec, self._expected = pixels, spec, extractor.describe(pixels)

    def __call__(self, path: Path) -> float:
        found = extractor_of(replace(self._spec, weights=str(path))).describe(self._pixels)
        return float(cosines(self._expected, found).mean())


def _check(base: FeatureModel) -> None:
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise CannotQuantise(
            model=base, reason=f"{', '.join(missing)} is not installed here", cure="Install the extra 'torch'."
        )
    if base.quantised_from_id is not None or base.quantisation:
        raise CannotQuantise(model=base, reason="it is in 8 bits already", cure="Take the model it was made from.")
    if base.backbone == "color_gradient":
        raise CannotQuantise(model=base, reason="it is no network", cure="Take a network.")


def _refuse(model: str, reason: str, cure: str) -> None:
    raise CannotQuantise(model=model, reason=reason, cure=cure)


def _path(run: TrainingRun) -> Path:
    return Path(settings.WEIGHTS_ROOT) / FOLDER / f"{slugify(run.name) or 'network'}-{run.pk}.onnx"


def _write_card(path: Path, how: dict[str, Any], base: FeatureModel) -> None:
    from search.training.onnx_files import write_whole

    card = {**how, "quantised_from": {"name": base.name, "fingerprint": base.fingerprint}}
    write_whole(path.with_suffix(".json"), json.dumps(card, indent=1).encode())
