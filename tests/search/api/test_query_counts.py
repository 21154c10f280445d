"""The number of queries does not grow with the number of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Collection, Image, Product
from search.models import QueryResult
from tests import factories
from tests.search.api.conftest import Api, upload

pytestmark = pytest.mark.django_db


def products(collection: Collection, count: int) -> None:
    for product in factories.ProductFactory.create_batch(count, collection=collection):
        factories.ImageFactory.create_batch(2, product=product)


def collections(collection: Collection, count: int) -> None:
    for _ in range(count):
        products(factories.CollectionFactory(), 1)


def jobs(collection: Collection, count: int) -> None:
    factories.ImportJobFactory.create_batch(count, collection=collection, report="imports/report.csv")


def builds(collection: Collection, count: int) -> None:
    for number in range(count):
        index = factories.SearchIndexFactory(collection=collection, name=f"{number}-{count}", is_default=False)
        factories.IndexBuildFactory(index=index)


def runs(collection: Collection, count: int) -> None:
    benchmark = factories.BenchmarkFactory(collection=collection)
    for number in range(count):
        index = factories.SearchIndexFactory(collection=collection, name=f"{number}+{count}", is_default=False)
        run = factories.EvaluationRunFactory(benchmark=benchmark, index=index)
        QueryResult.objects.create(run=run, query=factories.QueryFactory(benchmark=benchmark))


LISTS: dict[str, tuple[Callable[[Collection, int], None], int]] = {
    "collections/": (collections, 3),
    "collections/lamps/products/": (products, 5),
    "collections/lamps/images/": (products, 4),
    "collections/lamps/imports/": (jobs, 4),
    "collections/lamps/indexes/": (builds, 4),
    "collections/lamps/builds/": (builds, 4),
    "collections/lamps/benchmarks/": (runs, 4),
    "collections/lamps/evaluations/": (runs, 4),
}


@pytest.mark.parametrize("path", LISTS)
def test_lists(path: str, admin: Api, collection: Collection, django_assert_max_num_queries: Any) -> None:
    make, most = LISTS[path]
    make(collection, 2)
    with CaptureQueriesContext(connection) as few:
        assert len(admin.get(path).json()["results"]) >= 1
    make(collection, 7)
    with django_assert_max_num_queries(most), CaptureQueriesContext(connection) as many:
        assert admin.get(path).status_code == 200
    assert len(many) <= len(few)


def test_the_queries_of_a_run(admin: Api, collection: Collection, django_assert_max_num_queries: Any) -> None:
    benchmark = factories.BenchmarkFactory(collection=collection)
    run = factories.EvaluationRunFactory(benchmark=benchmark)
    for _ in range(6):
        QueryResult.objects.create(run=run, query=factories.QueryFactory(benchmark=benchmark))
    admin.get("collections/")  # notes when the key was used
    with django_assert_max_num_queries(4):
        results = admin.get(f"collections/lamps/evaluations/{run.pk}/queries/").json()["results"]
    assert len(results) == 6


def test_a_search(admin: Api, gallery: Collection) -> None:
    def count(k: int) -> int:
        form = {"collection": "lamps", "image": upload(factories.picture(1)), "k": k}
        with CaptureQueriesContext(connection) as captured:
            assert len(admin.post("search/", form=form).json()["hits"]) == k
        return len(captured)

    count(1)  # opens the index
    assert count(6) == count(2)  # both are made: k = 1 is in the cache
    assert count(6) <= count(5)  # answered from the cache, and not


def test_deleting_a_product_reads_its_pictures_once(writer: Api, collection: Collection) -> None:
    product = factories.ProductFactory(collection=collection, sku="A")
    factories.ImageFactory.create_batch(3, product=product)
    assert writer.delete("collections/lamps/products/A/").status_code == 204
    assert (Product.objects.count(), Image.objects.count()) == (0, 0)
