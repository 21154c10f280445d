"""Extractor: preprocess -> network -> pooling -> L2, and where there is a projection: -> PCA or whitening -> L2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from search.extraction import backbones
from search.extraction.backbones import Backbone
from search.extraction.errors import BadConfiguration, UnsupportedNetwork
from search.extraction.fingerprint import fingerprint
from search.extraction.pooling import l2_normalise, pool
from search.extraction.preprocess import Pixels, prepare
from search.extraction.projection import Projection
from search.extraction.runtimes import Place
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate
from search.types import Descriptors


class Extractor:
    """Composed of a backbone, a pooling and perhaps a projection, never subclassed. Safe to share between threads.

    dim: length of a descriptor. fingerprint: what makes two descriptors comparable. min_side: what
    ``catalog.images.decode`` may be given, pixels.
    """

    def __init__(self, backbone: Backbone, spec: ExtractorSpec, projection: Projection | None = None) -> None:
        self._backbone, self._spec, self._projection = backbone, spec, projection
        self.min_side = backbone.preprocessing.min_side
        side = backbone.preprocessing.crop
        maps = backbone.network.run(np.full((1, side, side, 3), 127, np.uint8))
        if maps.ndim not in (2, 4) or maps.shape[0] != 1:
            raise UnsupportedNetwork(name=spec.backbone, reason=f"its output has the shape {maps.shape}")
        self.dim = int(maps.shape[1])
        if projection is not None:
            self.dim = projection.apply(np.zeros((1, self.dim), np.float32)).shape[1]
        self.fingerprint = fingerprint(
            spec,
            weights=backbone.identity,
            preprocessing=backbone.preprocessing,
            precision=backbone.network.precision,
            maps=maps.ndim == 4,
            projection=projection.identity if projection is not None else "",
        )

    def prepare(self, image: PIL.Image.Image) -> Pixels:
        """The part that needs no network: uint8 (side, side, 3). Releases the GIL, so threads help."""
        return prepare(image, self._backbone.preprocessing)

    def describe(self, pixels: Pixels) -> Descriptors:
        """Prepared pixels, uint8 (n, side, side, 3) -> float32 (n, dim), rows L2-normalised."""
        if not len(pixels):
            return np.zeros((0, self.dim), np.float32)
        return self.project(
            l2_normalise(pool(self._backbone.network.run(pixels), self._spec.pooling, self._spec.gem_p))
        )

    def project(self, pooled: Descriptors) -> Descriptors:
        """The last step on its own: descriptors (n, d) of the same extractor without a projection -> (n, dim)."""
        return pooled if self._projection is None else self._projection.apply(pooled)

    def extract(self, images: Sequence[PIL.Image.Image]) -> Descriptors:
        """RGB pictures of any size, any number -> float32 (n, dim), rows L2-normalised."""
        if not images:
            return np.zeros((0, self.dim), np.float32)
        return self.describe(np.stack([self.prepare(image) for image in images]))


def build_extractor(
    spec: ExtractorSpec, *, device: str = "auto", threads: int = 0, weights_dir: Path | None = None
) -> Extractor:
    """Open what ``spec`` names; device auto, cpu or cuda; threads 0: all cores. Raises ExtractionError subclasses."""
    if device not in ("auto", "cpu", "cuda"):
        raise BadConfiguration(reason=f"the device {device!r} is none of auto, cpu, cuda")
    if not spec.gem_p > 0:
        raise BadConfiguration(reason=f"gem_p={spec.gem_p} is not above zero")
    projection = None
    if spec.projection:
        path, _ = locate(spec.projection, "", weights_dir)
        projection = Projection.load(path, spec.projection_sha256)
    return Extractor(backbones.load(spec, Place(device, threads, weights_dir)), spec, projection)
