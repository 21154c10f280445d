"""Why a hit was found: what each place of the asking picture and of the hit adds to their score, on demand."""

from __future__ import annotations

import hashlib

import numpy as np
from django.core.cache import cache
from django.core.files.storage import default_storage

from catalog.images import Picture, decode
from catalog.models import Image
from catalog.services import picture_limits
from search.embedding import extractor_for, side_for
from search.examples import Box, Example
from search.extraction.explain import Explanation, Method, Seen, explain, see
from search.extraction.extractor import Extractor
from search.models import SearchIndex, UploadedQuery

KEPT_S = 3600
VERSION = 1  # raise it whenever an Explanation has other fields or other numbers


def hit_explain(index: SearchIndex, example: Example, hit: Image, method: Method = Method.AUTO) -> Explanation:
    """The score of one example picture, or of its box, with a hit. Its weight and other examples count for nothing.

    Kept in the cache an hour, by the pictures' content, the box and the feature model's fingerprint. Raises
    PictureError, ExtractionError.
    """
    extractor = extractor_for(index.feature_model)
    data = _data(example)
    sha256 = hashlib.sha256(data).hexdigest() if data is not None else _stored(example).sha256
    name = f"{VERSION} {sha256} {example.box} {hit.sha256} {extractor.fingerprint} {method}"
    key = f"explanation:{hashlib.sha256(name.encode()).hexdigest()}"
    kept: Explanation | None = cache.get(key)
    if kept is not None:
        return kept
    query = _seen(extractor, _read(_stored(example)) if data is None else data, example)
    made = explain(extractor, query, _seen(extractor, _read(hit), Example(image=hit)), method)
    cache.set(key, made, KEPT_S)
    return made


def _data(example: Example) -> bytes | None:
    """Bytes that came with the question; None for a picture that is stored."""
    return example.data if example.image is None and example.query is None else None


def _stored(example: Example) -> Image | UploadedQuery:
    stored = example.query or example.image
    assert stored is not None  # an example is exactly one picture
    return stored


def _read(stored: Image | UploadedQuery) -> bytes:
    with default_storage.open(str(stored.file.name)) as file:
        return bytes(file.read())


def _seen(extractor: Extractor, data: bytes, example: Example) -> Seen:
    """Decoded at the size at which it is embedded: another would be another score."""
    stored, box = example.query or example.image, example.box
    side = extractor.min_side if box is None else side_for(extractor, stored, box) if stored else None
    picture = decode(data, min_side=side, limits=picture_limits())
    if box is None:
        return see(extractor, picture.pixels, (0, 0, picture.width, picture.height), (picture.width, picture.height))
    part = picture.crop(box)
    left, top, across, down = _corner(picture, box)
    within = (left, top, left + part.width / across, top + part.height / down)
    return see(extractor, part, within, (picture.width, picture.height))


def _corner(picture: Picture, box: Box) -> tuple[float, float, float, float]:
    """Where a cut of decoded pixels begins, in original ones, and the decoded pixels to one of them each way."""
    across, down = picture.pixels.width / picture.width, picture.pixels.height / picture.height
    left, top = (np.floor(max(0, at) * scale) / scale for at, scale in zip(box[:2], (across, down), strict=True))
    return float(left), float(top), across, down
