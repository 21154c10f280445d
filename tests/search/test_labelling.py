"""Labelling on pooled results: the pool, what is saved, the turn of the queries, the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from catalog.models import Benchmark, Label, Query, Relevance
from search.embedding import embed_pending
from search.labelling import LabelsDoNotCount, NotInGallery, labels_save, next_query, pool, progress
from search.models import Embedding, SearchIndex
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def indexes() -> list[SearchIndex]:
    """Two indexes of one collection whose descriptors disagree: the second's are turned about."""
    first = factories.SearchIndexFactory()
    collection = first.collection
    for seed in range(12):
        factories.ImageFactory(product=factories.ProductFactory(collection=collection), seed=seed + 50)
    other = factories.FeatureModelFactory(name="other")
    second = factories.SearchIndexFactory(collection=collection, feature_model=other, name="second", is_default=False)
    return [first, second]


@pytest.fixture
def query(indexes: list[SearchIndex]) -> Query:
    benchmark = factories.BenchmarkFactory(collection=indexes[0].collection)
    found = factories.QueryFactory(benchmark=benchmark)
    for index in indexes:
        embed_pending(index.collection, index.feature_model)
        index.feature_model.refresh_from_db()
    flipped = Embedding.objects.filter(feature_model=indexes[1].feature_model, image__role="gallery")
    for row in flipped:
        row.vector = (-np.frombuffer(row.vector, "<f2")).tobytes()
        row.save()
    return found


def exact(index: SearchIndex, query: Query) -> list[int]:
    rows = Embedding.objects.filter(feature_model=index.feature_model).values_list("image_id", "vector")
    x = {pk: np.frombuffer(vector, "<f2").astype(np.float64) for pk, vector in rows}
    return sorted((pk for pk in x if pk != query.image_id), key=lambda pk: (-float(x[query.image_id] @ x[pk]), pk))


def test_the_pool_is_the_union_of_the_first_of_each(indexes: list[SearchIndex], query: Query) -> None:
    wanted = {pk for index in indexes for pk in exact(index, query)[:3]}
    assert len(wanted) == 6
    found = pool(query, indexes, 3)
    assert {picture.image.pk for picture in found.pictures} == wanted
    assert (found.indexes, found.silent, found.labelled) == (2, 0, 0)
    order = [picture.image.pk for picture in found.pictures]
    assert order == [picture.image.pk for picture in pool(query, indexes, 3).pictures]  # the same each time
    assert order != [pk for index in indexes for pk in exact(index, query)[:3]]
    assert order != sorted(order)


def test_what_is_labelled_is_shown_with_its_grade_even_outside_the_pool(
    indexes: list[SearchIndex], query: Query
) -> None:
    inside, outside = exact(indexes[0], query)[0], exact(indexes[0], query)[5]
    labels_save(query, {inside: "junk", outside: "hard"})
    found = pool(query, indexes[:1], 3)
    grades = {picture.image.pk: picture.grade for picture in found.pictures}
    assert (grades[inside], grades[outside], len(grades), found.labelled) == ("junk", "hard", 4, 2)
    assert found.pictures[-1].image.pk == outside


def test_the_query_and_its_copies_are_no_candidates(indexes: list[SearchIndex], query: Query) -> None:
    asked = query.benchmark.collection.images.filter(role="gallery").first()
    own = factories.QueryFactory(benchmark=query.benchmark, image=asked)
    with asked.file.open() as file:
        copy = factories.ImageFactory(product=factories.ProductFactory(collection=asked.collection), data=file.read())
    embed_pending(indexes[0].collection, indexes[0].feature_model)
    shown = {picture.image.pk for picture in pool(own, indexes[:1], 50).pictures}
    assert not shown & {asked.pk, copy.pk}
    assert len(shown) == 11


def test_one_save_is_one_version(query: Query) -> None:
    ids = list(query.benchmark.collection.images.filter(role="gallery").values_list("id", flat=True))
    version = query.benchmark.version
    assert labels_save(query, {ids[0]: "easy", ids[1]: "negative", ids[2]: ""}) == 2
    assert Benchmark.objects.get().version == version + 1
    assert labels_save(query, {ids[0]: "easy", ids[1]: "negative"}) == 0
    assert Benchmark.objects.get().version == version + 1
    assert labels_save(query, {ids[0]: "hard", ids[1]: ""}) == 2
    assert Benchmark.objects.get().version == version + 2
    assert dict(Label.objects.values_list("image", "grade")) == {ids[0]: "hard"}


