"""The life of an index on a real Milvus server: built, activated, searched, rolled back, pruned, swept."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.core.cache import caches

from catalog.errors import JobCancelled
from catalog.jobs import JobState
from catalog.models import Benchmark, Collection, Image
from search import demo
from search.builds import (
    BuildNotReady,
    build_activate,
    build_create,
    build_rollback,
    build_run,
    builds_prune,
    collections_sweep,
)
from search.engines import _aliases
from search.evaluations import evaluation_create, evaluation_run
from search.filters import Filters
from search.indexes import IndexFault, fallback, milvus_server
from search.indexes.milvus_server import client, server
from search.indexes.saved import EMBEDDINGS, IDS, MANIFEST, ORIGINALS, POINTER, SavedBuild
from search.models import IndexBuild, SearchIndex
from search.services import search_by_image
from search.serving import Live, live
from tests.search.gallery import DIM, make_index
from tests.search.indexes.descriptors import clustered
from tests.search.milvus import Line
from tests.services.conftest import wait_for

pytestmark = [pytest.mark.milvus, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def own_collections(settings: Any) -> Iterator[None]:
    """Each test's collections are its own: row ids begin anew with each of them."""
    settings.MILVUS_PREFIX = f"t{uuid4().hex}"
    yield
    milvus_server.forget()


@pytest.fixture
def on_milvus(settings: Any, milvus_uri: str) -> None:
    settings.MILVUS_URI = milvus_uri


def built(index: SearchIndex, **options: Any) -> IndexBuild:
    build = build_run(build_create(index, **options).pk)
    assert build.state == JobState.DONE, build.error
    return build


def collections() -> set[int]:
    """Builds of which the server holds a collection."""
    return {parsed[1] for name in client().list_collections() if (parsed := server().parsed(name))}


def aliased(index: SearchIndex) -> int | None:
    name = _aliases(client()).get(server().alias(index.pk))
    return None if name is None else server().parsed(name)[1]  # type: ignore[index]


def test_the_life_of_an_index(on_milvus: None) -> None:
    index = make_index(300, engine="milvus", factory="IVF_FLAT(nlist=8)", search_params={"nprobe": 8})
    first = built(index)
    assert {path.name for path in first.folder.iterdir()} == {POINTER, ORIGINALS, IDS, EMBEDDINGS, MANIFEST}
    manifest = json.loads((first.folder / MANIFEST).read_text())
    assert (manifest["engine"], manifest["factory"]) == ("milvus", "IVF_FLAT(nlist=8)")
    assert {"pymilvus", "milvus"} <= set(manifest["versions"])
    assert first.engine == "milvus"
    assert first.ann_recall == 1.0
    assert first.code_bytes == 300 * (8 + 4 * DIM) + 8 * DIM * 4
    assert set(first.timings) == {"reading", "training", "adding", "indexing", "measuring", "writing"}
    assert aliased(index) == first.pk

    images = list(index.collection.images.order_by("id"))
    hits = search_by_image(index.collection, images[0], k=20, filters=Filters(in_stock=True)).hits
    assert len(hits) == 20
    assert all(hit.image.product.stock for hit in hits)
    gone = hits[0].image.pk
    Image.objects.filter(pk=gone).delete()
    after = search_by_image(index.collection, images[0], k=20, filters=Filters(in_stock=True)).hits
    assert [hit.image.pk for hit in after[:19]] == [hit.image.pk for hit in hits[1:]]

    second = built(index, factory="IVF_SQ8(nlist=4)")
    assert aliased(index) == second.pk
    assert second.count == 299
    index.refresh_from_db()
    assert build_rollback(index) == first
    assert aliased(index) == first.pk
    assert Live(index.pk).state().build == first
    build_activate(second)
    assert aliased(index) == second.pk
    assert collections() == {first.pk, second.pk}

    assert builds_prune(index, keep=0) == 1
    assert collections() == {second.pk}
    index.delete()
    assert collections_sweep() == 1
    assert collections() == set()


def test_a_build_that_is_cancelled_or_fails_leaves_no_collection(on_milvus: None) -> None:
    index = make_index(50, engine="milvus", factory="FLAT")

    def cancel(stage: str, done: int, total: int) -> None:
        if stage == "indexing":
            raise JobCancelled

    assert build_run(build_create(index).pk, cancel).state == JobState.CANCELLED
    assert collections() == set()
    failed = build_run(build_create(index, factory="IVF_RABITQ").pk)  # which this server does not know
    assert failed.state == JobState.FAILED
    assert "IVF_RABITQ" in failed.error
    assert collections() == set()


def test_what_a_killed_build_left_is_replaced_and_swept(on_milvus: None) -> None:
    index = make_index(50, engine="milvus", factory="FLAT")
    build = build_create(index)
    dead = IndexBuild.objects.create(index=index, engine="milvus", state=JobState.FAILED)
    for pk in (build.pk, dead.pk):
        client().create_collection(server().collection(index.pk, pk), dimension=4)
    assert build_run(build.pk).state == JobState.DONE
    assert collections() == {build.pk}


