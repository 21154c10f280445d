"""Scans on real files: what is found, what is not, and what never comes back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.jobs import JobState
from catalog.models import Collection, Image, ImageRole
from catalog.services import image_delete
from search import maintenance, serving
from search.builds import build_create, build_run, index_for
from search.duplicates import comparing
from search.duplicates.decisions import group_dismiss, group_keep, group_merge, group_reopen
from search.duplicates.scans import BadThreshold, ScanRunning, scan_create, scan_run
from search.embedding import embed_pending
from search.models import DuplicateGroup, DuplicateScan, PerceptualHash
from tests.factories import CollectionFactory, FeatureModelFactory, ProductFactory
from tests.search.duplicates.gallery import add, again, cut, members, original, scan, smaller

pytestmark = pytest.mark.django_db
KIND = DuplicateGroup.Kind


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def collection() -> Collection:
    return CollectionFactory(slug="shop")


@pytest.fixture
def others(collection: Collection) -> list[Image]:
    """Eight pictures that are no duplicates of anything."""
    return [add(collection, original(seed)) for seed in range(100, 108)]


def only(collection: Collection) -> DuplicateGroup:
    return DuplicateGroup.objects.get(collection=collection, state=DuplicateGroup.State.OPEN)


def test_the_same_file_of_two_products_is_an_exact_group(collection: Collection, others: list[Image]) -> None:
    first, second = add(collection, original(1)), add(collection, original(1))
    done = scan(collection)
    assert members(collection) == [{first.pk, second.pk}]
    group = only(collection)
    assert (group.kind, done.found) == (KIND.EXACT, 1)
    assert list(group.members.values_list("score", "hash_distance")) == [(None, None), (1.0, 0)]


@pytest.mark.parametrize("changed", [again, smaller, cut])
def test_the_same_picture_saved_otherwise_is_near(collection: Collection, others: list[Image], changed: Any) -> None:
    first, second = add(collection, original(1)), add(collection, changed(1))
    scan(collection)
    assert members(collection) == [{first.pk, second.pk}]
    group = only(collection)
    measured = group.members.get(image=second)
    assert group.kind == KIND.NEAR
    assert measured.score is not None
    assert group.score == pytest.approx(measured.score)
    assert measured.hash_distance is not None
    assert measured.hash_distance <= 40


def test_different_pictures_are_no_duplicates(collection: Collection, others: list[Image]) -> None:
    assert scan(collection).found == 0


def test_query_pictures_and_other_collections_are_left_alone(collection: Collection) -> None:
    add(collection, original(1))
    add(collection, original(1), product=None, role=ImageRole.QUERY)
    add(CollectionFactory(), original(1))
    assert scan(collection).found == 0


def test_copies_and_near_copies_are_one_group(collection: Collection, others: list[Image]) -> None:
    pictures = [add(collection, data) for data in (original(1), original(1), again(1), again(1), cut(1))]
    scan(collection)
    assert members(collection) == [{image.pk for image in pictures}]


def test_a_chain_is_no_group(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A and B match, B and C match, A and C do not: C must not be shown as a duplicate of A."""
    a, b, c = (add(collection, original(seed)) for seed in (1, 2, 3))
    alike = {frozenset((a.pk, b.pk)), frozenset((b.pk, c.pk))}
    monkeypatch.setattr(
        comparing.Comparing,
        "_same",
        lambda self, x, y: frozenset((int(self.contents.first[x]), int(self.contents.first[y]))) in alike,
    )
    scan(collection, min_score=-1.0)
    assert members(collection) == [{a.pk, b.pk}]
    group_dismiss(only(collection))
    scan(collection, min_score=-1.0)  # now the other half is asked about
    assert members(collection) == [{b.pk, c.pk}]


@pytest.mark.parametrize("decide", [group_keep, group_dismiss])
def test_a_decision_is_never_asked_again(collection: Collection, others: list[Image], decide: Any) -> None:
    pictures = [add(collection, data) for data in (original(1), original(1), cut(1))]
    scan(collection)
    decide(only(collection))
    later = scan(collection)
    assert (later.found, members(collection)) == (0, [])
    assert later.dismissed == 1
    third = add(collection, again(1, 40))  # something new beside what was decided
    scan(collection)
    assert members(collection) == [{pictures[0].pk, pictures[1].pk, third.pk}]  # the cut one was decided on


def test_a_decision_outlives_deletion_and_import(collection: Collection, others: list[Image]) -> None:
    add(collection, original(1))
    second = add(collection, again(1))
    scan(collection)
    group_dismiss(only(collection))
    image_delete(second)
    back = add(collection, again(1))
    assert back.pk != second.pk
    assert scan(collection).found == 0


def test_what_was_kept_can_be_decided_again(collection: Collection) -> None:
    add(collection, original(1)), add(collection, again(1))
    scan(collection)
    group = group_keep(only(collection))
    group_reopen(group)
    assert len(members(collection)) == 1
    group_dismiss(only(collection))
    assert scan(collection).found == 0


def test_an_open_group_is_found_again_not_doubled_and_grows(collection: Collection, others: list[Image]) -> None:
    pictures = [add(collection, original(1)), add(collection, again(1))]
    scan(collection)
    group = only(collection)
    pictures += [add(collection, cut(1)), add(collection, again(1))]
    assert scan(collection).found == 0
    assert only(collection).pk == group.pk
    assert members(collection) == [{image.pk for image in pictures}]


