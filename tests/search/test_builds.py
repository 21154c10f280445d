"""The life of a build: made whole or not at all, activated, rolled back, pruned."""

from __future__ import annotations

import json
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.errors import JobCancelled
from catalog.jobs import JobState
from search import building, builds
from search.builds import (
    BuildAlreadyRunning,
    BuildNotReady,
    NoOlderBuild,
    build_activate,
    build_create,
    build_rollback,
    build_run,
    builds_prune,
    index_for,
)
from search.indexes import BrokenIndex
from search.indexes.saved import EMBEDDINGS, IDS, INDEX, MANIFEST, ORIGINALS, SavedBuild, sha256
from search.models import Embedding, FeatureModel, IndexBuild, SearchIndex
from tests.factories import CollectionFactory, FeatureModelFactory
from tests.search.gallery import DIM, FINGERPRINT, add_pictures, feature_model, make_index
from tests.search.indexes.descriptors import clustered
from tests.search.processes import finished, start

pytestmark = pytest.mark.django_db
FILES = {INDEX, ORIGINALS, IDS, EMBEDDINGS, MANIFEST}


def built(index: SearchIndex, **options: Any) -> IndexBuild:
    build = build_run(build_create(index, **options).pk)
    assert build.state == JobState.DONE, build.error
    return build


def test_a_build_is_written_measured_and_activated() -> None:
    index = make_index(300)
    build = built(index)
    assert {path.name for path in build.folder.iterdir()} == FILES
    assert [path.name for path in build.folder.parent.iterdir()] == [str(build.pk)]
    manifest = json.loads((build.folder / MANIFEST).read_text())
    assert (manifest["count"], manifest["dim"], manifest["factory"]) == (300, DIM, "SQfp16")
    assert manifest["fingerprint"] == build.fingerprint == FINGERPRINT
    assert manifest["watermark"] == build.watermark == Embedding.objects.order_by("-id").first().pk  # type: ignore[union-attr]
    assert manifest["files"][INDEX]["sha256"] == sha256(build.folder / INDEX)
    assert {"faiss", "numpy", "lookalike"} <= set(manifest["versions"])
    assert build.size_bytes == sum(path.stat().st_size for path in build.folder.iterdir())
    assert build.ann_recall == 1.0
    assert set(build.timings) == {"reading", "training", "adding", "measuring", "writing"}
    assert (build.done, build.total, build.stage) == (1, 1, "writing")
    index.refresh_from_db()
    assert index.active_build == build


def test_the_files_hold_the_embeddings() -> None:
    index = make_index(50)
    saved = SavedBuild.open(built(index).folder)
    x = clustered(50, DIM).astype(np.float16).astype(np.float32)
    ids = np.array(list(index.collection.images.order_by("id").values_list("id", flat=True)))
    np.testing.assert_array_equal(saved.originals.vectors(ids[::-1]), x[::-1])
    assert saved.index.search(x[7:8], 1)[1][0, 0] == ids[7]
    with pytest.raises(KeyError):
        saved.originals.vectors(np.array([10**9]))


@pytest.mark.parametrize(
    ("factory", "params"), [("IVF8,SQ8", {}), ("HNSW16", {"efSearch": 99}), ("PCA16,Flat", {}), ("IVF4,PQ8x4", {})]
)
def test_any_factory_is_built_and_its_recall_is_its_own(factory: str, params: dict[str, Any]) -> None:
    index = make_index(600, factory=factory, search_params=params)
    build = built(index)
    assert build.factory == factory
    assert 0.2 < build.ann_recall <= 1.0  # type: ignore[operator]
    assert build.ann_recall < 1.0 or "HNSW" in factory or "SQ8" in factory  # type: ignore[operator]
    saved = SavedBuild.open(build.folder)
    assert saved.manifest.search_params.items() >= params.items()


