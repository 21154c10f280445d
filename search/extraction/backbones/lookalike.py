"""The networks that ship: each ``NAME.onnx`` with its card ``NAME.json`` in the folder ``networks``, by its name.

They need no weights field and no download. They are ONNX files like any other (see backbones.onnx): the card says how
pictures are prepared, and the SHA-256 of the file is in the fingerprint. A better network therefore ships under a new
name beside the old one: under the same name, descriptors stored before would be refused.
"""

from __future__ import annotations

from pathlib import Path

from search.extraction.backbones import Backbone
from search.extraction.backbones.onnx import opened
from search.extraction.errors import BadConfiguration
from search.extraction.runtimes import Place
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate

FOLDER = Path(__file__).resolve().parents[1] / "networks"


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.onnx") if path.with_suffix(".json").is_file())


def load(spec: ExtractorSpec, place: Place) -> Backbone:
    if spec.weights:
        raise BadConfiguration(reason=f"{spec.backbone} brings its own weights, so leave them empty; onnx takes a file")
    path = FOLDER / f"{spec.backbone}.onnx"
    return opened(*locate(str(path), spec.weights_sha256, None), spec, place)
