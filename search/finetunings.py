"""Fine-tuning as a training run: a collection's labels in, a feature model and an index beside the serving one out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage
from django.utils.text import slugify

from catalog.images import decode
from catalog.models import Collection, Image
from catalog.services import picture_limits
from search.builds import index_for
from search.extraction.preprocess import Pixels, Preprocessing, prepare
from search.extraction.weights import sha256_of
from search.feature_models import feature_model_create
from search.models import FeatureModel, SearchIndex, TrainingRun
from search.models.training import TrainingKind
from search.training.errors import BadTrainingOptions
from search.training.options import FinetuneOptions
from search.training.pictures import Pictures
from search.training.samples import Samples, split
from search.training.trainable import check_trainable, fixed_size, require_torch
from search.training_labels import samples_of
from search.trainings import training_create

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

    from search.training.finetune import Outcome, Row, Side
    from search.training.trunks import Trunk

FOLDER = "finetuned"  # in WEIGHTS_ROOT
NAMES_KEPT = 200  # of held-out classes, in the results
ROOM = 8 / 7  # pictures are kept so much larger than they are trained on, where the network sees them whole
COPIED = (
    "engine", "preset", "factory", "search_params", "fine_depth", "rules_depth", "expansion", "dba_neighbours",
    "rules", "rebuild_share",
)  # fmt: skip


def finetune_create(
    collection: Collection,
    base: FeatureModel,
    name: str,
    options: FinetuneOptions,
    user: AbstractBaseUser | None = None,
) -> TrainingRun:
    """A queued run. Raises at once what would make it fail: TorchMissing, NotTrainable, UnknownLabels, TooFewLabels,
    NameTaken, TrainingUnderWay, BadTrainingOptions."""
    require_torch()
    check_trainable(base.spec, base.name, Path(settings.WEIGHTS_ROOT), quantised=base.quantised_from_id is not None)
    samples = samples_of(collection, options.labels, with_queries=options.with_queries)
    split(samples, options.hold_out, options.seed, options.hold_out_by)
    return training_create(
        TrainingKind.FINETUNE, name, collection=collection, base=base, options=options.to_dict(), user=user
    )


def run(run: TrainingRun) -> None:
    """Do a claimed run, or go on with it: see search.trainings.WORK."""
    from search.training.finetune import Finetuning
    from search.training.precision import choose
    from search.training.trunks import trunk_of

    collection, base = run.collection, run.base
    if collection is None or base is None:
        raise BadTrainingOptions(option="base", reason="the collection or the feature model it begins with was deleted")
    options = FinetuneOptions.from_dict(run.options)
    _say(run, "opening the network")
    trunk = trunk_of(base.spec, Path(settings.WEIGHTS_ROOT))
    options = _sized(options, trunk)
    train, held_out = split(_pinned(run, collection, options), options.hold_out, options.seed, options.hold_out_by)
    sides = _sides(run, train, held_out, trunk, options)
    arithmetic = choose(options.precision, settings.EXTRACTION_DEVICE)
    training = Finetuning(trunk, base.spec, *sides, options, arithmetic, run.folder, _threads())
    outcome = training.run(_reporter(run))
    run.curve = outcome.curve
    run.results = _results(sides, (train, held_out), options, outcome)
    run.save(update_fields=["curve", "results"])
    if outcome.best_step:
        _say(run, "exporting")
        run.result = _feature_model(run, base, trunk, sides[1])
        run.save(update_fields=["result"])
        index_beside(collection, run.result)


def _say(run: TrainingRun, stage: str) -> None:
    run.progress(run.done, run.total, stage)


def _threads() -> int:
    return max(1, min(8, settings.EXTRACTION_THREADS or os.cpu_count() or 1))


def _sized(options: FinetuneOptions, trunk: Trunk) -> FinetuneOptions:
    """With the side that pictures are trained at. Raises BadTrainingOptions."""
    own = trunk.preprocessing.crop
    if options.side not in (0, own) and fixed_size(trunk.kind):
        raise BadTrainingOptions(option="side", reason=f"{trunk.kind['backbone']} takes pictures of {own} pixels only")
    return replace(options, side=options.side or own)


def _pinned(run: TrainingRun, collection: Collection, options: FinetuneOptions) -> Samples:
    """The labels as they were when the run began: what is added later does not disturb one that is gone on with."""
    path = run.folder / "samples.json"
    if path.is_file():
        kept = json.loads(path.read_text())
        arrays = {name: np.array(kept[name], np.int64) for name in ("ids", "labels", "groups", "contents")}
        return Samples(classes=kept["classes"], whole_classes=kept["whole_classes"], notes=kept["notes"], **arrays)
    found = samples_of(collection, options.labels, with_queries=options.with_queries)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    new.write_text(json.dumps({name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}))
    new.replace(path)
    return found


def _sides(
    run: TrainingRun, train: Samples, held_out: Samples, trunk: Trunk, options: FinetuneOptions
) -> tuple[Side, Side]:
    """Both sides with their pictures decoded; what cannot be decoded is left out. Training sees pictures whole and a
    little larger than ``options.side``, measuring sees what a search would."""
    how = trunk.preprocessing
    return (
        _side(run, train, "train.u8", _whole(how.at(options.side))),
        _side(run, held_out, "held_out.u8", how),
    )


def _whole(how: Preprocessing) -> Preprocessing:
    """The square that ``how`` cuts its middle out of."""
    kept = how.resize if how.fit == "crop" and how.resize > how.crop else round(how.crop * ROOM)
    return replace(how, resize=kept, crop=kept)


def _side(run: TrainingRun, samples: Samples, name: str, how: Preprocessing) -> Side:
    from search.training.finetune import Side

    pictures = Pictures(run.folder / name, len(samples), how.crop, _loader(samples.ids.tolist(), how))
    bad = pictures.fill(lambda done, total: run.progress(done, total, "decoding"), _threads())
    places = np.setdiff1d(np.arange(len(samples)), np.array(bad, np.int64))
    return Side(samples if not bad else samples.take(places), pictures, places)


def _loader(ids: Sequence[int], how: Preprocessing) -> Callable[[int], Pixels]:
    files: dict[int, str] = {}
    for start in range(0, len(ids), 500):  # SQLite takes so many values in one question
        files.update(Image.objects.filter(pk__in=ids[start : start + 500]).values_list("pk", "file"))

    def load(place: int) -> Pixels:
        with default_storage.open(files.get(ids[place], "deleted")) as file:
            data = file.read()
        return prepare(decode(data, min_side=how.min_side, limits=picture_limits()).pixels, how)

    return load


def _reporter(run: TrainingRun) -> Callable[[str, int, int, list[Row]], None]:
    """Writes a row of the curve when it is there, the rest as often as any job."""
    written = -1

    def report(stage: str, done: int, total: int, curve: list[Row]) -> None:
        nonlocal written
        if len(curve) != written:
            written = len(curve)
            run.curve = curve
            TrainingRun.objects.filter(pk=run.pk).update(curve=curve)
        run.progress(done, total, stage)

    return report


def _results(
    sides: tuple[Side, Side], planned: tuple[Samples, Samples], options: FinetuneOptions, outcome: Outcome
) -> dict[str, Any]:
    """What was trained on and what came of it, as plain values."""
    train, held_out = (side.samples for side in sides)
    unseen = not set(held_out.classes) & set(train.classes)
    return {
        "improved": outcome.best_step > 0,
        "frozen_mAP": outcome.frozen,
        "best_mAP": outcome.best,
        "best_step": outcome.best_step,
        "steps": outcome.steps,
        "stopped_early": outcome.stopped_early,
        "arithmetic": outcome.arithmetic,
        "side": options.side,
        "trained_on": {**_told(train), "labels": options.labels, "with_queries": options.with_queries},
        "held_out": {**_told(held_out), "unseen_classes": unseen, "class_names": list(held_out.classes)[:NAMES_KEPT]},
        "left_out": {**train.notes, "unreadable": sum(map(len, planned)) - len(train) - len(held_out)},
    }


def _told(samples: Samples) -> dict[str, Any]:
    return {"pictures": len(samples), "classes": len(samples.classes), "sha256": samples.sha256}


def _feature_model(run: TrainingRun, base: FeatureModel, trunk: Trunk, held_out: Side) -> FeatureModel:
    """Export the trunk and make the row, with the base's pooling. Raises NameTaken, ExportDiffers."""
    from search.training.trunks import export

    name = f"{FOLDER}/{slugify(run.name) or 'network'}-{run.pk}.onnx"
    path = Path(settings.WEIGHTS_ROOT) / name
    card = {"name": run.name, "training": {"begun_with": base.name, "options": run.options, **run.results}}
    seen = np.stack([held_out.pictures[int(place)] for place in held_out.places[:6]])
    export(trunk, path, card, seen)
    sha256 = sha256_of(path)
    spec = replace(base.spec, backbone="onnx", layer="", weights=name, weights_sha256=sha256, preprocessing={})
    return feature_model_create(run.name, spec)


def index_beside(collection: Collection, feature_model: FeatureModel) -> SearchIndex:
    """An index of the collection with this feature model, searched as the default one is, but not the default."""
    known = SearchIndex.objects.filter(collection=collection, feature_model=feature_model).first()
    if known is not None:
        return known
    serving = index_for(collection)
    name = feature_model.name
    if SearchIndex.objects.filter(collection=collection, name=name).exists():
        name = f"{name[:80]} #{feature_model.pk}"
    copied = {field: getattr(serving, field) for field in COPIED}
    return SearchIndex.objects.create(
        collection=collection, name=name, feature_model=feature_model, is_default=False, **copied
    )