def test_other_thresholds_drop_what_they_did_not_find(collection: Collection, others: list[Image]) -> None:
    add(collection, original(1)), add(collection, cut(1))
    scan(collection)
    assert len(members(collection)) == 1
    scan(collection, max_hash_distance=0, min_score=1.0)
    assert members(collection) == []


def test_groups_of_deleted_pictures_vanish(collection: Collection, others: list[Image]) -> None:
    pair = add(collection, original(1)), add(collection, again(1))
    three = [add(collection, data) for data in (original(2), again(2), cut(2))]
    scan(collection)
    assert len(members(collection)) == 2
    image_delete(pair[1])
    image_delete(three[0])  # what the others were measured by
    scan(collection)
    assert members(collection) == [{three[1].pk, three[2].pk}]


def test_hashes_are_computed_once(collection: Collection, others: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    scan(collection)
    assert PerceptualHash.objects.count() == len(others)
    monkeypatch.setattr("search.duplicates.hashing.perceptual_hash", lambda _pixels: 1 / 0)
    scan(collection)


def test_an_unreadable_picture_does_not_end_a_scan(collection: Collection, others: list[Image]) -> None:
    others[0].file.storage.delete(str(others[0].thumbnail.name))
    pair = add(collection, original(1)), add(collection, again(1))
    scan(collection)
    assert members(collection) == [{image.pk for image in pair}]


def test_a_built_index_proposes_as_the_exact_search_does(collection: Collection, others: list[Image]) -> None:
    pair = add(collection, original(1)), add(collection, cut(1))
    index = index_for(collection)
    embed_pending(collection, index.feature_model)
    assert build_run(build_create(index).pk).state == JobState.DONE
    late = add(collection, again(1, 50))  # beside the build
    scan(collection, max_hash_distance=0)  # by descriptors alone
    assert members(collection) == [{pair[0].pk, pair[1].pk, late.pk}]


def test_a_feature_model_without_an_index(collection: Collection, others: list[Image]) -> None:
    pair = add(collection, original(1)), add(collection, cut(1))
    done = scan(collection, feature_model=FeatureModelFactory(), max_hash_distance=0)
    assert done.feature_model != index_for(collection).feature_model
    assert members(collection) == [{image.pk for image in pair}]


class Killed(BaseException):
    """Like SIGKILL: nothing of ours catches it."""


def test_a_killed_scan_goes_on_where_it_stopped(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(6):
        add(collection, original(seed)), add(collection, again(seed))
    monkeypatch.setattr(comparing, "CHUNK", 3)
    job = scan_create(collection)

    def kill(stage: str, done: int, total: int) -> None:
        if stage == "comparing" and done >= 6:
            raise Killed

    with pytest.raises(Killed):
        scan_run(job.pk, kill)
    assert len(members(collection)) == 3
    assert scan_run(job.pk).state == JobState.RUNNING  # nobody takes what may be alive
    DuplicateScan.objects.filter(pk=job.pk).update(heartbeat=timezone.now() - timedelta(minutes=2))
    assert maintenance.unfinished().scans == [job.pk]
    started: list[int] = []
    whole = comparing.Comparing.chunk
    monkeypatch.setattr(comparing.Comparing, "chunk", lambda self, row: (started.append(row), whole(self, row))[1])
    again_ = scan_run(job.pk)
    assert (again_.state, again_.found, started) == (JobState.DONE, 6, [6, 9])
    assert [len(group) for group in members(collection)] == [2] * 6


def test_one_scan_at_a_time(collection: Collection) -> None:
    job = scan_create(collection)
    with pytest.raises(ScanRunning):
        scan_create(collection)
    job.cancel()
    assert scan_run(job.pk).state == JobState.CANCELLED
    scan_create(collection)


def test_cancelling_keeps_what_was_found(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(4):
        add(collection, original(seed)), add(collection, again(seed))
    monkeypatch.setattr(comparing, "CHUNK", 2)
    monkeypatch.setattr("catalog.jobs.HEARTBEAT_S", 0.0)
    job = scan_create(collection)

    def cancel(stage: str, done: int, total: int) -> None:
        if stage == "comparing" and done >= 4:
            DuplicateScan.objects.filter(pk=job.pk).update(cancel_requested=True)

    assert scan_run(job.pk, cancel).state == JobState.CANCELLED
    assert 1 <= len(members(collection)) < 4


@pytest.mark.parametrize("options", [{"max_hash_distance": 65}, {"max_hash_distance": -1}, {"min_score": 1.5}])
def test_thresholds_are_checked(collection: Collection, options: dict[str, Any]) -> None:
    with pytest.raises(BadThreshold):
        scan_create(collection, **options)


def test_an_empty_collection(collection: Collection) -> None:
    assert scan(collection).found == 0


def test_a_merged_picture_that_comes_back_is_asked_about_again(collection: Collection) -> None:
    product = ProductFactory(collection=collection)
    first = add(collection, original(1), product=product)
    add(collection, again(1), product=product)
    scan(collection)
    group_merge(only(collection), first.pk)
    back = add(collection, again(1), product=product)
    scan(collection)
    assert members(collection) == [{first.pk, back.pk}]
