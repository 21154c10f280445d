"""Projections as feature models: fitted on a collection, embedded without the network."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from catalog.models import ImageRole
from search import picture_stream
from search.embedding import descriptor_of, embed_pending, feature_model_prepare
from search.feature_models import NameTaken
from search.models import Embedding, FeatureModel
from search.projections import NothingToFitOn, ProjectedAlready, projection_fit
from search.vectors import from_bytes
from tests.factories import CollectionFactory, FeatureModelFactory, ImageFactory
from tests.search.extraction.conftest import write_network

pytestmark = pytest.mark.django_db


@pytest.fixture
def weights(settings, tmp_path):
    settings.WEIGHTS_ROOT = tmp_path / "weights"
    return settings.WEIGHTS_ROOT


@pytest.fixture
def base() -> FeatureModel:
    return feature_model_prepare(FeatureModelFactory(name="base"))


@pytest.fixture
def collection(base):
    collection = CollectionFactory()
    for seed in range(24):
        ImageFactory(product=None, collection=collection, seed=seed)
    embed_pending(collection, base)
    return collection


def test_embedding_with_it_needs_no_picture_again(weights, base, collection, monkeypatch) -> None:
    model = projection_fit(base, [collection], "pca8", 8)
    monkeypatch.setattr(picture_stream.PictureStream, "_prepare", lambda *_: pytest.fail("a picture was opened"))
    assert embed_pending(collection, model) == 24
    stored = Embedding.objects.filter(feature_model=model).order_by("image_id")
    assert [len(row.vector) for row in stored] == [16] * 24
    assert model.dim == 8
    assert model.projected_from == base


def test_a_picture_the_base_never_saw_goes_through_the_network(weights, base, collection) -> None:
    model = projection_fit(base, [collection], "pca8", 8)
    new = ImageFactory(product=None, collection=collection, seed=99)
    assert embed_pending(collection, model) == 25
    row = Embedding.objects.get(feature_model=model, image=new)
    row.delete()
    extracted = descriptor_of(new, model)
    assert from_bytes(row.vector, 8) == pytest.approx(extracted, abs=2e-3)


def test_stored_and_extracted_descriptors_are_the_same(weights, base, collection) -> None:
    model = projection_fit(base, [collection], "white", 6, whiten=True)
    image = collection.images.first()
    extracted = descriptor_of(image, model)
    embed_pending(collection, model)
    assert descriptor_of(image, model) @ extracted > 0.9999
    assert np.linalg.norm(extracted) == pytest.approx(1, abs=1e-5)


@pytest.fixture
def averaged(tmp_path) -> FeatureModel:
    """Of a network, with all that may come between its map and the projection."""
    path = write_network(tmp_path / "small.onnx")
    options = {"pooling": "rmac", "power": 0.5, "scales": [1, 0.5], "flip": True}
    row = FeatureModelFactory(backbone="onnx", weights=str(path), preprocessing={"resize": 64, "crop": 64}, **options)
    return feature_model_prepare(row)


def test_powers_sizes_and_mirror_images_come_before_it(weights, averaged, collection, monkeypatch) -> None:
    assert embed_pending(collection, averaged) == 24
    model = projection_fit(averaged, [collection], "white", 4, whiten=True)
    model.refresh_from_db()
    assert (model.pooling, model.power, model.scales, model.flip) == ("rmac", 0.5, [1, 0.5], True)
    extracted = descriptor_of(image := collection.images.first(), model)
    monkeypatch.setattr(picture_stream.PictureStream, "_prepare", lambda *_: pytest.fail("a picture was opened"))
    assert embed_pending(collection, model) == 24
    # Whitening divides by the small spread of these pictures, so float16 shows
    assert descriptor_of(image, model) @ extracted > 0.99


def test_query_pictures_are_not_fitted_on(weights, base, collection) -> None:
    alone = projection_fit(base, [collection], "without", 8)
    for seed in range(100, 110):
        ImageFactory(product=None, collection=collection, seed=seed, role=ImageRole.QUERY)
    embed_pending(collection, base)
    assert projection_fit(base, [collection], "with", 8).projection_sha256 == alone.projection_sha256


def test_a_model_that_differs_from_its_base_is_not_projected_from_it(weights, base, collection) -> None:
    model = projection_fit(base, [collection], "pca8", 8)
    other = FeatureModelFactory(name="other", backbone="color_gradient", gem_p=4.0)
    FeatureModel.objects.filter(pk=model.pk).update(projected_from=other)
    Embedding.objects.filter(feature_model=base).update(feature_model=other)
    assert embed_pending(collection, FeatureModel.objects.get(pk=model.pk)) == 24
    assert {len(row.vector) for row in Embedding.objects.filter(feature_model=model)} == {16}


def test_refusals(weights, base, collection) -> None:
    projected = projection_fit(base, [collection], "pca8", 8)
    with pytest.raises(NameTaken):
        projection_fit(base, [collection], "pca8", 4)
    with pytest.raises(ProjectedAlready):
        projection_fit(projected, [collection], "twice", 4)
    with pytest.raises(NothingToFitOn):
        projection_fit(base, [CollectionFactory()], "nothing", 4)


def test_the_command(weights, base, collection, capsys) -> None:
    call_command("fit_projection", "small", "--feature-model", "base", "--collection", collection.slug, "--dim", "8")
    assert capsys.readouterr().out.startswith(f"small: 8 dimensions of base's {base.dim}, pca8-")
    with pytest.raises(CommandError, match="too few"):
        call_command("fit_projection", "big", "--feature-model=base", f"--collection={collection.slug}", "--dim=100")
