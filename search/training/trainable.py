"""Whether a feature model's network can be trained, told without torch: the web process asks this."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from search.extraction import backbones
from search.extraction.backbones.lookalike import FOLDER as SHIPPED
from search.extraction.backbones.onnx import NAME as ONNX
from search.extraction.backbones.torchvision import AT as TORCHVISION
from search.extraction.backbones.torchvision import FIXED_SIZE
from search.extraction.cards import card_of
from search.extraction.errors import UnknownBackbone
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate
from search.training.errors import NotTrainable, TorchMissing

PACKAGES = ("torch", "torchvision", "pytorch_metric_learning", "safetensors")
TRUNK = "trunk"  # the card's entry of what the network is, in torch
CURE = "Take a torchvision network, the one that ships (lookalike), or a model that finetune made"
PROJECTED = "it has a projection, which was fitted to the network as it is"


def require_torch() -> None:
    """Raise TorchMissing unless all that training needs is installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise TorchMissing(missing=", ".join(missing))


def check_trainable(spec: ExtractorSpec, name: str, weights_dir: Path | None, quantised: bool = False) -> None:
    """Raise NotTrainable, with cause and cure, for what ``trunks.trunk_of`` could not open."""
    if spec.projection:
        raise NotTrainable(model=name, reason=PROJECTED, cure="Train the model it was projected from, then fit anew.")
    if quantised:
        raise NotTrainable(
            model=name,
            reason="its numbers are 8 bits wide and no longer move",
            cure="Train the model that it was quantised from, then quantise the result.",
        )
    if spec.backbone == ONNX:
        _check_onnx(spec, name, weights_dir)
    elif spec.backbone not in TORCHVISION and shipped(spec.backbone) is None:
        known = spec.backbone in backbones.names()
        if not known:
            raise UnknownBackbone(name=spec.backbone, known=", ".join(backbones.names()))
        raise NotTrainable(model=name, reason="there is nothing in it that learns", cure=f"{CURE}.")


def _check_onnx(spec: ExtractorSpec, name: str, weights_dir: Path | None) -> None:
    path, _ = locate(spec.weights, spec.weights_sha256, weights_dir)
    if TRUNK not in card_of(path):
        reason = "an ONNX file says how to run a network, not how to train it"
        raise NotTrainable(model=name, reason=reason, cure=f"{CURE}, or distil this one into lookalike.")
    if not path.with_suffix(".safetensors").is_file():
        reason = f"{path.with_suffix('.safetensors').name} is not beside {path.name}"
        raise NotTrainable(model=name, reason=reason, cure="Put the file back beside it.")


def fixed_size(kind: Mapping[str, str]) -> bool:
    """Whether ``Trunk.kind`` takes pictures of its own size only."""
    return kind["backbone"].startswith(FIXED_SIZE)


def shipped(backbone: str) -> Path | None:
    """The weights of a network in the package, where ``backbone`` names one."""
    path = SHIPPED / f"{backbone}.safetensors"
    return path if backbone.isidentifier() and path.is_file() else None
