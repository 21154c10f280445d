"""What happens without anyone asking: embedding, first builds, rebuilds, resumed jobs, repair."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.jobs import JobState
from catalog.locks import try_lock
from catalog.models import Image
from search import consistency, maintenance, serving, side, tasks
from search.builds import build_create, build_run, index_for
from search.consistency import consistency_of
from search.indexes.saved import INDEX
from search.models import Embedding, FeatureModel, IndexBuild, SearchIndex, SearchLog, UploadedQuery
from search.services import query_upload
from tests.factories import CollectionFactory, EvaluationRunFactory, ImageFactory, ImportJobFactory, picture
from tests.search.gallery import add_pictures, make_index

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=2)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Messages instead of work: name and arguments."""
    from catalog.tasks import import_run

    messages: list[tuple[str, tuple[Any, ...]]] = []
    for task in (tasks.embed_pending, tasks.build_run, tasks.evaluation_run, import_run):

        def send(*args: Any, _name: str = task.name) -> None:
            messages.append((_name.split(".")[-1], args))

        monkeypatch.setattr(task, "delay", send)
        monkeypatch.setattr(task, "delay_on_commit", send)
    return messages


def test_names_are_those_that_settings_route() -> None:
    queued = ("embed_pending", "training_run", "build_run", "evaluation_run", "duplicates_scan")
    routed = {f"search.{name}" for name in queued}
    assert routed == set(settings.CELERY_TASK_ROUTES)
    names = {task.name for task in vars(tasks).values() if hasattr(task, "delay")}
    assert names == {
        *settings.CELERY_TASK_ROUTES,
        "search.jobs_resume",
        "search.index_maintain",
        "search.queries_purge",
        "search.reindex",
    }


def test_embedding_goes_in_chunks_and_ends_in_a_first_build(sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "EMBED_CHUNK", 2)
    collection = CollectionFactory()
    index = index_for(collection)
    for seed in range(3):
        ImageFactory(product=None, collection=collection, seed=seed)
    arguments = (collection.pk, index.feature_model_id)
    sent.clear()
    tasks.embed_pending(*arguments)
    assert Embedding.objects.count() == 2
    assert sent == [("embed_pending", arguments)]
    sent.clear()
    tasks.embed_pending(*arguments)
    build = IndexBuild.objects.get()
    assert Embedding.objects.count() == 3
    assert sent == [("build_run", (build.pk,))]
    tasks.build_run(build.pk)
    index.refresh_from_db()
    assert index.active_build == build
    sent.clear()
    tasks.embed_pending(*arguments)  # delivered twice
    assert (Embedding.objects.count(), sent) == (3, [])


def test_what_was_deleted_meanwhile_is_no_error(sent: list[Any]) -> None:
    tasks.embed_pending(10**6, 10**6)
    assert sent == []


def test_a_failed_first_build_is_not_tried_again_at_once(sent: list[Any]) -> None:
    index = make_index(10, factory="nonsense")
    assert len(maintenance.first_builds(index.collection_id, index.feature_model_id)) == 1
    assert build_run(IndexBuild.objects.get().pk).state == JobState.FAILED
    assert maintenance.first_builds(index.collection_id, index.feature_model_id) == []
    IndexBuild.objects.update(created=timezone.now() - timedelta(hours=2))
    assert len(maintenance.first_builds(index.collection_id, index.feature_model_id)) == 1


def test_jobs_of_killed_workers_are_sent_again_once(sent: list[Any]) -> None:
    index = make_index(5)
    build, run, job = build_create(index), EvaluationRunFactory(), ImportJobFactory()
    fresh = build_create(make_index(5))
    running = build_create(make_index(5))
    assert running.claim()
    for row in (build, run, job, running):
        type(row).objects.filter(pk=row.pk).update(heartbeat=timezone.now() - LONG_AGO)
    tasks.jobs_resume()
    jobs = [message for message in sent if message[0] != "embed_pending"]
    assert sorted(jobs) == sorted(
        [
            ("import_run", (job.pk,)),
            ("build_run", (build.pk,)),
            ("build_run", (running.pk,)),
            ("evaluation_run", (run.pk,)),
        ]
    )
    assert fresh.pk not in [message[1][0] for message in jobs]
    sent.clear()
    tasks.jobs_resume()
    assert [message for message in sent if message[0] != "embed_pending"] == []
    assert build_run(running.pk).state == JobState.DONE


