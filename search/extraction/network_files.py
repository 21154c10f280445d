"""The ONNX file behind a feature model's network: what exporting, quantising and comparing runtimes begin with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search.extraction.backbones import lookalike, onnx, torchvision
from search.extraction.cards import read_card
from search.extraction.errors import UnsupportedNetwork
from search.extraction.preprocess import Preprocessing
from search.extraction.runtimes import Place
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate


@dataclass(frozen=True)
class NetworkFile:
    """``output``: the output to take, empty for the first. ``how``: with the feature model's own overrides."""

    path: Path
    how: Preprocessing
    output: str = ""


@contextmanager
def network_file(spec: ExtractorSpec, weights_dir: Path | None) -> Iterator[NetworkFile]:
    """The file, there as long as the context is. Raises UnsupportedNetwork where there is none, and WeightsMissing."""
    if spec.backbone in torchvision.AT:
        from search.extraction.export import CARD, NETWORK, exported

        with exported(spec, Place("cpu", 0, weights_dir)) as folder:
            own = json.loads((folder / CARD).read_text())["preprocessing"]
            yield NetworkFile(folder / NETWORK, Preprocessing().overridden(own).overridden(spec.preprocessing))
        return
    if spec.backbone == onnx.NAME:
        path, _ = locate(spec.weights, spec.weights_sha256, weights_dir)
    elif spec.backbone in lookalike.names():
        path, _ = locate(str(lookalike.FOLDER / f"{spec.backbone}.onnx"), spec.weights_sha256, None)
    else:
        raise UnsupportedNetwork(name=spec.backbone, reason="there is no ONNX file behind it")
    card = read_card(path)
    yield NetworkFile(path, card.preprocessing.overridden(spec.preprocessing), spec.layer or card.output)
