"""Any ONNX file: float32 (N, 3, H, W) in, feature maps or vectors out.

Beside ``NAME.onnx`` may lie a card ``NAME.json`` with what its training expects, see search.extraction.cards.
Without one: value / 127.5 - 1 at 224 pixels. The feature model's own preprocessing overrides the card. ``layer``
names one of the network's outputs in place of the card's.
"""

from __future__ import annotations

from pathlib import Path

from search.extraction.backbones import Backbone
from search.extraction.cards import card_of, read_card
from search.extraction.preprocess import Preprocessing
from search.extraction.runtimes import Place, open_onnx
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate

NAME = "onnx"
__all__ = ["NAME", "card_of", "load", "names", "opened"]


def names() -> list[str]:
    return [NAME]


def load(spec: ExtractorSpec, place: Place) -> Backbone:
    return opened(*locate(spec.weights, spec.weights_sha256, place.weights_dir), spec, place)


def opened(path: Path, sha256: str, spec: ExtractorSpec, place: Place) -> Backbone:
    """The network in a file whose SHA-256 is known, as its card says."""
    card = read_card(path)
    output = spec.layer or card.output
    how: Preprocessing = card.preprocessing.overridden(spec.preprocessing)
    network = open_onnx(path, how, spec.runtime, place, output)
    return Backbone(network, how, f"{sha256}:{output}", told_dim=card.dim_of(output))
