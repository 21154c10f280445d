"""Extractor: preprocess -> network -> pooling -> power -> L2, for each view of a picture; -> mean -> L2; where there is
a projection: -> PCA, whitening or attribute heads -> L2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from search.extraction import backbones
from search.extraction.backbones import Backbone
from search.extraction.errors import BadConfiguration, ExtractionError, UnsupportedNetwork
from search.extraction.fingerprint import fingerprint
from search.extraction.pooling import l2_normalise, pool, signed_power
from search.extraction.preprocess import Pixels, prepare
from search.extraction.projection import AnyProjection, load_projection
from search.extraction.runtimes import DEVICES, Place
from search.extraction.spec import ExtractorSpec
from search.extraction.views import Views, check_scales, sides_of
from search.extraction.weights import locate
from search.types import Descriptors


class Extractor:
    """Composed of a backbone, a pooling and perhaps a projection, never subclassed. Safe to share between threads.

    dim: length of a descriptor. fingerprint: what makes two descriptors comparable. min_side: what
    ``catalog.images.decode`` may be given, pixels. preprocessing: how ``prepare`` sees a picture.
    """

    def __init__(self, backbone: Backbone, spec: ExtractorSpec, projection: AnyProjection | None = None) -> None:
        self._backbone, self.spec, self.projection = backbone, spec, projection
        self._views = _views(backbone, spec)
        self.preprocessing = backbone.preprocessing.at(self._views.sides[0])
        self.min_side = self.preprocessing.min_side
        maps, *_ = [_tried(backbone, spec, side) for side in self._views.sides]
        if backbone.told_dim not in (0, maps.shape[1]):
            reason = f"its card says {backbone.told_dim} dimensions, but its output has {maps.shape[1]}"
            raise BadConfiguration(reason=f"{spec.backbone}: {reason}")
        self._map_shape = maps.shape[1:] if maps.ndim == 4 else ()
        self.dim = int(maps.shape[1])
        if projection is not None:
            self.dim = projection.apply(np.zeros((1, self.dim), np.float32)).shape[1]
        self.fingerprint = fingerprint(
            spec,
            weights=backbone.identity,
            preprocessing=backbone.preprocessing,
            precision=backbone.network.precision,
            maps=maps.ndim == 4,
            sides=self._views.sides,
            projection=projection.identity if projection is not None else "",
        )

    def prepare(self, image: PIL.Image.Image) -> Pixels:
        """The part that needs no network: uint8 (side, side, 3). Releases the GIL, so threads help."""
        return prepare(image, self.preprocessing)

    def describe(self, pixels: Pixels) -> Descriptors:
        """Prepared pixels, uint8 (n, side, side, 3) -> float32 (n, dim), rows L2-normalised."""
        if not len(pixels):
            return np.zeros((0, self.dim), np.float32)
        views = [self._view(view) for view in self.views(pixels)]
        return self.project(views[0] if len(views) == 1 else l2_normalise(np.sum(views, axis=0)))

    def views(self, pixels: Pixels) -> Iterator[Pixels]:
        """What goes through the network for prepared pixels: each size, then mirrored where ``spec.flip`` says so."""
        return self._views.of(pixels, self.preprocessing.interpolation)

    def _view(self, pixels: Pixels) -> Descriptors:
        pooled = pool(self._backbone.network.run(pixels), self.spec.pooling, self.spec.gem_p)
        return l2_normalise(signed_power(pooled, self.spec.power))

    def maps(self, pixels: Pixels) -> NDArray[np.float32]:
        """Prepared pixels, uint8 (n, side, side, 3) -> what is pooled, float32 (n, c, h, w), of the largest view.

        Raises UnsupportedNetwork where the network gives vectors.
        """
        if not self._map_shape:
            raise UnsupportedNetwork(name=self.spec.backbone, reason="it gives vectors, not feature maps")
        return self._backbone.network.run(pixels) if len(pixels) else np.zeros((0, *self._map_shape), np.float32)

    def project(self, pooled: Descriptors) -> Descriptors:
        """The last step on its own: descriptors (n, d) of the same extractor without a projection -> (n, dim)."""
        return pooled if self.projection is None else self.projection.apply(pooled)

    def extract(self, images: Sequence[PIL.Image.Image]) -> Descriptors:
        """RGB pictures of any size, any number -> float32 (n, dim), rows L2-normalised."""
        if not images:
            return np.zeros((0, self.dim), np.float32)
        return self.describe(np.stack([self.prepare(image) for image in images]))


def _views(backbone: Backbone, spec: ExtractorSpec) -> Views:
    crop = backbone.preprocessing.crop
    views = Views(sides_of(crop, spec.scales), spec.flip)
    if backbone.fixed_size and views.sides != (crop,):
        raise BadConfiguration(reason=f"{spec.backbone} takes pictures of {crop} pixels only, so no scales but 1")
    return views


def _tried(backbone: Backbone, spec: ExtractorSpec, side: int) -> NDArray[np.float32]:
    """What the network gives for a grey picture of this size."""
    grey = np.full((1, side, side, 3), 127, np.uint8)
    try:
        found = backbone.network.run(grey)
    except ExtractionError:
        raise
    except Exception as error:  # each runtime has its own, and not all are public
        reason = f"it does not take pictures of {side} x {side} pixels ({_last_line(error)})"
        raise UnsupportedNetwork(name=spec.backbone, reason=reason) from error
    if found.ndim not in (2, 4) or found.shape[0] != 1:
        raise UnsupportedNetwork(name=spec.backbone, reason=f"its output has the shape {found.shape}")
    return found


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def build_extractor(
    spec: ExtractorSpec, *, device: str = "auto", threads: int = 0, weights_dir: Path | None = None
) -> Extractor:
    """Open what ``spec`` names; device of DEVICES; threads 0: all cores. Raises ExtractionError subclasses."""
    if device not in DEVICES:
        raise BadConfiguration(reason=f"the device {device!r} is none of {', '.join(DEVICES)}")
    if not spec.gem_p > 0:
        raise BadConfiguration(reason=f"gem_p={spec.gem_p} is not above zero")
    if not 0 < spec.power <= 1:
        raise BadConfiguration(reason=f"power={spec.power} is not above zero and at most one")
    check_scales(spec.scales)
    projection = None
    if spec.projection:
        path, _ = locate(spec.projection, "", weights_dir)
        projection = load_projection(path, spec.projection_sha256)
    return Extractor(backbones.load(spec, Place(device, threads, weights_dir)), spec, projection)
