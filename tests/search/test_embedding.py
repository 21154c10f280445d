"""Embedding rows: complete, idempotent, one bad picture at a time."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as PillowImage

from catalog.errors import JobCancelled
from catalog.images import BrokenPicture, decode
from catalog.locks import try_lock
from catalog.models import Collection, Image, ImageRole
from search import demo, embedding, embedding_run, picture_stream
from search.builds import build_create, build_run
from search.embedding import (
    descriptor_of,
    embed_pending,
    extractor_for,
    feature_model_default,
    feature_model_prepare,
    feature_model_renew,
    side_for,
)
from search.extraction.errors import UnknownBackbone, WeightsChanged, WeightsMissing
from search.extraction.extractor import Extractor
from search.models import Embedding, FeatureModel, SearchIndex
from search.picture_stream import PictureStream
from search.vectors import from_bytes, to_bytes
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def collection() -> Collection:
    return factories.CollectionFactory()


@pytest.fixture
def model() -> FeatureModel:
    return feature_model_default()


def store(collection: Collection, seed: int, data: bytes | None = None, **fields: Any) -> Image:
    """A picture row made without the decoder, so that its file may be anything."""
    data = factories.picture(seed) if data is None else data
    name = default_storage.save(f"images/{seed}.jpg", ContentFile(data))
    values = {"sha256": f"{seed:064}", "size": len(data), "width": 96, "height": 72, "format": "JPEG", **fields}
    return Image.objects.create(collection=collection, file=name, **values)


def vector(image: Image, model: FeatureModel) -> np.ndarray:
    return from_bytes(Embedding.objects.get(image=image, feature_model=model).vector, model.dim)


def test_bytes_are_little_endian_float16_and_come_back() -> None:
    x = np.array([[1.0, -0.5], [0.25, 2.0]], np.float32)
    rows = to_bytes(x)
    assert rows[0] == b"\x00\x3c\x00\xb8"
    assert [from_bytes(row, 2).tolist() for row in rows] == x.tolist()
    assert from_bytes(memoryview(rows[1]), 2).dtype == np.float32


def test_the_default_is_made_once_prepared_and_kept() -> None:
    first = feature_model_default()
    assert (first.backbone, first.is_default) == ("color_gradient", True)
    assert first.dim > 0
    assert len(first.fingerprint) == 64
    assert feature_model_default().pk == first.pk
    assert FeatureModel.objects.count() == 1


def test_a_chosen_default_is_respected() -> None:
    chosen = factories.FeatureModelFactory(name="mine", is_default=True)
    assert feature_model_default() == chosen


def test_gallery_and_query_pictures_are_embedded_and_those_of_other_collections_are_not(
    collection: Collection, model: FeatureModel, settings: Any
) -> None:
    settings.EXTRACTION_BATCH = 4
    images = [store(collection, seed) for seed in range(9)]
    images.append(store(collection, 9, role=ImageRole.QUERY))
    other = store(factories.CollectionFactory(), 10)
    progress: list[tuple[int, int]] = []
    assert embed_pending(collection, model, on_progress=lambda done, total: progress.append((done, total))) == 10
    assert progress == [(4, 10), (8, 10), (10, 10)]
    assert not other.embeddings.exists()
    alone = extractor_for(model).extract([decode(factories.picture(0)).pixels])[0]
    for image in images:
        assert np.linalg.norm(vector(image, model)) == pytest.approx(1, abs=1e-3)
    assert vector(images[0], model) @ alone > 0.999


def test_again_does_nothing_and_an_addition_is_all_that_is_done(collection: Collection, model: FeatureModel) -> None:
    store(collection, 1)
    assert embed_pending(collection, model) == 1
    row = Embedding.objects.get()
    assert embed_pending(collection, model) == 0
    store(collection, 2)
    assert embed_pending(collection, model) == 1
    assert Embedding.objects.filter(pk=row.pk, created=row.created).exists()


def test_an_empty_collection_is_nothing_to_do(collection: Collection, model: FeatureModel) -> None:
    assert embed_pending(collection, model) == 0


def test_limit_stops_and_the_next_call_goes_on(collection: Collection, model: FeatureModel) -> None:
    for seed in range(5):
        store(collection, seed)
    assert [embed_pending(collection, model, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert Embedding.objects.count() == 5


def test_a_bad_picture_gets_its_reason_and_the_rest_of_its_batch_is_embedded(
    collection: Collection, model: FeatureModel
) -> None:
    good = [store(collection, 1), store(collection, 5)]
    cut = store(collection, 2, factories.picture(2, (400, 300))[:2000])
    text = store(collection, 3, b"<html>not found</html>")
    gone = store(collection, 4)
    default_storage.delete(gone.file.name)
    assert embed_pending(collection, model) == 5
    errors = dict(Embedding.objects.filter(vector=None).values_list("image_id", "error"))
    assert errors[cut.pk] == str(BrokenPicture())
    assert "text file" in errors[text.pk]
    assert errors[gone.pk] == "The file is missing."
    assert set(errors) == {cut.pk, text.pk, gone.pk}
    assert all(vector(image, model).any() for image in good)
    assert embed_pending(collection, model) == 0  # not tried again and again


def test_a_decoder_that_fails_in_an_unforeseen_way_costs_one_picture(
    collection: Collection, model: FeatureModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = store(collection, 1), store(collection, 2)
    bad = default_storage.open(first.file.name).read()
    real = picture_stream.decode

    def fails_on_one(data: bytes, **kwargs: Any) -> Any:
        if data == bad:
            raise ZeroDivisionError("in a codec")
        return real(data, **kwargs)

    monkeypatch.setattr(picture_stream, "decode", fails_on_one)
    assert embed_pending(collection, model) == 2
    assert Embedding.objects.get(image=first).error == "ZeroDivisionError: in a codec"
    assert vector(second, model).any()


def test_no_finite_descriptor_is_an_error_row(
    collection: Collection, model: FeatureModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(collection, 1), store(collection, 2)
    real = Extractor.describe

    def nan_first(self: Extractor, pixels: Any) -> Any:
        x = real(self, pixels)
        x[0] = np.nan
        return x

    monkeypatch.setattr(Extractor, "describe", nan_first)
    embed_pending(collection, model)
    assert Embedding.objects.filter(vector=None, error=picture_stream.NOT_FINITE).count() == 1
    assert Embedding.objects.filter(error="").count() == 1


def test_stopped_in_the_middle_it_keeps_what_was_stored_and_goes_on(
    collection: Collection, model: FeatureModel, settings: Any
) -> None:
    settings.EXTRACTION_BATCH = 2
    for seed in range(7):
        store(collection, seed)

    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        embed_pending(collection, model, on_progress=stop)
    assert Embedding.objects.count() == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("decode", "describe"))]
    assert embed_pending(collection, model) == 3


def test_the_next_batch_is_in_the_network_while_one_is_stored(
    collection: Collection, model: FeatureModel, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXTRACTION_BATCH = 2
    for seed in range(8):
        store(collection, seed)
    real, describing = Extractor.describe, threading.Semaphore(0)

    def described(self: Extractor, pixels: Any) -> Any:
        describing.release()
        return real(self, pixels)

    monkeypatch.setattr(Extractor, "describe", described)

    def second_is_under_way(done: int, total: int) -> None:
        # A batch of its own and at least one more, unless it is the last: not one after the other.
        assert describing.acquire(timeout=30)
        if done == 2:
            assert describing.acquire(timeout=30)
            describing.release()

    assert embed_pending(collection, model, on_progress=second_is_under_way) == 8
    assert list(Embedding.objects.order_by("pk").values_list("image_id", flat=True)) == sorted(
        Image.objects.values_list("pk", flat=True)
    )


def test_a_failing_disk_stops_the_run_and_no_thread_is_left(
    collection: Collection, model: FeatureModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        store(collection, seed)

    def fails(*_: Any) -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr(picture_stream, "default_storage", SimpleNamespace(open=fails))
    with pytest.raises(OSError, match="the disk is gone"):
        embed_pending(collection, model)
    assert not Embedding.objects.exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("decode", "describe"))]


def test_a_block_that_another_process_works_on_is_left_to_it(
    collection: Collection, model: FeatureModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_run, "BLOCK", 2)
    images = [store(collection, seed) for seed in range(6)]
    block = images[2].pk // 2
    theirs = {image.pk for image in images if image.pk // 2 == block}
    with try_lock(f"embed-{collection.pk}-{model.pk}-{block}") as free:
        assert free
        assert embed_pending(collection, model) == 6 - len(theirs)
        assert not Embedding.objects.filter(image__in=theirs).exists()
    assert embed_pending(collection, model) == len(theirs)


def test_a_picture_deleted_meanwhile_is_no_error(
    collection: Collection, model: FeatureModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, deleted = store(collection, 1), store(collection, 2)
    real = PictureStream.described

    def delete_when_described(self: PictureStream, files: Any) -> Any:
        for batch in real(self, files):
            Image.objects.filter(pk=deleted.pk).delete()
            yield batch

    monkeypatch.setattr(PictureStream, "described", delete_when_described)
    embed_pending(collection, model)
    assert list(Embedding.objects.values_list("image_id", flat=True)) == [kept.pk]


def test_descriptor_of_a_stored_a_new_and_a_boxed_picture(collection: Collection, model: FeatureModel) -> None:
    image = store(collection, 1, factories.picture(1, (400, 300)), width=400, height=300)
    extracted = descriptor_of(image, model)
    embed_pending(collection, model)
    assert descriptor_of(image, model).tolist() == vector(image, model).tolist()
    assert extracted @ vector(image, model) > 0.999
    box = (100, 50, 200, 150)
    with PillowImage.open(default_storage.open(image.file.name)) as whole:
        cut = whole.convert("RGB").crop((100, 50, 300, 200))
    assert descriptor_of(image, model, box) @ extractor_for(model).extract([cut])[0] > 0.999
    assert descriptor_of(image, model, (0, 0, 400, 300)) @ extracted > 0.999


def test_a_box_that_leaves_the_picture_is_decoded_as_large_as_what_is_left_of_it(
    collection: Collection, model: FeatureModel
) -> None:
    image = store(collection, 1, factories.picture(1, (1600, 1200)), width=1600, height=1200)
    extractor = extractor_for(model)
    for box, clipped in [
        ((0, 0, 100_000, 100_000), (0, 0, 1600, 1200)),
        ((1400, 1000, 5000, 5000), (1400, 1000, 200, 200)),
    ]:
        assert side_for(extractor, image, box) == side_for(extractor, image, clipped)
        assert descriptor_of(image, model, box).tolist() == descriptor_of(image, model, clipped).tolist()


def test_a_model_whose_weights_were_exchanged_is_refused(model: FeatureModel, collection: Collection) -> None:
    store(collection, 1)
    embed_pending(collection, model)
    FeatureModel.objects.filter(pk=model.pk).update(fingerprint="0" * 64)
    model.refresh_from_db()
    with pytest.raises(WeightsChanged, match=model.name):
        extractor_for(model)
    with pytest.raises(WeightsChanged):
        feature_model_prepare(model)


def test_a_renewed_model_drops_what_it_embedded_and_embeds_again(model: FeatureModel, collection: Collection) -> None:
    store(collection, 1)
    store(collection, 2)
    embed_pending(collection, model)
    index = factories.SearchIndexFactory(collection=collection, feature_model=model)
    SearchIndex.objects.filter(pk=index.pk).update(active_build=build_run(build_create(index).pk))
    FeatureModel.objects.filter(pk=model.pk).update(fingerprint="0" * 64)
    model.refresh_from_db()
    assert feature_model_renew(model) == 2
    index.refresh_from_db()
    assert index.active_build is None
    assert embed_pending(collection, model) == 2
    assert extractor_for(model).fingerprint == model.fingerprint != "0" * 64


def test_the_demo_survives_an_upgrade_of_the_classical_descriptor(collection: Collection) -> None:
    store(collection, 1)
    store(collection, 2)
    index = demo.embed(collection, lambda *_: None)
    FeatureModel.objects.filter(pk=index.feature_model_id).update(fingerprint="0" * 64)
    index = demo.embed(collection, lambda *_: None)
    assert index.feature_model.fingerprint == extractor_for(index.feature_model).fingerprint
    assert Embedding.objects.filter(feature_model=index.feature_model, vector__isnull=False).count() == 2


def test_a_model_that_has_embedded_nothing_may_still_change() -> None:
    model = factories.FeatureModelFactory(fingerprint="0" * 64, dim=3)
    assert feature_model_prepare(model).fingerprint != "0" * 64
    model.refresh_from_db()
    assert model.dim == extractor_for(model).dim


def test_errors_name_their_cause() -> None:
    with pytest.raises(UnknownBackbone, match="color_gradient"):
        extractor_for(factories.FeatureModelFactory(backbone="nothing_like_it"))
    with pytest.raises(WeightsMissing, match=r"nowhere\.onnx"):
        extractor_for(factories.FeatureModelFactory(backbone="onnx", weights="nowhere.onnx"))


def test_threads_share_one_extractor_and_the_cache_is_bounded(
    model: FeatureModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_open", type(embedding._open)())
    built: list[str] = []
    real = embedding._build
    monkeypatch.setattr(embedding, "_build", lambda model: (built.append(model.name), real(model))[1])
    found: list[Extractor] = []
    threads = [threading.Thread(target=lambda: found.append(extractor_for(model))) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len({id(extractor) for extractor in found}) == 1
    assert built == [model.name]
    for _ in range(6):
        extractor_for(feature_model_prepare(factories.FeatureModelFactory()))
    assert len(embedding._open) == embedding.OPEN_EXTRACTORS