def test_recall_is_measured_against_exact_search() -> None:
    """An index that looks into one of many cells cannot hide it."""
    index = make_index(800, factory="IVF64,Flat", search_params={"nprobe": 1})
    assert built(index).ann_recall < 0.8  # type: ignore[operator]


def test_only_embedded_gallery_pictures_are_in_it() -> None:
    index = make_index(20)
    images = list(index.collection.images.order_by("id"))
    type(images[0]).objects.filter(pk=images[0].pk).update(role="query")
    Embedding.objects.filter(image=images[1]).update(vector=None, error="cannot be decoded")
    other = make_index(5)
    assert built(index).count == 18
    assert built(other).count == 5


def test_a_single_picture_is_a_build() -> None:
    assert built(make_index(1)).count == 1


def test_an_empty_collection_is_an_error_with_a_cure() -> None:
    index = SearchIndex.objects.create(collection=CollectionFactory(), feature_model=feature_model())
    build = build_run(build_create(index).pk)
    assert build.state == JobState.FAILED
    assert "no embedded pictures" in build.error
    assert "Import pictures" in build.error
    index.refresh_from_db()
    assert index.active_build is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"factory": "nonsense"}, "nonsense"),
        ({"factory": "Flat", "search_params": {"nprobe": 4}}, "nprobe"),
        ({"factory": "IVF512,Flat"}, "512"),
    ],
)
def test_a_build_that_cannot_be_says_why(fields: dict[str, Any], said: str) -> None:
    index = make_index(20, **fields)
    build = build_run(build_create(index).pk)
    assert build.state == JobState.FAILED
    assert said in build.error
    assert list(build.folder.parent.iterdir()) == []


def test_embeddings_of_another_length_are_refused() -> None:
    index = make_index(20)
    Embedding.objects.filter(pk=Embedding.objects.order_by("-id").first().pk).update(vector=b"\0" * 10)  # type: ignore[union-attr]
    build = build_run(build_create(index).pk)
    assert build.state == JobState.FAILED
    assert "do not fit the feature model known" in build.error


def test_one_build_at_a_time() -> None:
    index, other = make_index(20), make_index(20)
    build = build_create(index)
    with pytest.raises(BuildAlreadyRunning):
        build_create(index)
    build_create(other)
    build_run(build.pk)
    build_create(index)


def test_a_build_runs_once() -> None:
    build = built(make_index(20))
    written = (build.folder / INDEX).stat().st_mtime_ns
    again = build_run(build.pk)
    assert again.state == JobState.DONE
    assert (build.folder / INDEX).stat().st_mtime_ns == written


def test_a_build_that_another_process_works_on_is_left_alone() -> None:
    build = build_create(make_index(20))
    assert build.claim()
    assert build_run(build.pk).state == JobState.RUNNING
    assert not build.folder.exists()


def test_a_build_whose_process_died_is_done_again_and_the_rest_swept() -> None:
    build = build_create(make_index(20))
    assert build.claim()
    leftover = build.folder.parent / f"{building.PARTIAL}{build.pk}-abc"
    leftover.mkdir(parents=True)
    (leftover / ORIGINALS).write_bytes(b"half")
    build.folder.mkdir()  # died between the rename and the row
    IndexBuild.objects.filter(pk=build.pk).update(heartbeat=timezone.now() - timedelta(minutes=2))
    assert build_run(build.pk).state == JobState.DONE
    assert not leftover.exists()
    assert {path.name for path in build.folder.iterdir()} == FILES


@pytest.mark.parametrize("stage", ["reading", "training", "adding", "measuring", "writing"])
def test_cancelling_leaves_nothing_that_could_be_served(stage: str) -> None:
    index = make_index(20)
    before = built(index)
    build = build_create(index)

    def cancel(now: str, done: int, total: int) -> None:
        if now == stage:
            build.cancel()
            raise JobCancelled

    build = build_run(build.pk, cancel)
    assert build.state == JobState.CANCELLED
    assert [path.name for path in build.folder.parent.iterdir()] == [str(before.pk)]
    index.refresh_from_db()
    assert index.active_build == before


