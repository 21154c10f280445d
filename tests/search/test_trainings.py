"""Training runs as jobs: a collection's labels in, a feature model and an index beside the serving one out."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from catalog.jobs import JobState
from catalog.locks import try_lock
from catalog.models import DicomFrame, DicomSeries, DicomStudy, Grade, Image, ImageRole, Relevance
from catalog.services import benchmark_from_classes
from search import maintenance, serving, tasks
from search.activations import (
    NotEmbeddedYet,
    NothingBefore,
    NothingToActivate,
    index_of,
    training_activate,
    training_deactivate,
)
from search.builds import build_create, build_run, index_for
from search.embedding import embed_pending, extractor_for
from search.feature_models import NameTaken
from search.finetunings import finetune_create
from search.models import FeatureModel, TrainingRun
from search.training.errors import NotTrainable, TooFewLabels
from search.training.options import FinetuneOptions
from search.training_labels import UnknownLabels, label_choices, samples_of
from search.trainings import (
    NotResumable,
    TrainingUnderWay,
    folders_sweep,
    training_create,
    training_lock,
    training_resume,
    training_run,
    training_slice,
)
from tests import factories
from tests.search.processes import finished, start
from tests.search.stripes import CATEGORIES, QUICK, make_network, make_stripes, png

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    serving.forget()
    yield
    serving.forget()
    torch.set_num_threads(before)


def options(**given: Any) -> FinetuneOptions:
    return FinetuneOptions.from_dict({**QUICK, **given})


def mAPs(run: TrainingRun) -> list[float]:
    return [row["mAP"] for row in run.curve if row["mAP"] is not None]


# --- The whole way


@pytest.mark.torch
def test_from_labels_to_a_searchable_index_and_back(sent: list[Any]) -> None:
    collection, base = make_stripes(), make_network()
    serving_index = index_for(collection)
    query = Image.objects.filter(collection=collection).first()
    assert query is not None
    benchmark = factories.BenchmarkFactory(collection=collection)
    factories.QueryFactory(benchmark=benchmark, image=query)

    run = finetune_create(collection, base, "tuned", options())
    assert (run.state, run.kind) == (JobState.QUEUED, "finetune")
    tasks.training_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == (JobState.DONE, "")

    # It learnt, and says from what and on what.
    found = run.results
    assert found["best_mAP"] == max(mAPs(run)) >= found["frozen_mAP"] + 0.1
    assert mAPs(run)[0] == found["frozen_mAP"]
    assert run.curve[0]["step"] == 0
    assert found["trained_on"]["labels"] == "category"
    assert found["trained_on"]["pictures"] + found["held_out"]["pictures"] == 59
    assert found["left_out"] == {"queries": 1, "unreadable": 0}
    assert sorted(found["held_out"]["class_names"]) == sorted(CATEGORIES)
    assert not run.folder.exists()

    # The feature model is an ONNX file with its card and its trainable side.
    model = run.result
    assert model is not None
    assert (model.name, model.backbone, model.dim, model.pooling) == ("tuned", "onnx", 64, base.pooling)
    path = Path(settings.WEIGHTS_ROOT) / model.weights
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["trunk"] == {"backbone": "lookalike", "stages": "16-1-24 32-1-48 64-1-64"}
    assert (card["crop"], card["training"]["begun_with"]) == (32, "random")
    assert path.with_suffix(".safetensors").is_file()

    # Beside the serving index, and the switch is one row.
    index = index_of(run)
    assert index is not None
    assert not index.is_default
    assert index_for(collection) == serving_index
    assert ("embed_pending", (collection.pk, model.pk)) in sent
    with pytest.raises(NotEmbeddedYet, match="60 pictures wait"):
        training_activate(run)
    embed_pending(collection, model)
    with pytest.raises(NotEmbeddedYet, match="first build"):
        training_activate(run)
    build_run(build_create(index).pk)
    training_activate(run)
    assert index_for(collection) == index
    training_deactivate(run)
    assert index_for(collection) == serving_index
    with pytest.raises(NothingBefore):
        training_deactivate(run)

    # What came out can be trained on, and its descriptors are torch's.
    again = finetune_create(collection, model, "tuned twice", options(steps=2, evaluate_every=1))
    again = training_run(again.pk)
    assert again.error == ""
    assert again.results["frozen_mAP"] == pytest.approx(found["best_mAP"], abs=0.03)


@pytest.mark.torch
def test_the_exported_network_is_the_trained_one() -> None:
    from search.training.trunks import trunk_of

    collection, base = make_stripes(), make_network()
    run = training_run(finetune_create(collection, base, "tuned", options(steps=6)).pk)
    assert run.result is not None, run.error
    picture = [Image.objects.filter(collection=collection).first()]
    pixels = np.stack([extractor_for(run.result).prepare(_opened(one)) for one in picture])
    served = extractor_for(run.result).describe(pixels)
    trunk = trunk_of(run.result.spec, Path(settings.WEIGHTS_ROOT))
    before = trunk_of(base.spec, Path(settings.WEIGHTS_ROOT))
    assert np.sum(served * _described(trunk, run.result, pixels)) > 0.999
    assert np.sum(served * _described(before, run.result, pixels)) < 0.999


def _opened(image: Any) -> Any:
    import PIL.Image

    return PIL.Image.open(image.file.open()).convert("RGB")


def _described(trunk: Any, model: FeatureModel, pixels: Any) -> Any:
    import torch

    from search.extraction.preprocess import normalise
    from search.training.descriptors import pooled

    with torch.inference_mode():
        maps = trunk.module(torch.from_numpy(normalise(pixels, trunk.preprocessing)))
        return pooled(maps, model.spec).numpy()


@pytest.mark.torch
def test_where_the_frozen_network_is_never_beaten_no_model_is_made() -> None:
    collection, base = make_stripes(each=6), make_network()
    values = options(steps=2, evaluate_every=1, rate=1e-8, freeze_norm=True)
    run = training_run(finetune_create(collection, base, "tuned", values).pk)
    assert run.state == JobState.DONE
    assert (run.results["improved"], run.results["best_step"], run.result) == (False, 0, None)
    assert mAPs(run)[0] == run.results["frozen_mAP"] == run.results["best_mAP"]
    assert index_of(run) is None
    with pytest.raises(NothingToActivate):
        training_activate(run)
    assert not FeatureModel.objects.filter(name="tuned").exists()


# --- Cancelling, killing, going on


@pytest.mark.torch
def test_cancelled_it_keeps_its_place_and_goes_on() -> None:
    collection, base = make_stripes(each=6), make_network()
    run = finetune_create(collection, base, "tuned", options(steps=8, evaluate_every=4))

    def cancel(now: TrainingRun) -> None:
        if now.stage == "training" and now.done >= 3:
            TrainingRun.objects.filter(pk=run.pk).update(cancel_requested=True)
            now._reported = 0.0  # ask at once

    run = training_run(run.pk, cancel)
    assert run.state == JobState.CANCELLED
    assert 3 <= run.done < 8
    assert (run.folder / "checkpoint.pt").is_file()
    training_resume(run)
    steps: list[int] = []
    run = training_run(run.pk, lambda now: steps.append(now.done) if now.stage == "training" else None)
    assert run.state == JobState.DONE, run.error
    assert min(steps) >= 4
    with pytest.raises(NotResumable):
        training_resume(run)


@pytest.mark.torch
def test_it_makes_way_for_pictures_that_wait_and_loses_nothing(
    sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[int] = []
    monkeypatch.setattr(tasks.training_run, "delay_on_commit", again.append)
    monkeypatch.setattr("search.trainings.training_slice", partial(training_slice, seconds=0.0))
    collection, base = make_stripes(each=6), make_network()
    feature_model = index_for(collection).feature_model
    values = options(steps=6, evaluate_every=3)
    run, through = (
        finetune_create(collection, base, "tuned", values),
        finetune_create(collection, base, "other", values),
    )
    tasks.training_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.done, again) == (JobState.QUEUED, 1, [run.pk])
    begun = run.started
    embed_pending(collection, feature_model)
    tasks.training_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.done, again) == (JobState.DONE, 6, [run.pk])
    assert run.started == begun
    assert run.curve == training_run(through.pk).curve


PREPARE = """
import os
os.environ["OMP_NUM_THREADS"] = "1"
import json
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.search.stripes import QUICK, make_network, make_stripes
from search.finetunings import finetune_create
from search.training.options import FinetuneOptions
made = make_stripes(each=6), make_network()
values = {**QUICK, "steps": 12, "evaluate_every": 4, "checkpoint_every": 4}
print(json.dumps([finetune_create(*made, name, FinetuneOptions.from_dict(values)).pk for name in ("one", "two")]))
"""
TRAIN = """
import os
os.environ["OMP_NUM_THREADS"] = "1"
import hashlib, json, time, torch
from datetime import timedelta
from pathlib import Path
from django.conf import settings
from django.utils import timezone
from safetensors.numpy import load_file
from search import maintenance
from search.models import TrainingRun
from search.trainings import training_run
torch.set_num_threads(1)

