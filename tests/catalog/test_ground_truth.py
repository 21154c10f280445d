"""Labels in bulk, and benchmarks from classes."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.ground_truth import HasLabels, NothingToLabel, grade_of
from catalog.models import Benchmark, Grade, Label, Relevance
from catalog.services import benchmark_from_classes, labels_import
from tests.factories import (
    BenchmarkFactory,
    CollectionFactory,
    ImageFactory,
    LabelFactory,
    ProductFactory,
    QueryFactory,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("easy", Grade.EASY),
        (" Positive ", Grade.EASY),
        ("good", Grade.EASY),
        ("OK", Grade.HARD),
        ("hard", Grade.HARD),
        ("junk", Grade.JUNK),
        ("distractor", Grade.DISTRACTOR),
        ("negative", Grade.NEGATIVE),
        ("superb", None),
        ("", None),
    ],
)
def test_grades(text: str, grade: Grade | None) -> None:
    assert grade_of(text) == grade


class TestLabels:
    @pytest.fixture
    def benchmark(self) -> Benchmark:
        benchmark = BenchmarkFactory.create()
        QueryFactory.create(benchmark=benchmark, name="q")
        for n in range(3):
            product = ProductFactory.create(collection=benchmark.collection, sku=f"P{n}")
            ImageFactory.create(product=product, source=f"{n}.jpg")
        ImageFactory.create(product=product, source="2b.jpg")
        return benchmark

    def grades(self) -> dict[str, str]:
        return dict(Label.objects.values_list("image__source", "grade"))

    def test_by_source_and_by_sku(self, benchmark: Benchmark) -> None:
        report = labels_import(benchmark, [("q", "0.jpg", "easy"), ("q", "P2", "hard")])
        assert (report.added, report.changed, report.known, report.bad) == (3, 0, 0, [])
        assert self.grades() == {"0.jpg": "easy", "2.jpg": "hard", "2b.jpg": "hard"}

    def test_given_names_come_first(self, benchmark: Benchmark) -> None:
        other = ImageFactory.create(product=None, collection=benchmark.collection, source="other.jpg")
        labels_import(benchmark, [("q", "0.jpg", "easy"), ("q", "1.jpg", "hard")], images={"0.jpg": other.pk})
        assert self.grades() == {"other.jpg": "easy", "1.jpg": "hard"}

    def test_version_rises_only_with_a_change(self, benchmark: Benchmark) -> None:
        rows = [("q", "0.jpg", "easy"), ("q", "1.jpg", "junk")]
        labels_import(benchmark, rows)
        assert benchmark.version == 2
        assert labels_import(benchmark, rows).known == 2
        assert benchmark.version == 2
        report = labels_import(benchmark, [("q", "1.jpg", "hard")])
        assert (report.added, report.changed) == (0, 1)
        assert Benchmark.objects.get().version == 3
        assert self.grades()["1.jpg"] == "hard"

    def test_last_row_counts(self, benchmark: Benchmark) -> None:
        report = labels_import(benchmark, [("q", "0.jpg", "easy"), ("q", "0.jpg", "junk")])
        assert report.added == 1
        assert self.grades() == {"0.jpg": "junk"}

    def test_bad_rows(self, benchmark: Benchmark) -> None:
        rows = [("q", "0.jpg", "easy"), ("nobody", "0.jpg", "easy"), ("q", "nothing", "easy"), ("q", "1.jpg", "best")]
        report = labels_import(benchmark, rows)
        assert [(place, name, error.code) for place, name, error in report.bad] == [
            (1, "nobody", "unknown_query"),
            (2, "nothing", "unknown_picture"),
            (3, "q", "bad_value"),
        ]
        assert report.added == 1

    def test_pictures_of_other_collections_and_queries_are_not_meant(self, benchmark: Benchmark) -> None:
        ImageFactory.create(source="elsewhere.jpg")
        QueryFactory.create(benchmark=benchmark, image__source="query.jpg")
        report = labels_import(benchmark, [("q", "elsewhere.jpg", "easy"), ("q", "query.jpg", "easy")])
        assert len(report.bad) == 2

    def test_in_bulk(self, benchmark: Benchmark, django_assert_max_num_queries: Any) -> None:
        images = {f"n{n}": image.pk for n, image in enumerate(benchmark.collection.images.filter(role="gallery"))}
        rows = [("q", name, "easy") for name in images] * 200
        with django_assert_max_num_queries(12):
            assert labels_import(benchmark, rows, images=images).added == len(images)


class TestFromClasses:
    def test_category_leave_one_out(self) -> None:
        collection = CollectionFactory.create()
        for category in ("a", "a", "b", ""):
            ImageFactory.create(product=ProductFactory.create(collection=collection, category=category))
        ImageFactory.create(product=None, collection=collection)
        benchmark = benchmark_from_classes(collection, "classes")
        assert (benchmark.relevance, benchmark.version) == (Relevance.CATEGORY, 1)
        assert benchmark.queries.count() == 3
        assert {query.image.product.category for query in benchmark.queries.all()} == {"a", "b"}

    def test_query_pictures_by_product(self) -> None:
        product = ProductFactory.create(category="")
        ImageFactory.create(product=product)
        query = ImageFactory.create(product=product, role="query")
        benchmark = benchmark_from_classes(product.collection, "products", "product", "query")
        assert [row.image_id for row in benchmark.queries.all()] == [query.pk]

    def test_again_adds_what_is_new(self) -> None:
        product = ProductFactory.create()
        ImageFactory.create(product=product)
        benchmark_from_classes(product.collection, "classes")
        assert benchmark_from_classes(product.collection, "classes").version == 1
        ImageFactory.create(product=product)
        benchmark = benchmark_from_classes(product.collection, "classes")
        assert (benchmark.version, benchmark.queries.count()) == (2, 2)

    def test_same_and_long_sources(self) -> None:
        product = ProductFactory.create()
        for seed, source in enumerate(["same.jpg", "same.jpg", "x" * 900 + "1", "x" * 900 + "2", ""]):
            ImageFactory.create(product=product, seed=seed, source=source)
        names = list(benchmark_from_classes(product.collection, "classes").queries.values_list("name", flat=True))
        assert len(set(names)) == 5
        assert all(0 < len(name) <= 300 for name in names)

    def test_another_relevance_is_another_version(self) -> None:
        product = ImageFactory.create().product
        benchmark_from_classes(product.collection, "classes")
        benchmark = benchmark_from_classes(product.collection, "classes", "product")
        assert (benchmark.relevance, benchmark.version) == (Relevance.PRODUCT, 2)

    def test_labels_are_not_thrown_away(self) -> None:
        label = LabelFactory.create(image__product=None)
        benchmark = label.query.benchmark
        ImageFactory.create(product=ProductFactory.create(collection=benchmark.collection))
        with pytest.raises(HasLabels, match="Choose another name"):
            benchmark_from_classes(benchmark.collection, benchmark.name)
        benchmark.refresh_from_db()
        assert benchmark.relevance == Relevance.LABELS

    def test_nothing_with_a_class(self) -> None:
        collection = ImageFactory.create(product=None).collection
        with pytest.raises(NothingToLabel, match="category"):
            benchmark_from_classes(collection, "classes")
        assert not Benchmark.objects.exists()

    def test_in_bulk(self, django_assert_max_num_queries: Any) -> None:
        product = ProductFactory.create()
        for _ in range(30):
            ImageFactory.create(product=product)
        with django_assert_max_num_queries(12):
            assert benchmark_from_classes(product.collection, "classes").queries.count() == 30