def test_a_cancel_request_is_heard_by_the_job_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.jobs.HEARTBEAT_S", 0.0)
    build = build_create(make_index(20))

    def ask(stage: str, done: int, total: int) -> None:
        if stage == "adding":
            IndexBuild.objects.get(pk=build.pk).cancel()

    assert build_run(build.pk, ask).state == JobState.CANCELLED


def test_an_unexpected_error_is_kept_on_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building, "publish", full)
    build = build_run(build_create(make_index(20)).pk)
    assert build.state == JobState.FAILED
    assert "No space left" in build.error
    assert list(build.folder.parent.iterdir()) == []


def test_an_interrupt_goes_on_but_the_row_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    build = build_create(make_index(20))

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_run(build.pk, interrupt)
    build.refresh_from_db()
    assert build.state == JobState.FAILED


def test_a_build_need_not_be_activated_and_can_be_later() -> None:
    index = make_index(20)
    first = built(index)
    second = built(index, activate=False, factory="SQ8")
    index.refresh_from_db()
    assert (index.active_build, second.factory) == (first, "SQ8")
    build_activate(second)
    index.refresh_from_db()
    assert index.active_build == second


def test_an_index_that_got_another_feature_model_meanwhile_does_not_serve_the_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, other = make_index(20), FeatureModelFactory(dim=DIM, fingerprint="e" * 64)

    def change(*args: Any) -> None:
        building.build_files(*args)
        SearchIndex.objects.update(feature_model=other)

    monkeypatch.setattr(builds, "build_files", change)
    build = build_run(build_create(index).pk)
    build.refresh_from_db()
    index.refresh_from_db()
    assert (build.state, index.active_build) == (JobState.DONE, None)
    assert "another feature model" in build.error


def test_rolling_back_goes_to_the_newest_usable_build_before() -> None:
    index = make_index(20)
    first, second, third = (built(index) for _ in range(3))
    index.refresh_from_db()
    (second.folder / MANIFEST).unlink()
    for path in second.folder.iterdir():
        path.unlink()
    second.folder.rmdir()
    assert build_rollback(index) == first
    index.refresh_from_db()
    assert index.active_build == first
    with pytest.raises(NoOlderBuild):
        build_rollback(index)
    build_activate(third)


def test_what_cannot_be_served_is_not_activated() -> None:
    index = make_index(20)
    with pytest.raises(BuildNotReady, match="queued"):
        build_activate(build_create(index))
    IndexBuild.objects.all().delete()
    build = built(index, activate=False)
    FeatureModel.objects.update(fingerprint="e" * 64)
    with pytest.raises(BuildNotReady, match="another feature model"):
        build_activate(build)


def test_pruning_keeps_the_newest_and_the_active() -> None:
    index = make_index(20)
    first = built(index)
    others = [built(index, activate=False) for _ in range(5)]  # each build prunes after itself
    kept = {first.pk, *(build.pk for build in others[-3:])}
    assert {int(path.name) for path in first.folder.parent.iterdir()} == kept
    assert IndexBuild.objects.filter(index=index).count() == 6
    assert builds_prune(index, keep=1) == 2
    assert first.folder.is_dir()


@pytest.mark.parametrize("name", [INDEX, ORIGINALS, IDS, EMBEDDINGS, MANIFEST])
def test_changed_or_missing_files_are_noticed(name: str) -> None:
    build = built(make_index(20))
    path = build.folder / name
    data = path.read_bytes()
    for broken in (data[:-3], bytes([data[0] ^ 1]) + data[1:], b""):
        path.write_bytes(broken)
        with pytest.raises(BrokenIndex, match=name):
            SavedBuild.open(build.folder)
    path.unlink()
    with pytest.raises(BrokenIndex):
        SavedBuild.open(build.folder)


