"""Distillation as a job: a collection's own pictures, a feature model as the teacher, another one out."""

from __future__ import annotations

import pytest
from django.conf import settings

from catalog.jobs import JobState
from search.embedding import embed_pending
from search.models import Embedding, FeatureModel
from search.trainings import training_create, training_run
from tests.factories import CollectionFactory, ImageFactory
from tests.search.training.tiny_teacher import plain

pytestmark = [pytest.mark.django_db, pytest.mark.torch]


@pytest.fixture
def teacher() -> FeatureModel:
    settings.WEIGHTS_ROOT.mkdir(parents=True, exist_ok=True)
    plain(settings.WEIGHTS_ROOT / "teacher.onnx")
    return FeatureModel.objects.create(name="teacher", backbone="onnx", weights="teacher.onnx")


def test_a_run_gives_a_feature_model_that_embeds(teacher: FeatureModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from search.training import distillation
    from search.training.recipe import Recipe
    from tests.search.training.test_distill import TINY

    monkeypatch.setattr(distillation, "Recipe", lambda seed: Recipe(seed, TINY.batch, TINY.phases, measure_every=7))
    collection = CollectionFactory()
    images = [ImageFactory(product=None, collection=collection, seed=at) for at in range(8)]
    run = training_run(training_create("distill", "student", collection=collection, base=teacher).pk)
    assert (run.state, run.error) == (JobState.DONE, "")
    assert [row["step"] for row in run.curve] == [7, 14]
    assert run.results["teachers"] == ["teacher"]
    assert run.result is not None
    assert (run.result.name, run.result.dim) == ("student", 512)
    embed_pending(collection, run.result)
    assert Embedding.objects.filter(feature_model=run.result, vector__isnull=False).count() == len(images)


def test_too_few_pictures_are_told(teacher: FeatureModel) -> None:
    collection = CollectionFactory()
    ImageFactory(product=None, collection=collection)
    run = training_run(training_create("distill", "student", collection=collection, base=teacher).pk)
    assert run.state == JobState.FAILED
    assert "1 pictures to learn from" in run.error
