"""A serving process follows builds and changes, and answers whatever happens to the files."""

from __future__ import annotations

import gc
import logging
import os
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Image, ImageRole
from search import serving
from search.builds import build_activate, build_create, build_rollback, build_run, index_make_default
from search.indexes.saved import INDEX
from search.models import Embedding, FeatureModel, IndexBuild, SearchIndex
from search.ranking import Facts
from search.serving import Live, live
from tests.search.gallery import DIM, add_pictures, embed, make_index
from tests.search.indexes.descriptors import clustered
from tests.search.processes import finished, start

pytestmark = pytest.mark.django_db
QUERY = clustered(1, DIM, seed=50)[0]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


def built(index: SearchIndex, **options: object) -> IndexBuild:
    return build_run(build_create(index, **options).pk)  # type: ignore[arg-type]


def lookup(ids: Sequence[int]) -> Mapping[int, Facts]:
    return {pk: Facts() for pk in Image.objects.filter(pk__in=ids, role=ImageRole.GALLERY).values_list("pk", flat=True)}


def found(index: SearchIndex, k: int = 10, query: np.ndarray = QUERY) -> list[int]:
    return [hit.id for hit in live(index).search(query, k, lookup)[0].hits]


def truth(index: SearchIndex, k: int = 10, query: np.ndarray = QUERY) -> list[int]:
    rows = Embedding.objects.filter(image__collection=index.collection).values_list("image_id", "vector")
    scored = sorted((-float(np.frombuffer(v, "<f2").astype(np.float32) @ query), i) for i, v in rows)
    return [i for _, i in scored[:k]]


def wait_until(condition: object, seconds: float = 2.0) -> float:
    """Seconds until it held; fails after ``seconds``."""
    start_s = time.monotonic()
    while time.monotonic() - start_s < seconds:
        if condition():  # type: ignore[operator]
            return time.monotonic() - start_s
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def test_before_the_first_build_search_is_exact() -> None:
    index = make_index(200)
    assert found(index) == truth(index)
    assert live(index).state().build is None


def test_a_build_is_noticed_and_gives_the_same_answers() -> None:
    index = make_index(200)
    before = found(index)
    build = built(index)
    wait_until(lambda: live(index).state().build == build)
    assert found(index) == before
    state = live(index).state()
    assert (len(state.side.exact), len(state)) == (0, 200)


def test_a_new_picture_is_found_and_a_deleted_one_gone_within_two_seconds() -> None:
    index = make_index(200)
    built(index)
    assert len(found(index)) == 10
    (new,) = add_pictures(index, 1, QUERY[None])
    wait_until(lambda: found(index)[0] == new.pk)
    old = found(index)[1]
    Image.objects.filter(pk__in=[new.pk, old]).delete()
    after = found(index)  # at once: hits are rows
    assert not {new.pk, old} & set(after)
    assert after == truth(index)
    assert index.builds.count() == 1


def test_many_deleted_pictures_do_not_empty_the_result() -> None:
    index = make_index(500, fine_depth=20)
    built(index)
    Image.objects.filter(pk__in=truth(index, 300)).delete()
    assert found(index, 50) == truth(index, 50)
    assert found(index, 50) == truth(index, 50)  # masked now
    assert len(live(index).state().masked) >= 20


def test_a_picture_embedded_again_counts_with_its_new_descriptor() -> None:
    index = make_index(100)
    best = truth(index)[0]
    for _ in range(2):  # in the build, then beside it
        built(index)
        found(index)
        Embedding.objects.filter(image=best).delete()
        embed(index, [Image.objects.get(pk=best)], -QUERY[None])
        wait_until(lambda: best not in found(index))
        Embedding.objects.filter(image=best).delete()
        embed(index, [Image.objects.get(pk=best)], QUERY[None])
        wait_until(lambda: found(index)[0] == best)


def test_embeddings_committed_out_of_order_are_found() -> None:
    """A lower id can become visible after a higher one was seen, in the build or beside it."""
    index = make_index(50)
    (late,) = add_pictures(index, 1, QUERY[None])
    row = Embedding.objects.get(image=late)
    Embedding.objects.filter(pk=row.pk).delete()
    add_pictures(index, 3, seed=8)
    build = built(index)
    assert build.watermark > row.pk
    assert late.pk not in found(index)
    row.save(force_insert=True)
    wait_until(lambda: found(index)[0] == late.pk)


