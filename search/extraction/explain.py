"""Why two pictures look alike to an extractor: what each place of either adds to their score.

Where the network gives feature maps the score is taken apart exactly, see search.extraction.places. Where it gives
vectors (a classical descriptor, a network that pools by itself) parts of the pictures are covered instead, see
search.extraction.occlusion. Gradients of the score would be a third way (Chen et al., Adapting Grad-CAM for embedding
networks, WACV 2020): they need torch and a second pass, and with these poolings say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from catalog.errors import gettext_noop
from search.extraction.errors import ExtractionError, UnsupportedNetwork
from search.extraction.extractor import Extractor
from search.extraction.heat import Heat, Rect
from search.extraction.occlusion import occlude
from search.extraction.places import Floats, places_of
from search.extraction.preprocess import Pixels, source_box
from search.extraction.projection import Projection


class Method(StrEnum):
    AUTO = "auto"  # maps where there are any
    MAPS = "maps"
    OCCLUSION = "occlusion"


class NoPlaces(ExtractionError):
    code = "no_feature_maps"
    text = gettext_noop("The network %(name)s gives one vector a picture: its score cannot be divided among places.")
    cure = gettext_noop(
        "Choose a layer that gives feature maps, for example layer4 or features, or have parts covered (occlusion)."
    )
    status = 409


@dataclass(frozen=True)
class Seen:
    """A picture as the network gets it. ``pixels`` uint8 (side, side, 3); ``box`` is what they show, in upright
    original pixels, of a picture of ``size`` (width, height)."""

    pixels: Pixels
    box: Rect
    size: tuple[int, int]


@dataclass(frozen=True)
class Explanation:
    """``query.values`` and ``hit.values`` sum to ``score`` less ``attributes``, where ``method`` is maps.

    ``centring``: what a projection's centre takes off, or adds, for the query and the hit; it is no place's and is
    spread evenly in the values. ``attributes``: what predicted attributes add to the score beside the picture.
    ``pairs`` float32 (places of the query, places of the hit), row by row: what each two add together; their sum and
    the constants are the score. Empty where parts were covered.
    """

    method: Method
    score: float
    query: Heat
    hit: Heat
    centring: tuple[float, float] = (0.0, 0.0)
    attributes: float = 0.0
    pairs: NDArray[np.float32] | None = None

    @property
    def explained(self) -> float:
        """Share of the score that the places of the query add up to: 1 but for attributes and covered parts."""
        return float(self.query.values.sum(dtype=np.float64)) / self.score if self.score else 0.0

    def partners(self) -> tuple[list[int], list[int]]:
        """For each place of the query its best counterpart among the hit's, row by row, and the other way round.

        Best is not what adds most, or all would go with the loudest place: it is what adds most beyond what both add
        with all others on average. Empty without ``pairs``.
        """
        if self.pairs is None:
            return [], []
        beyond = self.pairs - self.pairs.mean(axis=0) - self.pairs.mean(axis=1, keepdims=True)
        return beyond.argmax(axis=1).tolist(), beyond.argmax(axis=0).tolist()


def see(extractor: Extractor, image: PIL.Image.Image, within: Rect, size: tuple[int, int]) -> Seen:
    """Prepare a picture, or a part of one, that lies at ``within`` in an upright original of ``size``.

    ``image`` may be smaller than the original: it is what ``catalog.images.decode`` gave.
    """
    box = source_box(image.width, image.height, extractor.preprocessing)
    left, top, right, bottom = within
    across, down = (right - left) / image.width, (bottom - top) / image.height
    seen = (left + box[0] * across, top + box[1] * down, left + box[2] * across, top + box[3] * down)
    return Seen(extractor.prepare(image), seen, size)


def explain(extractor: Extractor, query: Seen, hit: Seen, method: Method = Method.AUTO) -> Explanation:
    """Raises NoPlaces where ``method`` is maps and there are none, and what extraction raises."""
    if method is not Method.OCCLUSION:
        try:
            return _by_places(extractor, query, hit)
        except UnsupportedNetwork as error:
            if method is Method.MAPS:
                raise NoPlaces(name=extractor.spec.backbone) from error
    return _by_occlusion(extractor, query, hit)


def _by_occlusion(extractor: Extractor, query: Seen, hit: Seen) -> Explanation:
    x = extractor.describe(np.stack([query.pixels, hit.pixels]))
    heats = [
        Heat(occlude(extractor, seen.pixels, other), seen.box, seen.size)
        for seen, other in ((query, x[1]), (hit, x[0]))
    ]
    return Explanation(Method.OCCLUSION, float(x[0] @ x[1]), heats[0], heats[1])


def _by_places(extractor: Extractor, query: Seen, hit: Seen) -> Explanation:
    maps = places_of(extractor, np.stack([query.pixels, hit.pixels]))
    q, h = (_projected(extractor, places) for places in maps)
    values = [(q.places @ h.descriptor), (h.places @ q.descriptor)]
    centring = float(q.centre @ h.descriptor), float(h.centre @ q.descriptor)
    heats = [
        Heat((value + constant / value.size).astype(np.float32), seen.box, seen.size)
        for value, constant, seen in zip(values, centring, (query, hit), strict=True)
    ]
    pairs = q.places.reshape(-1, q.places.shape[2]) @ h.places.reshape(-1, h.places.shape[2]).T
    return Explanation(
        method=Method.MAPS,
        score=float(q.descriptor @ h.descriptor),
        query=heats[0],
        hit=heats[1],
        centring=centring,
        attributes=float(q.attributes @ h.attributes),
        pairs=pairs.astype(np.float32),
    )


@dataclass(frozen=True)
class _Projected:
    """The descriptor (dim,) in its parts: the sum of ``places`` (h, w, dim) over places, ``centre`` and
    ``attributes``, each (dim,)."""

    places: Floats
    centre: Floats
    attributes: Floats

    @property
    def descriptor(self) -> Floats:
        return np.asarray(self.places.sum(axis=(0, 1)) + self.centre + self.attributes, np.float64)


def _projected(extractor: Extractor, places: Floats) -> _Projected:
    projection = extractor.projection
    if projection is None:
        return _Projected(places, np.zeros(places.shape[2]), np.zeros(places.shape[2]))
    if isinstance(projection, Projection):
        matrix, mean = projection.matrix.astype(np.float64), projection.mean.astype(np.float64)
        whole = (places.sum(axis=(0, 1)) - mean) @ matrix
        length = float(np.linalg.norm(whole)) or 1.0
        return _Projected(places @ matrix / length, -mean @ matrix / length, np.zeros(matrix.shape[1]))
    return _beside(extractor, places)


def _beside(extractor: Extractor, places: Floats) -> _Projected:
    """The product branch: the descriptor, made shorter, and beside it what it predicts, which has no place."""
    width = places.shape[2]
    whole = extractor.project(places.sum(axis=(0, 1))[None].astype(np.float32))[0].astype(np.float64)
    padded = np.zeros((*places.shape[:2], len(whole)))
    padded[..., :width] = places * np.linalg.norm(whole[:width])
    return _Projected(padded, np.zeros(len(whole)), np.concatenate([np.zeros(width), whole[width:]]))