def test_a_build_that_is_silent_but_alive_is_left_alone(sent: list[Any]) -> None:
    build = build_create(make_index(5))
    build.claim()
    IndexBuild.objects.update(heartbeat=timezone.now() - LONG_AGO)
    from django.db import connection

    if connection.vendor == "postgresql":
        pytest.skip("an advisory lock is re-entrant in its own session")
    with try_lock(f"build-{build.index_id}"):
        tasks.jobs_resume()
        assert build_run(build.pk).state == JobState.RUNNING
    assert sent == []


def test_pictures_that_wait_are_embedded_also_where_nobody_made_an_index(sent: list[Any]) -> None:
    lone = ImageFactory(product=None)
    index = make_index(5)
    waiting = ImageFactory(product=None, collection=index.collection)
    make_index(5)
    sent.clear()
    tasks.jobs_resume()
    made = SearchIndex.objects.get(collection=lone.collection)
    assert sorted(sent) == sorted(
        [
            ("embed_pending", (lone.collection_id, made.feature_model_id)),
            ("embed_pending", (waiting.collection_id, index.feature_model_id)),
        ]
    )


def test_rebuilds_are_due_by_share(sent: list[Any]) -> None:
    index = make_index(300, rebuild_share=0.1)
    tasks.index_maintain()
    (first,) = IndexBuild.objects.all()
    assert sent == [("build_run", (first.pk,))]
    tasks.index_maintain()  # one is queued
    build_run(first.pk)
    tasks.index_maintain()
    assert len(sent) == 1
    add_pictures(index, 28, seed=3)
    tasks.index_maintain()
    assert len(sent) == 1
    add_pictures(index, 5, seed=4)
    tasks.index_maintain()
    assert len(sent) == 2


def test_rebuilds_are_due_by_deletions_and_by_another_fingerprint(sent: list[Any]) -> None:
    index = make_index(200)
    build_run(build_create(index).pk)
    Image.objects.filter(pk__in=list(index.collection.images.values_list("pk", flat=True)[:30])).delete()
    assert len(maintenance.due_builds()) == 1
    build_run(IndexBuild.objects.first().pk)
    assert maintenance.due_builds() == []
    FeatureModel.objects.update(fingerprint="e" * 64)
    assert len(maintenance.due_builds()) == 1


def test_small_collections_need_no_build(sent: list[Any]) -> None:
    make_index(10)
    tasks.index_maintain()
    assert sent == []


def test_reindexing_by_schedule(sent: list[Any]) -> None:
    one, two = make_index(10), make_index(10)
    SearchIndex.objects.create(collection=CollectionFactory(), feature_model=one.feature_model)  # nothing in it
    tasks.reindex(one.pk)
    tasks.reindex()
    assert [IndexBuild.objects.get(pk=args[0]).index for _, args in sent] == [one, two]


def test_uploads_are_purged() -> None:
    query = query_upload(CollectionFactory(), picture(1))
    tasks.queries_purge()
    assert UploadedQuery.objects.count() == 1
    UploadedQuery.objects.filter(pk=query.pk).update(created=timezone.now() - timedelta(days=30))
    tasks.queries_purge()
    assert UploadedQuery.objects.count() == 0


def fresh(index: SearchIndex) -> SearchIndex:
    return SearchIndex.objects.select_related("active_build", "feature_model", "collection").get(pk=index.pk)


def test_the_check_counts_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(40)
    assert consistency_of(fresh(index)).is_sound
    build_run(build_create(index).pk)
    add_pictures(index, 3, seed=3)
    images = list(index.collection.images.order_by("id"))
    images[0].delete()
    Embedding.objects.filter(image=images[1]).update(vector=None, error="broken")
    found = consistency_of(fresh(index))
    assert found.is_sound
    assert (found.embedded, found.failed, found.in_build, found.added, found.gone) == (41, 1, 40, 3, 2)


