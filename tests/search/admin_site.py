"""A small site with a row of every model in it, for the tests of the admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catalog.jobs import JobState
from catalog.models import (
    Benchmark,
    Collection,
    DicomFrame,
    DicomSeries,
    DicomStudy,
    Grade,
    ImportJob,
    Relevance,
    WindowSource,
)
from catalog.services import benchmark_from_classes
from search.builds import build_create, build_run
from search.embedding import embed_pending
from search.evaluations import evaluation_create, evaluation_run
from search.models import (
    AttributeProposal,
    DuplicateGroup,
    DuplicateMember,
    DuplicateScan,
    EvaluationRun,
    FeatureModel,
    IndexBuild,
    SearchIndex,
    SearchLog,
    TrainingRun,
)
from tests import factories


@dataclass
class Site:
    collection: Collection
    products: list[Any]
    feature_model: FeatureModel
    index: SearchIndex
    build: IndexBuild
    benchmark: Benchmark
    labels: Benchmark
    run: EvaluationRun
    job: ImportJob


def make_site(products: int = 4, pictures: int = 2) -> Site:
    """Two categories, embedded, built and measured by the real services."""
    collection = factories.CollectionFactory(slug="shop", name="Shop")
    rows = [
        factories.ProductFactory(
            collection=collection, category="mugs" if n % 2 else "pots", attributes={"colour": "red", "n": n}
        )
        for n in range(products)
    ]
    for product in rows:
        factories.ImageFactory.create_batch(pictures, product=product)
    feature_model = factories.FeatureModelFactory(name="baseline")
    index = factories.SearchIndexFactory(collection=collection, feature_model=feature_model)
    embed_pending(collection, feature_model)
    index.refresh_from_db()
    build = build_run(build_create(index).pk)
    benchmark = benchmark_from_classes(collection, "categories", Relevance.CATEGORY)
    run = evaluation_run(evaluation_create(benchmark, index).pk)
    labels = factories.BenchmarkFactory(collection=collection, name="labels")
    query = factories.QueryFactory(benchmark=labels)
    factories.LabelFactory(query=query, image=rows[0].images.first(), grade=Grade.EASY)
    factories.LabelFactory(query=query, image=rows[1].images.first(), grade=Grade.DISTRACTOR)
    job = factories.ImportJobFactory(collection=collection)
    factories.UploadedQueryFactory(collection=collection)
    factories.ApiKeyFactory()
    SearchLog.objects.create(
        index=index, source="web", hits=3, best_score=0.9, timings_ms={"total": 12.4, "coarse": 1.0}
    )
    make_proposal(rows[0], feature_model)
    make_training(collection, feature_model)
    make_frame(rows[0].images.first())
    make_duplicates(collection, feature_model, [row.images.first() for row in rows[:2]])
    return Site(collection, rows, feature_model, index, build, benchmark, labels, run, job)


def make_frame(image: Any, key: str = "a") -> DicomFrame:
    """The picture as the only frame of a study of its own."""
    study = DicomStudy.objects.create(collection=image.collection, key=key * 32, patient=key * 32)
    series = DicomSeries.objects.create(study=study, key=key * 32, modality="CT", body_part="CHEST")
    return DicomFrame.objects.create(
        image=image,
        series=series,
        instance=key * 32,
        instance_number=1,
        window_source=WindowSource.PRESET,
        window_center=40,
        window_width=400,
        origin=key * 32,
    )


def make_proposal(product: Any, feature_model: FeatureModel) -> AttributeProposal:
    """A material that the product does not state."""
    return AttributeProposal.objects.create(
        product=product, feature_model=feature_model, attribute="material", value="clay", confidence=0.93
    )


def make_training(collection: Collection, base: FeatureModel, name: str = "tuned") -> TrainingRun:
    """A cancelled run with the beginning of a curve."""
    curve = [
        {"step": 0, "loss": None, "mAP": 0.4, "hit_rate@1": 0.5, "rate": 1e-5},
        {"step": 10, "loss": 0.2, "mAP": None, "rate": 3e-4},
        {"step": 20, "loss": 0.1, "mAP": 0.5, "hit_rate@1": 0.6, "rate": 2e-4},
    ]
    return TrainingRun.objects.create(
        kind="finetune",
        name=name,
        collection=collection,
        base=base,
        state=JobState.CANCELLED,
        curve=curve,
        options={"loss": "triplet"},
        done=20,
        total=100,
    )


def make_duplicates(collection: Collection, feature_model: FeatureModel, images: list[Any]) -> DuplicateGroup:
    """A finished scan and the one group it found."""
    settings = {"feature_model": feature_model, "max_hash_distance": 8, "min_score": 0.95}
    scan = DuplicateScan.objects.create(collection=collection, state=JobState.DONE, found=1, **settings)
    group = DuplicateGroup.objects.create(collection=collection, scan=scan, kind=DuplicateGroup.Kind.NEAR, score=0.97)
    for image in images:
        DuplicateMember.objects.create(group=group, image=image, score=0.97, hash_distance=3)
    return group