def test_collections_that_are_not_served_leave_memory_and_come_back(
    on_milvus: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fallback, "RETRY_S", 0.0)

    def is_loaded(build: IndexBuild) -> bool:
        state = client().get_load_state(server().collection(index.pk, build.pk))
        return str(state["state"]) == "Loaded"

    index = make_index(60, engine="milvus", factory="FLAT")
    first = built(index)
    second = built(index)
    third = built(index, activate=False)
    assert [is_loaded(build) for build in (first, second, third)] == [False, True, True]
    index.refresh_from_db()
    assert build_rollback(index) == first
    assert is_loaded(first)
    client().release_collection(server().collection(index.pk, first.pk))  # by another program
    expected = found(index)
    assert "it is loading" in caplog.text
    saved = live(index).state().saved
    assert saved is not None
    wait_for(lambda: _answers(saved), 30, "it is loaded again")
    assert found(index) == expected


def test_presets_and_sizes_choose_a_kind_of_milvus(on_milvus: None) -> None:
    assert built(make_index(30, engine="milvus")).factory == "FLAT"
    assert built(make_index(30, engine="milvus", preset="graph")).factory == "HNSW(M=32)"


def test_augmented_originals_are_what_the_server_holds(on_milvus: None) -> None:
    index = make_index(60, engine="milvus", dba_neighbours=3)
    saved = SavedBuild.open(built(index).folder)
    assert saved.manifest.augmentation["neighbours"] == 3
    ids = saved.originals.ids
    scores, found = saved.index.search(saved.originals.vectors(ids[:5]), 1)
    assert found[:, 0].tolist() == ids[:5].tolist()
    np.testing.assert_allclose(scores[:, 0], 1.0, atol=2e-3)


def test_without_a_server_the_build_says_so_and_old_builds_of_faiss_go_on(settings: Any) -> None:
    settings.MILVUS_URI = "http://127.0.0.1:9"
    index = make_index(30)
    built(index)
    SearchIndex.objects.filter(pk=index.pk).update(engine="milvus")
    index.refresh_from_db()
    build = build_run(build_create(index).pk)
    assert build.state == JobState.FAILED
    assert "http://127.0.0.1:9 does not answer" in build.error
    assert "MILVUS_URI" in build.error
    settings.MILVUS_URI = ""
    build = build_run(build_create(index).pk)
    assert "MILVUS_URI is not set" in build.error
    assert Live(index.pk).state().build is not None


def test_a_server_that_stops_and_starts_again(
    settings: Any, milvus_uri: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile exact search over the originals answers, with an error in the log; then the server again."""
    monkeypatch.setattr(fallback, "RETRY_S", 1.0)
    line = Line(milvus_uri)
    line.mend()
    settings.MILVUS_URI = line.uri
    index = make_index(200, engine="milvus", factory="IVF_FLAT(nlist=4)", search_params={"nprobe": 4})
    built(index)
    expected = found(index)
    assert "exact search answers" not in caplog.text
    line.cut()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert found(index) == expected
    assert caplog.text.count("exact search answers") == 1
    assert "does not answer" in caplog.text
    with pytest.raises(BuildNotReady, match="does not answer"):
        build_activate(IndexBuild.objects.get())
    line.mend()
    saved = live(index).state().saved
    assert saved is not None
    wait_for(lambda: not saved.index.is_down and _answers(saved), 60, "it answers again")  # type: ignore[attr-defined]
    assert found(index) == expected
    assert not saved.index.is_down  # type: ignore[attr-defined]


def _answers(saved: SavedBuild) -> bool:
    try:
        saved.index.index.search(clustered(1, DIM), 3)  # type: ignore[attr-defined]
    except IndexFault:
        return False
    return True


def found(index: SearchIndex) -> list[int]:
    """By a search that is really made."""
    caches["answers"].clear()
    image = index.collection.images.order_by("id").first()
    assert image is not None
    return [hit.image.pk for hit in search_by_image(index.collection, image, k=10).hits]


def test_the_same_evaluation_gives_the_same_map_on_faiss_and_on_milvus(on_milvus: None) -> None:
    """Real pictures, the classical descriptor, the ground truth of the sample catalog."""
    collection: Collection = demo.sample_shop()
    demo.import_sample(collection, lambda *_: None)
    index = demo.embed(collection, lambda *_: None)
    benchmark = Benchmark.objects.filter(collection=collection).first()
    assert benchmark is not None
    figures = []
    for engine, factory in (("faiss", "Flat"), ("milvus", "FLAT"), ("faiss", "HNSW32"), ("milvus", "HNSW")):
        SearchIndex.objects.filter(pk=index.pk).update(engine=engine, factory=factory)
        index.refresh_from_db()
        built(index)
        run = evaluation_run(evaluation_create(benchmark, index, metrics=["mAP"]).pk)
        assert run.state == JobState.DONE, run.error
        figures.append(run.results["mAP"])
    assert 0.1 < figures[0] < 1.0
    assert figures == pytest.approx([figures[0]] * 4, abs=0.002)