def test_index_for_makes_one_with_the_default_feature_model() -> None:
    collection = CollectionFactory()
    index = index_for(collection)
    assert index.feature_model.is_default
    assert index.feature_model.dim > 0
    assert index_for(collection) == index
    assert SearchIndex.objects.filter(collection=collection).count() == 1


def test_the_command_builds_and_tells(capsys: pytest.CaptureFixture[str]) -> None:
    index = make_index(60)
    call_command("build_index", index.collection.slug, factory="SQ8")
    out = capsys.readouterr().out
    assert "60 pictures, SQ8, ann_recall@10" in out
    assert "served now" in out
    assert "writing" in out
    call_command("build_index", index.collection.slug, index="main", no_activate=True)
    assert "not activated" in capsys.readouterr().out


def test_the_command_makes_an_index_for_a_feature_model_and_the_default() -> None:
    index = make_index(30)
    call_command("build_index", index.collection.slug, "--index", "second", "--default",
                 "--feature-model", index.feature_model.name)  # fmt: skip
    second = index_for(index.collection)
    assert (second.name, second.feature_model) == ("second", index.feature_model)
    assert second.active_build is not None
    assert SearchIndex.objects.filter(collection=index.collection, is_default=True).count() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere"], "There is no collection"), (["{slug}", "--index", "no"], "It has: main"),
     (["{slug}", "--factory", "nonsense"], "nonsense"), (["{slug}", "--feature-model", "no"], "no feature model"),
     (["{slug}", "--feature-model", "other", "--index", "main"], "another --index")],
)  # fmt: skip
def test_the_command_names_what_is_wrong(arguments: list[str], said: str) -> None:
    slug = make_index(5).collection.slug
    FeatureModelFactory(name="other")
    with pytest.raises(CommandError, match=said):
        call_command("build_index", *(argument.format(slug=slug) for argument in arguments))


KILLED = """
import time
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.search.gallery import make_index
from search.builds import build_create, build_run
build = build_create(make_index(3000, factory="HNSW16"))
def slow(stage, done, total):
    if stage == "adding":
        print(build.pk, flush=True)
        time.sleep(60)
build_run(build.pk, slow)
"""
RESUMED = """
import json
from datetime import timedelta
from django.utils import timezone
from search.models import IndexBuild
from search.builds import build_run
build = IndexBuild.objects.get()
before = build.state, [p.name for p in build.folder.parent.iterdir()], build.index.active_build_id
early = build_run(build.pk).state
IndexBuild.objects.update(heartbeat=timezone.now() - timedelta(minutes=2))
build = build_run(build.pk)
build.index.refresh_from_db()
print(json.dumps([before, early, build.state, build.index.active_build_id == build.pk,
                  [p.name for p in build.folder.parent.iterdir()]]))
"""


def test_a_killed_build_leaves_nothing_and_is_resumed(tmp_path: Path) -> None:
    """kill -9, in a process of its own with a database of its own."""
    process = start(KILLED, tmp_path)
    assert process.stdout
    pk = int(process.stdout.readline())
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before, early, state, active, folders = finished(start(RESUMED, tmp_path))
    assert before[0] == "running"
    assert all(name.startswith(building.PARTIAL) for name in before[1])
    assert before[2] is None
    assert early == "running"  # its sign of life is fresh: another may be at work
    assert (state, active, folders) == ("done", True, [str(pk)])


def test_building_again_gives_the_same_index() -> None:
    index = make_index(400, factory="IVF8,SQ8")
    first, second = built(index), built(index)
    assert sha256(first.folder / INDEX) == sha256(second.folder / INDEX)
    assert builds.builds_prune(index) == 0


def test_pictures_added_after_the_start_are_not_in_it() -> None:
    index = make_index(40)
    build = build_create(index)

    def add(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == 0:
            add_pictures(index, 5, seed=3)

    build = build_run(build.pk, add)
    assert build.count == 40
    assert Embedding.objects.filter(id__gt=build.watermark).count() == 5
