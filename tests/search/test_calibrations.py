"""Calibrating an index: from its collection, from a benchmark, after a build."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from catalog.models import Benchmark, Grade, Image, ImageRole, Label, Query, Relevance
from search import calibrations, serving
from search.builds import build_create, build_run
from search.calibrations import OtherCollection, TooFewLabels, TooFewPictures, calibrate, calibration_of
from search.expansion import Expansion
from search.models import SearchIndex
from search.services import Example, NotCalibrated, search_by_examples, search_by_image
from search.tasks import build_run as build_task
from search.types import Descriptors
from tests.factories import BenchmarkFactory, CollectionFactory
from tests.search.gallery import DIM, add_pictures, feature_model, make_index

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


def kinds(groups: int, each: int, seed: int = 0) -> Descriptors:
    """Unit vectors in groups that overlap."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((groups, DIM)) + 0.6
    x = np.repeat(centres, each, axis=0) + 0.75 * random.standard_normal((groups * each, DIM))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def index() -> SearchIndex:
    """Thirty kinds of things, ten pictures of each; the kind is the product's category."""
    index = SearchIndex.objects.create(collection=CollectionFactory(), feature_model=feature_model())
    images = add_pictures(index, 300, kinds(30, 10))
    for n, image in enumerate(images):
        image.product.category = f"kind {n // 10}"
        image.product.save()
    return index


@pytest.fixture
def benchmark(index: SearchIndex) -> Benchmark:
    """Every fourth picture is a query: those of its category are relevant."""
    benchmark = BenchmarkFactory(collection=index.collection, relevance=Relevance.CATEGORY)
    images = list(index.collection.images.order_by("id"))[::4]
    Query.objects.bulk_create(Query(benchmark=benchmark, name=f"{n}", image=image) for n, image in enumerate(images))
    return benchmark


def test_labels_are_fitted_and_kept_with_what_they_were(index: SearchIndex, benchmark: Benchmark) -> None:
    found = calibrate(index, benchmark)
    index.refresh_from_db()
    assert calibration_of(index) == found
    assert (found.kind, index.calibration["benchmark"]) == ("labels", benchmark.name)
    assert index.calibration["label_version"] == benchmark.version
    assert index.calibration["fingerprint"] == index.feature_model.fingerprint
    assert found.quality["queries"] == 75
    assert found.quality["ece"] < 0.05
    assert found.quality["brier"] < found.quality["brier_without"]
    assert found.quality["relevant_share"] == pytest.approx(9 / 100, abs=0.01)  # nine of a hundred, itself left out


def test_hits_carry_probabilities_that_come_true(index: SearchIndex, benchmark: Benchmark) -> None:
    calibrate(index, benchmark)
    said, true = [], []
    for image in index.collection.images.select_related("product").order_by("id")[1::4]:
        for hit in search_by_image(index.collection, image, k=30).hits:
            said.append(hit.probability)
            true.append(hit.image.product.category == image.product.category)
    assert np.mean(said) == pytest.approx(np.mean(true), abs=0.05)
    likely = np.array(said) >= 0.5
    assert np.mean(np.array(true)[likely]) > 0.6
    assert np.mean(np.array(true)[~likely]) < 0.4


def test_junk_and_the_query_itself_are_left_out(index: SearchIndex, benchmark: Benchmark) -> None:
    labelled = BenchmarkFactory(collection=index.collection, relevance=Relevance.LABELS)
    ids = list(index.collection.images.order_by("id").values_list("id", flat=True))
    for n in range(0, 300, 10):
        query = Query.objects.create(benchmark=labelled, name=f"{n}", image_id=ids[n])
        grades = [Grade.JUNK] * 5 + [Grade.EASY] * 5
        Label.objects.bulk_create(
            Label(query=query, image_id=id_, grade=grade) for id_, grade in zip(ids[n : n + 10], grades, strict=True)
        )
    found = calibrate(index, labelled)
    assert found.quality["hits"] == 30 * 100
    assert found.quality["relevant_share"] == pytest.approx(5 / 100, abs=0.01)


def test_a_query_that_is_no_gallery_picture(index: SearchIndex, benchmark: Benchmark) -> None:
    Image.objects.filter(queries__benchmark=benchmark).update(role=ImageRole.QUERY)
    assert calibrate(index, benchmark).quality["queries"] == 75


def test_what_cannot_be_calibrated(index: SearchIndex, benchmark: Benchmark) -> None:
    benchmark.queries.filter(pk__gt=benchmark.queries.order_by("id")[5].pk).delete()
    with pytest.raises(TooFewLabels):
        calibrate(index, benchmark)
    with pytest.raises(TooFewLabels):
        calibrate(index, BenchmarkFactory(collection=index.collection))
    with pytest.raises(OtherCollection):
        calibrate(index, BenchmarkFactory())
    with pytest.raises(TooFewPictures):
        calibrate(make_index(20))
    index.refresh_from_db()
    assert index.calibration == {}


def test_without_labels_it_is_an_estimate_of_the_same(index: SearchIndex, benchmark: Benchmark) -> None:
    fitted, estimated = calibrate(index, benchmark), calibrate(index)
    assert estimated.kind == "statistics"
    assert estimated.score(0.5) == pytest.approx(fitted.score(0.5), abs=0.12)


