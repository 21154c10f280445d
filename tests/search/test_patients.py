"""An evaluation leaves out the query's own patient: it is neither hit nor miss, and has no vote in expansion."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Benchmark, Collection, DicomFrame, DicomSeries, DicomStudy, Image, Product
from catalog.services import benchmark_from_classes
from search.evaluation import protocol_named
from search.evaluations import evaluation_create, evaluation_run
from search.ground_truth import GroundTruth
from search.models import SearchIndex
from tests.search.gallery import make_index

pytestmark = pytest.mark.django_db


@pytest.fixture
def index() -> SearchIndex:
    """Twelve pictures of one category: four patients with three each, all but the last of it."""
    index = make_index(12)
    Product.objects.filter(collection=index.collection).update(category="CT")
    for place, image in enumerate(Image.objects.filter(collection=index.collection).order_by("id")[:11]):
        series(index.collection, f"patient {place % 4}", image)
    return index


def series(collection: Collection, patient: str, image: Image) -> None:
    study, _ = DicomStudy.objects.get_or_create(collection=collection, key=f"study of {patient}", patient=patient)
    found, _ = DicomSeries.objects.get_or_create(study=study, key="1", modality="CT")
    DicomFrame.objects.create(image=image, series=found, instance=str(image.pk), window_source="none", origin="")


def judged(benchmark: Benchmark, protocol: str = "medium") -> dict[int, tuple[set[int], set[int]]]:
    queries = list(benchmark.queries.select_related("image__product").order_by("id"))
    truth = GroundTruth(benchmark, protocol_named(protocol))
    return {
        query.image_id: (set(judgement.truth.positives.tolist()), set(judgement.truth.ignored.tolist()))
        for query, judgement in zip(queries, truth.of(queries), strict=True)
    }


def test_the_patients_own_pictures_are_junk(index: SearchIndex) -> None:
    benchmark = benchmark_from_classes(index.collection, "categories")
    patients = dict(DicomFrame.objects.values_list("image_id", "series__study__patient"))
    everything = set(Image.objects.values_list("pk", flat=True))
    for image_id, (positives, ignored) in judged(benchmark).items():
        own = {pk for pk, patient in patients.items() if patient == patients.get(image_id)} | {image_id}
        assert ignored == own
        assert positives == everything - own


def test_it_is_the_benchmarks_choice(index: SearchIndex) -> None:
    benchmark = benchmark_from_classes(index.collection, "categories")
    assert benchmark.exclude_same_patient
    benchmark.exclude_same_patient = False
    for image_id, (positives, ignored) in judged(benchmark).items():
        assert ignored == {image_id}
        assert len(positives) == 11


def test_an_evaluation_scores_other_patients_alone(index: SearchIndex) -> None:
    """With one positive of another patient made wrong, no score hangs on the query's own patient."""
    benchmark = benchmark_from_classes(index.collection, "categories")

    def run() -> Any:
        return evaluation_run(evaluation_create(benchmark, index, metrics=["mAP"]).pk)

    strict = run()
    assert strict.state == "done", strict.error
    assert strict.queries_scored == 12
    shown = {image_id for result in strict.query_results.all() for image_id, _, _ in result.ranking}
    assert len(shown) == 12
    for result in strict.query_results.select_related("query__image"):
        own = GroundTruth(benchmark, protocol_named("medium")).own([result.query])[result.query.pk]
        assert not own & {image_id for image_id, _, _ in result.ranking}
        assert result.relevant == 12 - len(own)
