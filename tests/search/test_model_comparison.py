"""Which feature model suits a collection: measured on its own labels, without an index of it."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from catalog.services import benchmark_from_classes
from search.embedding import embed_pending, feature_model_prepare
from search.evaluations import evaluation_create, evaluation_run
from search.models import Embedding, FeatureModel, SearchIndex
from tests.factories import CollectionFactory, ImageFactory, ProductFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def index() -> SearchIndex:
    """Eighteen real pictures in three categories, embedded."""
    model = feature_model_prepare(FeatureModel.objects.create(name="classical", backbone="color_gradient"))
    index = SearchIndex.objects.create(collection=CollectionFactory(), feature_model=model, factory="Flat")
    for at in range(18):
        product = ProductFactory(collection=index.collection, category=f"category {at % 3}")
        ImageFactory(product=product, seed=at)
    embed_pending(index.collection, model)
    return index


@pytest.fixture
def other() -> FeatureModel:
    return FeatureModel.objects.create(name="squares", backbone="color_gradient", power=0.5)


def compared(index, *arguments: str) -> list[dict[str, object]]:
    out = StringIO()
    named = ["--collection", index.collection.slug, "--benchmark", "categories"]
    call_command("compare_models", *named, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_each_model_is_measured_as_an_evaluation_would(index, other) -> None:
    benchmark = benchmark_from_classes(index.collection, "categories")
    run = evaluation_run(evaluation_create(benchmark, index, metrics=["mAP", "mAP@10"]).pk)
    rows = compared(index)
    assert {row["model"] for row in rows} == {index.feature_model.name, "squares"}
    (own,) = [row for row in rows if row["model"] == index.feature_model.name]
    assert own["mAP"] == pytest.approx(run.results["mAP"], abs=1e-4)
    (new,) = [row for row in rows if row["model"] == "squares"]
    assert new["mAP"] != own["mAP"]
    assert Embedding.objects.filter(feature_model=other).count() == index.collection.images.count()
    assert SearchIndex.objects.count() == 1


def test_what_is_embedded_is_not_embedded_again(index, other) -> None:
    benchmark_from_classes(index.collection, "categories")
    compared(index, "--model", "squares")
    before = list(Embedding.objects.order_by("id").values_list("id", flat=True))
    compared(index, "--model", "squares")
    assert list(Embedding.objects.order_by("id").values_list("id", flat=True)) == before


def test_an_unknown_model_is_named_with_the_choices(index, other) -> None:
    benchmark_from_classes(index.collection, "categories")
    with pytest.raises(CommandError, match=r"'nobody'.*squares"):
        compared(index, "--model", "nobody")