def test_a_large_collection_is_sampled(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = calibrate(index)
    monkeypatch.setattr(calibrations, "GALLERY", 200)
    sampled = calibrate(index)
    assert sampled.quality["pairs"] < whole.quality["pairs"]
    assert sampled.score(0.5) == pytest.approx(whole.score(0.5), abs=0.1)


def test_a_calibration_of_other_descriptors_does_not_count(index: SearchIndex) -> None:
    calibrate(index)
    image = index.collection.images.first()
    assert search_by_image(index.collection, image, k=1).hits[0].probability is not None
    index.feature_model.fingerprint = "e" * 64
    assert calibration_of(index) is None
    index.feature_model.fingerprint = index.calibration["fingerprint"]
    index.calibration["parameters"] = {}
    assert calibration_of(index) is None


def test_a_build_calibrates_unless_labels_do(index: SearchIndex, benchmark: Benchmark) -> None:
    build_task(build_create(index).pk)
    index.refresh_from_db()
    assert index.calibration["kind"] == "statistics"
    made = calibrate(index, benchmark)
    build_task(build_create(index).pk)
    index.refresh_from_db()
    assert calibration_of(index) == made


def test_a_build_survives_what_calibrating_it_meets(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrations, "calibrate", None)
    build = build_create(index)
    build_task(build.pk)
    build.refresh_from_db()
    assert build.state == "done"
    few = build_create(make_index(20))
    build_task(few.pk)
    assert SearchIndex.objects.get(pk=few.index_id).calibration == {}


def test_ten_thousand_pictures_take_two_seconds_at_most() -> None:
    index = make_index(10_000)
    start = time.perf_counter()
    calibrate(index)
    assert time.perf_counter() - start < 6  # two on a quiet core


def test_the_least_probability_drops_hits_and_pages_end(index: SearchIndex, benchmark: Benchmark) -> None:
    image = index.collection.images.first()
    with pytest.raises(NotCalibrated, match=r"manage.py calibrate"):
        search_by_image(index.collection, image, min_probability=0.5)
    calibrate(index, benchmark)
    serving.forget()
    build_run(build_create(index).pk)
    everything = search_by_image(index.collection, image, k=200).hits
    likely = [hit.image.pk for hit in everything if hit.probability >= 0.3]
    assert 1 < len(likely) < 100
    found = [
        search_by_image(index.collection, image, k=1, offset=offset, min_probability=0.3)
        for offset in range(len(likely) + 1)
    ]
    assert [hit.image.pk for page in found for hit in page.hits] == likely
    assert [page.has_more for page in found] == [True] * (len(likely) - 1) + [False, False]
    assert search_by_image(index.collection, image, k=300, min_probability=0).hits[-1].probability < 0.3
    assert search_by_image(index.collection, image, min_probability=1).hits == []
    SearchIndex.objects.update(rules=[{"rule": "in_stock_first"}])
    serving.forget()
    moved = search_by_image(index.collection, image, k=200, min_probability=0.3).hits
    assert {hit.image.pk for hit in moved} == set(likely)


def test_the_least_probability_of_several_examples_is_that_of_their_hits(
    index: SearchIndex, benchmark: Benchmark
) -> None:
    calibrate(index, benchmark)
    images = list(index.collection.images.order_by("id")[:3])
    examples = [*(Example(image=image) for image in images[:2]), Example(image=images[2], weight=-1)]
    how = {"k": 200, "expansion": Expansion("alpha", 4, 3.0)}
    everything = search_by_examples(index.collection, examples, **how).hits
    likely = search_by_examples(index.collection, examples, min_probability=0.2, **how).hits
    assert 0 < len(likely) < len(everything)
    assert likely == [hit for hit in everything if hit.probability >= 0.2]


def test_probabilities_of_several_examples_are_no_promises(index: SearchIndex, benchmark: Benchmark) -> None:
    """A mean of pictures scores higher with everything than each of them: its hits must not seem surer for that."""
    calibrate(index, benchmark)
    images = list(index.collection.images.select_related("product").order_by("id"))
    for how in ({}, {"expansion": Expansion("average", 5)}):
        said, true = [], []
        for n in range(0, 300, 10):
            examples = [Example(image=image) for image in images[n : n + (1 if how else 3)]]
            for hit in search_by_examples(index.collection, examples, k=30, **how).hits:
                said.append(hit.probability)
                true.append(hit.image.product.category == images[n].product.category)
        assert np.mean(said) - np.mean(true) < 0.05


def test_the_command_says_what_scores_mean(
    index: SearchIndex, benchmark: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    slug = index.collection.slug
    call_command("calibrate", slug, "--benchmark", benchmark.name)
    told = capsys.readouterr().out
    assert "held out: ECE 0.0" in told
    assert "50% from score 0." in told
    call_command("calibrate", slug, "--index", "main")
    assert "estimated without labels from 89700 pairs" in capsys.readouterr().out
    with pytest.raises(CommandError, match="has no benchmark 'none'"):
        call_command("calibrate", slug, "--benchmark", "none")
    with pytest.raises(CommandError, match="too few"):
        call_command("calibrate", make_index(5).collection.slug)