def test_what_cannot_be_saved(query: Query) -> None:
    elsewhere = factories.ImageFactory()
    with pytest.raises(NotInGallery, match="1 of the pictures"):
        labels_save(query, {elsewhere.pk: "easy"})
    with pytest.raises(NotInGallery):
        labels_save(query, {query.image_id: "easy"})
    gallery = query.benchmark.collection.images.filter(role="gallery").first()
    with pytest.raises(ValueError, match="superb"):
        labels_save(query, {gallery.pk: "superb"})
    query.benchmark.relevance = Relevance.CATEGORY
    with pytest.raises(LabelsDoNotCount, match="same category"):
        labels_save(query, {gallery.pk: "easy"})
    assert not Label.objects.exists()


def test_queries_come_in_turn_the_fewest_labels_first() -> None:
    benchmark = factories.BenchmarkFactory()
    a, b, c, d = factories.QueryFactory.create_batch(4, benchmark=benchmark)
    image = factories.ImageFactory(collection=benchmark.collection, product=None)
    factories.LabelFactory(query=a, image=image)
    assert next_query(benchmark) == b
    assert [next_query(benchmark, one) for one in (b, c)] == [c, d]  # skipping goes on
    assert next_query(benchmark, d) == a
    assert next_query(benchmark, a) == b
    assert progress(benchmark).begun == 1
    assert next_query(factories.BenchmarkFactory()) is None


class TestPage:
    @pytest.fixture
    def staff(self, client: Client) -> Client:
        client.force_login(factories.StaffFactory())
        return client

    def address(self, query: Query, **more: Any) -> str:
        return reverse("admin:catalog_benchmark_label", args=[query.benchmark_id])

    def test_save_and_next(self, indexes: list[SearchIndex], query: Query, staff: Client) -> None:
        other = factories.QueryFactory(benchmark=query.benchmark)
        page = staff.get(self.address(query))
        assert page.context["query"] == query
        html = page.content.decode()
        assert all(f">{index.name}<" not in html for index in indexes)  # who found what is not told
        first, second, *_ = [picture.image.pk for picture in page.context["pool"].pictures]
        body = {f"grade-{first}": "hard", f"grade-{second}": "none", "save": ""}
        response = staff.post(f"{self.address(query)}?query={query.pk}", body)
        assert response["Location"] == f"{self.address(query)}?query={other.pk}"
        assert dict(query.labels.values_list("image", "grade")) == {first: "hard"}
        response = staff.post(f"{self.address(query)}?query={query.pk}", {**body, "rest": "1", "stay": ""})
        assert response["Location"] == f"{self.address(query)}?query={query.pk}"
        assert dict(query.labels.values_list("image", "grade")) == {first: "hard", second: "negative"}
        html = staff.get(f"{self.address(query)}?query={query.pk}").content.decode()
        assert f'name="grade-{first}" value="hard" data-key="2" checked' in html

    def test_errors(self, query: Query, staff: Client) -> None:
        other = factories.ImageFactory()
        page = staff.post(f"{self.address(query)}?query={query.pk}", {f"grade-{other.pk}": "easy"}, follow=True)
        assert "not in the gallery" in page.content.decode()
        gallery = query.benchmark.collection.images.filter(role="gallery").first()
        page = staff.post(f"{self.address(query)}?query={query.pk}", {f"grade-{gallery.pk}": "best"}, follow=True)
        assert "That is no grade" in page.content.decode()
        assert not Label.objects.exists()
        page = staff.get(f"{self.address(query)}?query=99999", follow=True)
        assert "no such query" in page.content.decode()
        Benchmark.objects.update(relevance=Relevance.PRODUCT)
        assert "labels would not count" in staff.get(self.address(query), follow=True).content.decode()
        assert staff.get(reverse("admin:catalog_benchmark_label", args=[999])).status_code == 404

    def test_permissions(self, query: Query, client: Client) -> None:
        assert client.get(self.address(query)).status_code == 302
        user = factories.UserFactory(is_staff=True)
        client.force_login(user)
        assert client.get(self.address(query)).status_code == 403
        user.user_permissions.set(Permission.objects.filter(codename__in=["add_label", "change_label"]))
        assert client.get(self.address(query)).status_code == 200

    def test_the_benchmark_leads_to_it(self, query: Query, staff: Client) -> None:
        html = staff.get(reverse("admin:catalog_benchmark_change", args=[query.benchmark_id])).content.decode()
        assert self.address(query) in html
