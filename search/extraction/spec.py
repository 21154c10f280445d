"""What an extractor is made of, as plain values. A FeatureModel row is one of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Pooling(StrEnum):
    MEAN = "mean"
    MAX = "max"
    GEM = "gem"
    RMAC = "rmac"


class Runtime(StrEnum):
    AUTO = "auto"
    OPENVINO = "openvino"
    ONNX = "onnx"
    TORCH = "torch"


@dataclass(frozen=True)
class ExtractorSpec:
    """``weights`` is a path, a URL, or for torchvision 'default' or 'none'.

    ``preprocessing`` overrides the backbone's own: resize (short side, pixels), crop (pixels), mean and
    std (three numbers each, in pixel values 0 to 255). ``projection`` is a file of PCA or whitening; its SHA-256 is
    that of its numbers. ``power``: sign kept, of what was pooled, before its length becomes one. ``scales`` (of the
    network's own input size) and ``flip``: descriptors of the picture at these sizes, and mirrored, are averaged.
    """

    backbone: str
    layer: str = ""
    weights: str = ""
    weights_sha256: str = ""
    pooling: Pooling = Pooling.MEAN
    gem_p: float = 3.0
    power: float = 1.0
    scales: tuple[float, ...] = ()
    flip: bool = False
    preprocessing: Mapping[str, object] = field(default_factory=dict)
    runtime: Runtime = Runtime.AUTO
    projection: str = ""
    projection_sha256: str = ""
