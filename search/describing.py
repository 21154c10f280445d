"""Example pictures to descriptors, their parts timed, each picture described once while it is in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from django.core.files.storage import default_storage

from catalog.images import decode
from catalog.models import Image
from catalog.services import picture_limits
from search.embedding import descriptor_of, extractor_for, side_for
from search.examples import Box, Example
from search.models import Embedding, FeatureModel, UploadedQuery
from search.query_cache import Options, descriptor_key, descriptor_of_bytes, descriptors
from search.types import Descriptors
from search.vectors import from_bytes

Timed = Callable[[str], AbstractContextManager[None]]


class Describer:
    """``timed``: adds what happens within to one of ``decode``, ``network`` and ``cache``.

    ``kept`` and ``made``: descriptors that the cache had, and had not. Those stored with their pictures are neither.
    """

    def __init__(self, feature_model: FeatureModel, collection_id: int, timed: Timed) -> None:
        self._feature_model, self._collection_id, self._timed = feature_model, collection_id, timed
        self.kept = self.made = 0

    def describe(self, examples: Sequence[Example]) -> Descriptors:
        """(n, dim), a row for each example. Raises PictureError, ExtractionError."""
        with self._timed("network"):
            stored = self._stored([e.image for e in examples if e.image is not None and e.box is None])
        return np.stack([self._describe(example, stored) for example in examples])

    def _stored(self, images: Sequence[Image]) -> dict[int, Descriptors]:
        """What is embedded already, all of it in one query."""
        if not images:
            return {}
        rows = Embedding.objects.filter(
            image__in=[image.pk for image in images], feature_model=self._feature_model, vector__isnull=False
        )
        pairs = rows.values_list("image_id", "vector")
        return {key: from_bytes(vector, self._feature_model.dim) for key, vector in pairs if vector is not None}

    def _describe(self, example: Example, stored: dict[int, Descriptors]) -> Descriptors:
        box, image, query = example.box, example.image, example.query
        if query is not None:
            return self._once(query.sha256, box, lambda: self._of_upload(query, box), _scaled(box))
        if image is None:
            data = example.data or b""
            return self._once(hashlib.sha256(data).hexdigest(), box, lambda: self._of_bytes(data, box))
        if box is None and image.pk in stored:
            return stored[image.pk]
        return self._once(image.sha256, box, lambda: self._of_image(image, box), _scaled(box))

    def _once(
        self, sha256: str, box: Box | None, make: Callable[[], Descriptors], options: Options = ()
    ) -> Descriptors:
        """What ``make`` gives, from the cache if it is there. ``options``: what else it depends on."""
        if not descriptors.is_on:
            return make()
        with self._timed("network"):
            fingerprint = self._feature_model.fingerprint or extractor_for(self._feature_model).fingerprint
        key = descriptor_key(self._collection_id, sha256, box, fingerprint, options)
        if (kept := self._kept(key)) is not None:
            return kept
        with descriptors.turn(key) as waited:
            if waited and (kept := self._kept(key)) is not None:
                return kept
            descriptor = make()
            with self._timed("cache"):
                descriptors.put(key, np.ascontiguousarray(descriptor, "<f4").tobytes())
        self.made += 1
        return descriptor

    def _kept(self, key: str) -> Descriptors | None:
        with self._timed("cache"):
            data = descriptors.get(key)
            kept = None if data is None else descriptor_of_bytes(data, self._feature_model.dim)
        self.kept += kept is not None
        return kept

    def _of_image(self, image: Image, box: Box | None) -> Descriptors:
        with self._timed("network"):
            return descriptor_of(image, self._feature_model, box)

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
        with self._timed("decode"), default_storage.open(str(query.file.name)) as file:
            data = file.read()
        return self._of_bytes(data, box, query)


def _scaled(box: Box | None) -> Options:
    """The pixels of a stored picture are known, so that it is decoded no larger than its box needs: not quite the same
    pixels as of bytes that come without a row."""
    return () if box is None else (("scaled", True),)