def test_hidden_pictures_are_masked_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(100)
    built(index)
    best = found(index)[0]
    Image.objects.filter(pk=best).update(role=ImageRole.QUERY)
    assert best not in found(index)
    Image.objects.filter(pk=best).update(role=ImageRole.GALLERY)
    monkeypatch.setattr(serving, "FORGET_AND_RETRY_EVERY_S", 0.0)
    wait_until(lambda: found(index)[0] == best)


def test_rolling_back_and_activating_are_followed() -> None:
    index = make_index(100)
    first, second = built(index), built(index, factory="SQ8")
    wait_until(lambda: live(index).state().build == second)
    index.refresh_from_db()
    build_rollback(index)
    wait_until(lambda: live(index).state().build == first)
    build_activate(second)
    wait_until(lambda: live(index).state().build == second)


def test_the_old_build_is_closed_when_its_last_reader_is_done() -> None:
    index = make_index(100)
    built(index)
    reader = live(index).state()
    old = weakref.ref(reader.saved.index)  # type: ignore[union-attr, arg-type]
    second = built(index)
    wait_until(lambda: live(index).state().build == second)
    assert reader.pipeline.search(QUERY, 5, lookup).hits  # still answers
    assert old() is not None
    del reader
    gc.collect()
    assert old() is None


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "delete all"])
def test_broken_files_mean_exact_search_and_an_error_in_the_log(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    index = make_index(100)
    path = built(index).folder / INDEX
    data = path.read_bytes()
    if damage == "flip":
        path.write_bytes(data[:200] + bytes([data[200] ^ 255]) + data[201:])
    elif damage == "truncate":
        path.write_bytes(data[:100])
    elif damage == "delete":
        path.unlink()
    else:
        _remove(path.parent)
    with caplog.at_level(logging.ERROR):
        assert found(index) == truth(index)
    assert "is not served" in caplog.text
    assert live(index).state().build is None
    (new,) = add_pictures(index, 1, QUERY[None])
    wait_until(lambda: found(index)[0] == new.pk)
    good = built(index)
    wait_until(lambda: live(index).state().build == good)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_a_build_of_other_descriptors_is_not_served(caplog: pytest.LogCaptureFixture) -> None:
    index = make_index(50)
    built(index)
    FeatureModel.objects.update(fingerprint="e" * 64)
    assert len(found(index)) == 10
    assert "fingerprint" in caplog.text


def test_configuration_is_followed_and_mistakes_in_it_are_survived(caplog: pytest.LogCaptureFixture) -> None:
    index = make_index(100, factory="IVF4,Flat")
    built(index)
    found(index)
    SearchIndex.objects.update(rules=[{"rule": "min_score", "score": 1.0}], search_params={"nprobe": 4})
    wait_until(lambda: found(index) == [])
    SearchIndex.objects.update(rules=[{"rule": "nonsense"}], search_params={"efSearch": 4})
    wait_until(lambda: len(found(index)) == 10)
    assert "nonsense" in caplog.text
    assert "efSearch" in caplog.text


def test_the_database_is_asked_once_a_second() -> None:
    index = make_index(100)
    built(index)
    found(index)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(20):
            live(index).state()
    assert len(queries) <= 3


def test_each_index_has_one_pipeline_a_process() -> None:
    index = make_index(10)
    assert live(index) is live(SearchIndex.objects.get(pk=index.pk))
    assert live(make_index(10)) is not live(index)


def test_a_fork_starts_with_nothing_open() -> None:
    index = make_index(10)
    live(index)
    if not (child := os.fork()):
        os._exit(0 if not serving._lives else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert serving._lives


def test_faiss_is_imported_by_the_first_build_or_search_alone(tmp_path: Path) -> None:
    code = "import sys, json, search.services, search.tasks, search.serving\nprint(json.dumps('faiss' in sys.modules))"
    assert finished(start(code, tmp_path)) is False


SWAPS = """
import json, threading, time
from django.core.management import call_command
from django.db import connection
call_command("migrate", verbosity=0)
import numpy as np
from catalog.models import Image
from search.builds import build_create, build_run, build_rollback
from search.serving import live
from search.services import search_by_image
from tests.search.gallery import DIM, add_pictures, make_index
from tests.search.indexes.descriptors import clustered

index = make_index(3000)
images = list(index.collection.images.order_by("id")[:20])
def answer(image):
    return [hit.image.pk for hit in search_by_image(index.collection, image, k=10).hits]
expected = [answer(image) for image in images]
everyone = clustered(3000, DIM)[:20]
away = -everyone.mean(axis=0)
away /= np.linalg.norm(away)
stop, failures, wrong, searches, builds_seen = threading.Event(), [], [], [0] * 4, set()

def search(worker):
    number = worker
    try:
        while not stop.is_set():
            number = (number + 1) % 20
            results = search_by_image(index.collection, images[number], k=10)
            builds_seen.add(results.build.pk if results.build else None)
            hits = [hit.image.pk for hit in results.hits]
            if hits != expected[number]:
                wrong.append([number, hits, expected[number]])
            searches[worker] += 1
            time.sleep(0.002)
    except Exception as error:
        failures.append(repr(error))
    finally:
        connection.close()

threads = [threading.Thread(target=search, args=(worker,), daemon=True) for worker in range(4)]
[thread.start() for thread in threads]
made = []
for factory in ("Flat", "HNSW16", "Flat", "SQfp16"):
    far = add_pictures(index, 20, np.repeat(away[None], 20, axis=0))
    build = build_run(build_create(index, factory=factory).pk)
    assert build.state == "done", build.error
    made.append(build.pk)
    Image.objects.filter(pk__in=[image.pk for image in far[:10]]).delete()
    time.sleep(1.5)
index.refresh_from_db()
build_rollback(index)
time.sleep(1.5)
stop.set()
[thread.join() for thread in threads]
print(json.dumps([failures, wrong[:3], sum(searches), sorted(made), sorted(b for b in builds_seen if b)]))
"""


def test_swapping_under_constant_searches_fails_none_and_answers_none_wrong(tmp_path: Path) -> None:
    failures, wrong, searches, made, seen = finished(start(SWAPS, tmp_path), timeout_s=240)
    assert failures == []
    assert wrong == []
    assert searches > 50
    assert seen == made


def test_a_live_of_its_own_sees_what_was_just_embedded() -> None:
    """What evaluation runs rely on."""
    index = make_index(10)
    built(index)
    live(index).state()
    add_pictures(index, 5, seed=4)
    assert len(Live(index.pk).state()) == 15


def test_another_default_index_is_followed_and_a_deleted_one_survived() -> None:
    index = make_index(30)
    collection = index.collection
    assert serving.default_index(collection) == index
    kept = live(index)
    kept.state()
    other = SearchIndex.objects.create(
        collection=collection, name="other", feature_model=index.feature_model, is_default=False
    )
    index_make_default(other)
    wait_until(lambda: serving.default_index(collection) == other)
    index.delete()
    time.sleep(serving.CHECK_EVERY_S)
    assert len(kept.state()) == 30


def test_depths_are_followed() -> None:
    index = make_index(60)
    found(index)
    SearchIndex.objects.update(fine_depth=7, rules_depth=5)
    wait_until(lambda: live(index).state().pipeline.rules_depth == 5)
    assert live(index).state().pipeline.fine_depth == 7


def test_a_pinned_product_is_found_wherever_it_is() -> None:
    """In the build, beside it, and not at all once its pictures are gone."""
    index = make_index(300, fine_depth=20, rules_depth=20)
    built(index)
    far = truth(index, 300)[-1]
    sku = Image.objects.get(pk=far).product.sku  # type: ignore[union-attr]
    SearchIndex.objects.update(rules=[{"rule": "pin", "skus": [sku]}])
    serving.forget()
    assert found(index)[:2] == [far, truth(index)[0]]
    Embedding.objects.filter(image=far).delete()
    embed(index, [Image.objects.get(pk=far)], -QUERY[None])
    wait_until(lambda: len(live(index).state().side.exact) == 1)
    ranking, _ = live(index).search(QUERY, 3, lookup)
    assert ranking.hits[0].id == far
    assert ranking.hits[0].score == pytest.approx(-1.0, abs=1e-3)
    assert [reason.rule for reason in ranking.hits[0].reasons] == ["pin"]
    Image.objects.filter(pk=far).delete()
    assert found(index) == truth(index)


def test_other_rules_can_stand_in_for_one_search() -> None:
    index = make_index(100, rules=[{"rule": "min_score", "score": 1.0}])
    assert found(index) == []
    ranking, _ = live(index).search(QUERY, 5, lookup, rules=())
    assert [hit.id for hit in ranking.hits] == truth(index, 5)


def test_what_is_beside_the_build_is_looked_up_not_sorted() -> None:
    """Once a second, with ten million in the build: no array of the build's size is made."""
    index = make_index(50)
    built(index)
    side = live(index).state().side
    (new,) = add_pictures(index, 1, QUERY[None])
    assert side.refresh() is False  # the same objects, grown
    assert side.exact.ids.tolist() == [new.pk]
    saved = live(index).state().saved
    assert saved is not None
    assert saved.embedding_ids.base is not None  # the file itself
    assert saved.originals.holds(np.array([new.pk])).tolist() == [False]
