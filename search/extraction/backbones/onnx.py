"""Any ONNX file: float32 (N, 3, H, W) in, feature maps or vectors out.

Beside ``NAME.onnx`` may lie a card ``NAME.json`` with what its training expects: resize, crop, mean, std,
interpolation, fit, and ``output``, the name of the output to take. Without one: value / 127.5 - 1 at 224 pixels.
The feature model's own preprocessing overrides the card.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search.extraction.backbones import Backbone
from search.extraction.errors import BadConfiguration
from search.extraction.preprocess import Preprocessing
from search.extraction.runtimes import Place, open_onnx
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate

NAME = "onnx"


def names() -> list[str]:
    return [NAME]


def card_of(path: Path) -> dict[str, Any]:
    """The card beside an ONNX file, or nothing."""
    card = path.with_suffix(".json")
    try:
        values = json.loads(card.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadConfiguration(reason=f"the card {card.name} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise BadConfiguration(reason=f"the card {card.name} is not a JSON object")
    return values


def load(spec: ExtractorSpec, place: Place) -> Backbone:
    path, sha256 = locate(spec.weights, spec.weights_sha256, place.weights_dir)
    card = card_of(path)
    output = spec.layer or str(card.pop("output", ""))
    known = {name: card[name] for name in Preprocessing().as_dict() if name in card}
    how = Preprocessing().overridden(known).overridden(spec.preprocessing)
    network = open_onnx(path, how, spec.runtime, place, output)
    return Backbone(network, how, f"{sha256}:{output}")