def test_an_evaluation_that_is_silent_but_alive_is_left_alone(sent: list[Any]) -> None:
    """Ranking a large gallery can be silent for longer than a minute."""
    run = EvaluationRunFactory(state=JobState.RUNNING, heartbeat=timezone.now() - LONG_AGO)
    with try_lock(f"evaluation-{run.pk}"):
        tasks.jobs_resume()
    run.refresh_from_db()
    assert (run.state, sent) == (JobState.RUNNING, [])
    tasks.jobs_resume()
    assert sent == [("evaluation_run", (run.pk,))]


def test_a_job_that_shows_life_at_that_moment_is_left_alone() -> None:
    ImportJobFactory(state=JobState.RUNNING, heartbeat=timezone.now() - LONG_AGO)
    with CaptureQueriesContext(connection) as asked:
        maintenance.unfinished()
    update = next(query["sql"] for query in asked if query["sql"].startswith("UPDATE"))
    assert "heartbeat" in update.partition(" WHERE ")[2]


def test_looking_for_unfit_embeddings_reads_their_length_alone() -> None:
    index = make_index(5)
    with CaptureQueriesContext(connection) as asked:
        assert consistency.unfit_ids(fresh(index)) == []
    chosen, _, conditions = asked[-1]["sql"].upper().partition(" FROM ")
    assert "VECTOR" not in chosen
    assert "LENGTH(" in conditions


def test_the_log_of_searches_does_not_grow_for_ever() -> None:
    index = make_index(5)
    old, young = (SearchLog.objects.create(index=index, source="web", hits=0) for _ in range(2))
    SearchLog.objects.filter(pk=old.pk).update(created=timezone.now() - timedelta(days=91))
    tasks.queries_purge()
    assert list(SearchLog.objects.all()) == [young]


def test_the_check_finds_and_repairs_what_differs(sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(40)
    hidden = index.collection.images.first()
    Image.objects.filter(pk=hidden.pk).update(role="query")
    build = build_run(build_create(index).pk)
    Image.objects.filter(pk=hidden.pk).update(role="gallery")  # shown again: older than the build, and not in it
    for module in (consistency, side):
        monkeypatch.setattr(module, "OVERLAP", 5)
    unfit = Embedding.objects.order_by("-id").first()
    Embedding.objects.filter(pk=unfit.pk).update(vector=b"\0\0")
    found = consistency_of(fresh(index))
    assert (found.lost, found.unfit, found.is_sound) == (1, 1, False)
    tasks.index_maintain(check=True)
    assert ("embed_pending", (index.collection_id, index.feature_model_id)) in sent
    assert not Embedding.objects.filter(pk=unfit.pk).exists()
    again = IndexBuild.objects.exclude(pk=build.pk).get()
    build_run(again.pk)
    assert consistency_of(fresh(index)).lost == 0


def test_the_check_hashes_the_files(sent: list[Any]) -> None:
    index = make_index(40)
    path = build_run(build_create(index).pk).folder / INDEX
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = consistency_of(fresh(index))
    assert INDEX in found.broken
    assert not found.is_sound
    tasks.index_maintain(check=True)
    assert [name for name, _ in sent] == ["build_run"]


def test_folders_of_deleted_indexes_are_swept() -> None:
    index, other = make_index(10), make_index(10)
    folders = [build_run(build_create(each).pk).folder.parent for each in (index, other)]
    other.collection.delete()
    assert maintenance.sweep_folders() == 1
    assert [folder.exists() for folder in folders] == [True, False]


def test_the_command_tells_by_its_exit_status(sent: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    index = make_index(40)
    build = build_run(build_create(index).pk)
    call_command("check_index")
    assert "sound: embedded 40" in capsys.readouterr().out
    (build.folder / INDEX).unlink()
    with pytest.raises(CommandError) as raised:
        call_command("check_index", index.collection.slug, "--repair")
    assert raised.value.returncode == 1
    assert "NOT SOUND" in capsys.readouterr().out
    assert [name for name, _ in sent] == ["build_run"]
