"""Pictures of a collection -> embedding rows; feature models -> extractors, opened once a process."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from numpy.typing import NDArray

from catalog.images import decode
from catalog.models import Collection, Image
from catalog.services import picture_limits
from search.embedding_run import EmbeddingRun
from search.extraction.errors import WeightsChanged
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.spec import ExtractorSpec, Runtime
from search.machine_runtime import site_runtime
from search.models import Embedding, FeatureModel, SearchIndex, UploadedQuery
from search.vectors import from_bytes

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
Box = tuple[int, int, int, int]

DEFAULT_NAME = DEFAULT_BACKBONE = "color_gradient"
OPEN_EXTRACTORS = 4  # networks kept in memory, the least recently used leaves

_open: OrderedDict[tuple[int, str], Extractor] = OrderedDict()
_lock = Lock()
_building: dict[tuple[int, str], Lock] = {}


def extractor_for(feature_model: FeatureModel) -> Extractor:
    """The open extractor of a feature model, shared by all threads of the process.

    Raises ExtractionError subclasses; WeightsChanged where what is on the disk is no longer what the
    stored embeddings were made with.
    """
    key = (feature_model.pk, feature_model.fingerprint)
    if found := _cached(key):
        return found
    with _lock:
        turn = _building.setdefault(key, Lock())
    with turn:  # one thread opens it, the others wait for that
        if found := _cached(key):
            return found
        extractor = _build(feature_model)
        if not feature_model.fingerprint:  # another process may have filled it in since this row was read
            feature_model.refresh_from_db(fields=["dim", "fingerprint"])
        if feature_model.fingerprint:
            _check(feature_model, extractor)
        else:
            _record(feature_model, extractor)
        _keep((feature_model.pk, extractor.fingerprint), extractor)
    with _lock:
        _building.pop(key, None)
    return extractor


def feature_model_prepare(feature_model: FeatureModel) -> FeatureModel:
    """Open it and fill in ``dim`` and ``fingerprint``; a model that has embedded something is only checked."""
    extractor = _build(feature_model)
    if feature_model.fingerprint and feature_model.embeddings.exists():
        _check(feature_model, extractor)
    else:
        _record(feature_model, extractor)
    _keep((feature_model.pk, extractor.fingerprint), extractor)
    return feature_model


def feature_model_renew(feature_model: FeatureModel) -> int:
    """Take a feature model as it is now and drop what it embedded before; how many embeddings went.

    For an upgrade that changed the classical descriptor, or weights exchanged on purpose. Its indexes find nothing
    until the pictures are embedded again: workers do that by themselves.
    """
    with transaction.atomic():
        SearchIndex.objects.filter(feature_model=feature_model).update(active_build=None)
        dropped, _ = Embedding.objects.filter(feature_model=feature_model).delete()
        feature_model_prepare(feature_model)
    return dropped


def feature_model_default() -> FeatureModel:
    """The default feature model; the classical descriptor, which needs no weights, if none was chosen."""
    if found := FeatureModel.objects.filter(is_default=True).first():
        return found
    model, _ = FeatureModel.objects.get_or_create(name=DEFAULT_NAME, defaults={"backbone": DEFAULT_BACKBONE})
    try:
        with transaction.atomic():
            FeatureModel.objects.filter(pk=model.pk).update(is_default=True)
    except IntegrityError:  # somebody chose one at this very moment
        return FeatureModel.objects.get(is_default=True)
    model.refresh_from_db()
    return model if model.fingerprint else feature_model_prepare(model)


def embed_pending(
    collection: Collection,
    feature_model: FeatureModel,
    *,
    limit: int | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Embed the pictures, gallery and query alike, that have no embedding; how many were dealt with.

    A picture that cannot be embedded gets a row with the reason and counts too. Running it again, or in
    two processes at once, does no harm: pictures that another process is busy with are left to it.
    ``on_progress`` is given pictures done and in all, and may raise to stop.
    """
    run = EmbeddingRun(collection, feature_model, extractor_for(feature_model), picture_limits())
    return run.work(limit, on_progress)


def descriptor_of(image: Image, feature_model: FeatureModel, box: Box | None = None) -> NDArray[np.float32]:
    """float32 (dim,): the stored embedding, else extracted; a box (x, y, w, h) is always extracted."""
    if box is None:
        stored = Embedding.objects.filter(image=image, feature_model=feature_model, vector__isnull=False).first()
        if stored is not None and stored.vector is not None:
            return from_bytes(stored.vector, feature_model.dim)
    extractor = extractor_for(feature_model)
    with default_storage.open(str(image.file.name)) as file:
        data = file.read()
    picture = decode(data, min_side=side_for(extractor, image, box), limits=picture_limits())
    pixels = picture.pixels if box is None else picture.crop(box)
    return np.asarray(extractor.extract([pixels])[0], np.float32)


def side_for(extractor: Extractor, image: Image | UploadedQuery, box: Box | None) -> int:
    """The short side to decode at, so that what is cut out keeps the pixels that the network wants."""
    if box is None:
        return extractor.min_side
    x, y, width, height = box  # of which only what lies in the picture is cut out
    inside = min(x + width, image.width) - max(x, 0), min(y + height, image.height) - max(y, 0)
    cut = max(1, min(inside))
    return -(-extractor.min_side * min(image.width, image.height) // cut)


def _build(feature_model: FeatureModel) -> Extractor:
    return extractor_of(feature_model.spec)


def extractor_of(spec: ExtractorSpec) -> Extractor:
    """An extractor opened as this site's settings say, and kept by nobody. Raises ExtractionError subclasses."""
    if spec.runtime is Runtime.AUTO:
        spec = replace(spec, runtime=site_runtime())
    return build_extractor(
        spec,
        device=settings.EXTRACTION_DEVICE,
        threads=settings.EXTRACTION_THREADS,
        weights_dir=Path(settings.WEIGHTS_ROOT),
    )


def _cached(key: tuple[int, str]) -> Extractor | None:
    with _lock:
        if key in _open:
            _open.move_to_end(key)
        return _open.get(key)


def _keep(key: tuple[int, str], extractor: Extractor) -> None:
    with _lock:
        _open[key] = extractor
        _open.move_to_end(key)
        while len(_open) > OPEN_EXTRACTORS:
            _open.popitem(last=False)


def _check(feature_model: FeatureModel, extractor: Extractor) -> None:
    if extractor.fingerprint != feature_model.fingerprint:
        raise WeightsChanged(
            what=feature_model.name,
            expected=feature_model.fingerprint[:16],
            found=extractor.fingerprint[:16],
        )


def _record(feature_model: FeatureModel, extractor: Extractor) -> None:
    feature_model.dim, feature_model.fingerprint = extractor.dim, extractor.fingerprint
    feature_model.save(update_fields=["dim", "fingerprint"])
