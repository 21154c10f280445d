"""Merging: what the kept picture takes over, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.storage import default_storage

from catalog.models import Benchmark, Collection, Grade, Image, Label, Query
from search import serving
from search.duplicates.best import best_of, detail
from search.duplicates.decisions import (
    AlreadyDecided,
    NotInGroup,
    NotReopenable,
    SeveralProducts,
    group_dismiss,
    group_merge,
    group_reopen,
)
from search.evaluations import evaluation_create, evaluation_run
from search.models import DuplicateGroup, Embedding, QueryResult
from search.services import search_by_image
from tests.factories import BenchmarkFactory, CollectionFactory, LabelFactory, ProductFactory, QueryFactory, draw
from tests.search.duplicates.gallery import add, again, original, saved, scan

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def collection() -> Collection:
    return CollectionFactory()


@pytest.fixture
def pair(collection: Collection) -> tuple[Image, Image]:
    product = ProductFactory(collection=collection)
    return add(collection, original(1), product=product), add(collection, again(1), product=product)


def found(collection: Collection) -> DuplicateGroup:
    scan(collection)
    return DuplicateGroup.objects.get(collection=collection, state=DuplicateGroup.State.OPEN)


def test_the_others_are_gone_with_files_and_descriptors(
    collection: Collection, pair: tuple[Image, Image], django_capture_on_commit_callbacks: object
) -> None:
    group = found(collection)
    gone = str(pair[1].file.name)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        merged = group_merge(group, pair[0].pk)
    assert merged.state == DuplicateGroup.State.MERGED
    assert list(Image.objects.values_list("pk", flat=True)) == [pair[0].pk]
    assert not default_storage.exists(gone)
    assert not Embedding.objects.filter(image=pair[1].pk).exists()


def test_a_merged_picture_is_not_found_any_more(collection: Collection, pair: tuple[Image, Image]) -> None:
    third = add(collection, original(2))
    group = found(collection)
    assert pair[1].pk in {hit.image.pk for hit in search_by_image(collection, third).hits}
    group_merge(group, pair[0].pk)
    assert {hit.image.pk for hit in search_by_image(collection, third).hits} == {pair[0].pk}


def test_labels_go_over_and_the_stronger_one_stays(collection: Collection, pair: tuple[Image, Image]) -> None:
    keep, gone = pair
    benchmark = BenchmarkFactory(collection=collection)
    cases = [
        (None, Grade.EASY, Grade.EASY),
        (Grade.NEGATIVE, Grade.HARD, Grade.HARD),
        (Grade.EASY, Grade.JUNK, Grade.EASY),
    ]
    queries = []
    for own, other, _ in cases:
        queries.append(QueryFactory(benchmark=benchmark))
        if own:
            LabelFactory(query=queries[-1], image=keep, grade=own)
        LabelFactory(query=queries[-1], image=gone, grade=other)
    group = found(collection)
    group_merge(group, keep.pk)
    labels = {label.query_id: (label.image_id, label.grade) for label in Label.objects.all()}
    assert labels == {q.pk: (keep.pk, wanted) for q, (_, _, wanted) in zip(queries, cases, strict=True)}
    benchmark.refresh_from_db()
    assert benchmark.version == 2


def test_untouched_ground_truth_keeps_its_version(collection: Collection, pair: tuple[Image, Image]) -> None:
    benchmark = BenchmarkFactory(collection=collection)
    LabelFactory(query=QueryFactory(benchmark=benchmark), image=pair[0])
    group_merge(found(collection), pair[0].pk)
    assert Benchmark.objects.get().version == 1


def test_queries_go_over_with_their_results_and_boxes(collection: Collection) -> None:
    product = ProductFactory(collection=collection, category="mugs")
    keep = add(collection, original(1), product=product)
    gone = add(collection, saved(draw(1, (400, 300)).resize((200, 150))), product=product)
    add(collection, original(2), product=product)
    benchmark = BenchmarkFactory(collection=collection, relevance="category")
    query = QueryFactory(benchmark=benchmark, image=gone, box=[20, 10, 100, 60])
    group = found(collection)
    evaluation_run(evaluation_create(benchmark, collection.indexes.get()).pk)
    group_merge(group, keep.pk)
    moved = Query.objects.get(pk=query.pk)
    assert (moved.image_id, moved.box) == (keep.pk, [40, 20, 200, 120])
    assert QueryResult.objects.filter(query=query).count() == 1


def test_the_kept_picture_joins_the_product(collection: Collection) -> None:
    keep = add(collection, original(1), product=None)
    gone = add(collection, original(1))
    group_merge(found(collection), keep.pk)
    keep.refresh_from_db()
    assert keep.product == gone.product


def test_a_product_is_not_left_without_pictures_unasked(collection: Collection) -> None:
    keep, gone = add(collection, original(1)), add(collection, again(1))
    group = found(collection)
    with pytest.raises(SeveralProducts, match=gone.product.sku):
        group_merge(group, keep.pk)
    assert Image.objects.count() == 2
    group_merge(group, keep.pk, across_products=True)
    assert Image.objects.get() == keep
    keep.refresh_from_db()
    assert keep.product is not None
    assert keep.product != gone.product


def test_a_product_with_other_pictures_may_lose_one(collection: Collection) -> None:
    keep, gone = add(collection, original(1)), add(collection, again(1))
    add(collection, original(5), product=gone.product)
    group_merge(found(collection), keep.pk)
    assert Image.objects.count() == 2


def test_what_fails_changes_nothing(
    collection: Collection, pair: tuple[Image, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    label = LabelFactory(query=QueryFactory(benchmark=BenchmarkFactory(collection=collection)), image=pair[1])
    group = found(collection)
    monkeypatch.setattr("search.duplicates.decisions.image_delete", lambda _image: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        group_merge(group, pair[0].pk)
    label.refresh_from_db()
    group.refresh_from_db()
    assert (label.image_id, group.state) == (pair[1].pk, DuplicateGroup.State.OPEN)


def test_decided_is_decided(collection: Collection, pair: tuple[Image, Image]) -> None:
    group = found(collection)
    with pytest.raises(NotInGroup):
        group_merge(group, 0)
    with pytest.raises(NotReopenable):
        group_reopen(group)
    group_dismiss(group)
    with pytest.raises(AlreadyDecided):
        group_merge(group, pair[0].pk)
    assert Image.objects.count() == 2


def test_the_best_is_the_one_with_most_detail_not_most_pixels(collection: Collection) -> None:
    whole = add(collection, original(1))
    small = draw(1, (400, 300)).resize((100, 75))
    enlarged = add(collection, saved(small.resize((1200, 900)), quality=95))
    squeezed = add(collection, saved(draw(1, (400, 300)), quality=20))
    assert detail(enlarged) < detail(whole)
    assert best_of([enlarged, squeezed, whole]) == whole
