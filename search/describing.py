"""Example pictures to descriptors, their parts timed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from django.core.cache import cache
from django.core.files.storage import default_storage

from catalog.images import decode
from catalog.models import Image
from catalog.services import picture_limits
from search.embedding import descriptor_of, extractor_for, side_for
from search.examples import Box, Example
from search.models import Embedding, FeatureModel, UploadedQuery
from search.types import Descriptors
from search.vectors import from_bytes

DESCRIPTOR_CACHE_S = 600

Timed = Callable[[str], AbstractContextManager[None]]


class Describer:
    """``timed``: adds what happens within to one of ``decode`` and ``network``."""

    def __init__(self, feature_model: FeatureModel, timed: Timed) -> None:
        self._feature_model, self._timed = feature_model, timed

    def describe(self, examples: Sequence[Example]) -> Descriptors:
        """(n, dim), a row for each example. Raises PictureError, ExtractionError."""
        with self._timed("network"):
            stored = self._stored([e.image for e in examples if e.image is not None and e.box is None])
        return np.stack([self._describe(example, stored) for example in examples])

    def _stored(self, images: Sequence[Image]) -> dict[int, Descriptors]:
        """What is embedded already, all of it in one query."""
        if len(images) < 2:  # one is read by itself as quickly
            return {}
        rows = Embedding.objects.filter(
            image__in=[image.pk for image in images], feature_model=self._feature_model, vector__isnull=False
        )
        pairs = rows.values_list("image_id", "vector")
        return {key: from_bytes(vector, self._feature_model.dim) for key, vector in pairs if vector is not None}

    def _describe(self, example: Example, stored: dict[int, Descriptors]) -> Descriptors:
        if example.query is not None:
            return self._of_upload(example.query, example.box)
        if example.image is None:
            return self._of_bytes(example.data or b"", example.box)
        if example.box is None and example.image.pk in stored:
            return stored[example.image.pk]
        with self._timed("network"):
            return descriptor_of(example.image, self._feature_model, example.box)

    def _of_bytes(self, data: bytes, box: Box | None, size: UploadedQuery | None = None) -> Descriptors:
        """``size``: its row, if its pixels are known before."""
        extractor = extractor_for(self._feature_model)
        with self._timed("decode"):
            side = extractor.min_side if box is None else side_for(extractor, size, box) if size else None
            picture = decode(data, min_side=side, limits=picture_limits())
            pixels = picture.pixels if box is None else picture.crop(box)
        with self._timed("network"):
            return np.asarray(extractor.extract([pixels])[0], np.float32)

    def _of_upload(self, query: UploadedQuery, box: Box | None) -> Descriptors:
        """Kept in the cache a while: paging and filtering ask for the same one again."""
        with self._timed("network"):
            fingerprint = self._feature_model.fingerprint or extractor_for(self._feature_model).fingerprint
            name = f"{query.collection_id} {query.sha256} {box} {fingerprint}"
            key = f"descriptor:{hashlib.sha256(name.encode()).hexdigest()}"
            kept = cache.get(key)
        if kept is not None:
            return np.frombuffer(kept, np.float32)
        with self._timed("decode"), default_storage.open(str(query.file.name)) as file:
            data = file.read()
        descriptor = self._of_bytes(data, box, query)
        cache.set(key, descriptor.tobytes(), DESCRIPTOR_CACHE_S)
        return descriptor