def slow(run):
    if run.stage == "training":
        print(run.done, flush=True)
        time.sleep(600 if run.done >= 6 else 0)

def weights(run):
    state = load_file((Path(settings.WEIGHTS_ROOT) / run.result.weights).with_suffix(".safetensors"))
    return hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()

"""
FIRST = TRAIN + "training_run({killed}, slow)"
SECOND = """
TrainingRun.objects.filter(pk={killed}).update(heartbeat=timezone.now() - timedelta(minutes=2))
picked = maintenance.unfinished().trainings
first = []
runs = [training_run({killed}, lambda run: first.append(run.done) if run.stage == "training" else None)]
runs.append(training_run({whole}))
print(json.dumps([picked, first[0], [[run.state, run.error, weights(run), run.curve] for run in runs]]))
"""


@pytest.mark.torch
def test_killed_and_picked_up_it_ends_as_one_that_ran_through(tmp_path: Path) -> None:
    """kill -9 between two checkpoints; the minutely task finds it, another process goes on: the same weights."""
    whole, killed = finished(start(PREPARE, tmp_path))
    process = start(FIRST.format(killed=killed), tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "6":
            break
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    picked, went_on_at, (one, other) = finished(start(TRAIN + SECOND.format(killed=killed, whole=whole), tmp_path))
    assert killed in picked
    assert went_on_at == 5  # the checkpoint of step 4
    assert one[:2] == ["done", ""]
    assert one == other


def test_a_silent_run_is_queued_again_unless_somebody_holds_it() -> None:
    run = training_create("distill", "student")
    TrainingRun.objects.filter(pk=run.pk).update(
        state=JobState.RUNNING, heartbeat=timezone.now() - timedelta(minutes=2)
    )
    with try_lock(training_lock(run)):
        assert maintenance.unfinished().trainings == []
    assert maintenance.unfinished().trainings == [run.pk]
    run.refresh_from_db()
    assert run.state == JobState.QUEUED


def test_kinds_are_done_by_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    seen: list[Any] = []

    def work(run: TrainingRun) -> None:
        run.results = {"by": run.kind}
        run.save(update_fields=["results"])
        seen.append(run.state)

    for kind, module in (
        ("distill", "search.distillations"), ("branch", "search.attributes"), ("quantise", "search.quantisations"),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(run=work))
        run = training_run(training_create(kind, f"by {kind}").pk)
        assert (run.state, run.results) == (JobState.DONE, {"by": kind})
    assert seen == [JobState.RUNNING] * 3


def test_what_goes_wrong_is_told_by_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    run = training_create("finetune", "tuned", options=options().to_dict())
    run = training_run(run.pk)
    assert run.state == JobState.FAILED
    assert "was deleted" in run.error
    assert training_run(run.pk).state == JobState.FAILED  # finished: left alone


def test_one_of_a_name_at_a_time() -> None:
    training_create("distill", "student")
    with pytest.raises(TrainingUnderWay):
        training_create("distill", "student")
    factories.FeatureModelFactory(name="there")
    with pytest.raises(NameTaken):
        training_create("distill", "there")


def test_folders_of_deleted_runs_go(tmp_path: Path) -> None:
    run = training_create("distill", "student")
    for folder in (run.folder, run.folder.with_name("999")):
        folder.mkdir(parents=True)
    assert folders_sweep() == 1
    assert run.folder.is_dir()


# --- Labels


def test_every_kind_of_label_is_offered_and_read() -> None:
    collection = make_stripes(each=3)
    benchmark_from_classes(collection, "classes", Relevance.CATEGORY)
    assert label_choices(collection) == ["product", "category", "attribute:width", "benchmark:classes"]
    category = samples_of(collection, "category", with_queries=True)
    assert (len(category), len(category.classes)) == (18, 6)
    with pytest.raises(TooFewLabels, match="0 labelled pictures"):
        samples_of(collection, "category")  # each of them is a query now
    assert samples_of(collection, "attribute:width", with_queries=True).classes == ["middling", "narrow", "wide"]
    assert samples_of(collection, "benchmark:classes", with_queries=True).labels.tolist() == category.labels.tolist()
    with pytest.raises(TooFewLabels, match="0 classes with two or more"):
        samples_of(collection, "product", with_queries=True)  # a picture each
    for wrong in ("colour", "attribute:", "benchmark:none", "category:x"):
        with pytest.raises(UnknownLabels, match="product, category, attribute:width, benchmark:classes"):
            samples_of(collection, wrong)


def test_products_are_held_out_whole_and_groups_of_a_category_are_products() -> None:
    collection = factories.CollectionFactory()
    for number in range(4):
        product = factories.ProductFactory(collection=collection, category="ab"[number % 2])
        factories.ImageFactory.create_batch(3, product=product)
    products = samples_of(collection, "product")
    assert products.whole_classes
    assert len(set(products.groups)) == 12
    category = samples_of(collection, "category")
    assert len(set(category.groups)) == 4
    assert not category.whole_classes


def test_queries_are_never_trained_on_unless_asked() -> None:
    collection = make_stripes(each=3)
    images = list(Image.objects.filter(collection=collection).order_by("id"))
    benchmark = factories.BenchmarkFactory(collection=collection)
    factories.QueryFactory(benchmark=benchmark, image=images[0])  # a query of the gallery
    product = factories.ProductFactory(collection=collection, category=CATEGORIES[0])
    factories.ImageFactory(product=product, data=png(0, 1))  # the bytes of images[1], elsewhere
    factories.ImageFactory(product=product, data=png(0, 1), role=ImageRole.QUERY)
    factories.ImageFactory(product=product, data=png(0, 77), role=ImageRole.QUERY)
    found = samples_of(collection, "category")
    assert found.notes == {"queries": 5, "alone in their class": 1}
    assert not {images[0].pk, images[1].pk} & set(found.ids.tolist())
    assert not Image.objects.filter(pk__in=found.ids.tolist(), role=ImageRole.QUERY).exists()
    assert len(samples_of(collection, "category", with_queries=True)) == 21


def test_labels_of_a_benchmark_join_what_is_relevant_to_one_query() -> None:
    collection = factories.CollectionFactory()
    benchmark = factories.BenchmarkFactory(collection=collection, name="truth")
    images = [factories.ImageFactory(product=None, collection=collection) for _ in range(7)]
    grades = {0: (0, 1), 1: (1, 2), 2: (3, 4, 5)}  # the first two share a picture
    for number, members in grades.items():
        query = factories.QueryFactory(benchmark=benchmark, name=f"q{number}")
        for member in members:
            factories.LabelFactory(query=query, image=images[member], grade=Grade.EASY if member % 2 else Grade.HARD)
    factories.LabelFactory(query=query, image=images[6], grade=Grade.JUNK)
    found = samples_of(collection, "benchmark:truth")
    assert found.classes == ["q0", "q2"]
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.notes == {"unlabelled": 1, "queries": 3}


def test_copies_and_patients_stay_on_one_side() -> None:
    collection = make_stripes(each=2)
    copy = factories.ProductFactory(collection=collection, category=CATEGORIES[0])
    factories.ImageFactory(product=copy, data=png(0, 0))
    found = samples_of(collection, "category")
    assert len(set(found.contents)) == 12
    assert found.contents[-1] == found.contents[0]
    study = DicomStudy.objects.create(collection=collection, key="s", patient="p")
    series = DicomSeries.objects.create(study=study, key="s", modality="CT")
    images = Image.objects.filter(pk__in=found.ids[[1, 4]].tolist())  # two categories
    for image in images:
        DicomFrame.objects.create(image=image, series=series, instance="i", window_source="none")
    found = samples_of(collection, "category")
    for codes in (found.groups, found.contents):
        assert codes[1] == codes[4]
        assert len(set(codes)) < len(found)


# --- What is refused at once


def test_what_would_fail_is_refused_before_it_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    collection = make_stripes(each=3)
    classical = factories.FeatureModelFactory(name="classical")
    with pytest.raises(NotTrainable, match="classical"):
        finetune_create(collection, classical, "tuned", options())
    small = factories.FeatureModelFactory(name="small", quantised_from=classical, backbone="resnet18")
    with pytest.raises(NotTrainable, match="8 bits"):
        finetune_create(collection, small, "tuned", options())
    network = make_network()
    with pytest.raises(TooFewLabels, match="to hold out"):
        finetune_create(collection, network, "tuned", options())  # two are kept of three
    with pytest.raises(NameTaken):
        finetune_create(make_stripes(slug="more", each=6), network, "small", options())
    assert not TrainingRun.objects.exists()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Messages instead of work: name and arguments."""
    messages: list[tuple[str, tuple[Any, ...]]] = []
    for task in (tasks.embed_pending, tasks.build_run):

        def send(*args: Any, _name: str = task.name) -> None:
            messages.append((_name.split(".")[-1], args))

        monkeypatch.setattr(task, "delay", send)
        monkeypatch.setattr(task, "delay_on_commit", send)
    return messages
