"""Networks as torch modules whose parameters may move, cut into stages; and how they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from search.extraction.backbones import torchvision as family
from search.extraction.backbones.onnx import NAME as ONNX
from search.extraction.cards import card_of, read_card
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate
from search.training.trainable import TRUNK, check_trainable, fixed_size, require_torch, shipped
from search.training.weights_file import load_into, save_weights

if TYPE_CHECKING:
    from search.training.student import Stage


@dataclass
class Trunk:
    """``module``: normalised float (N, 3, H, W) -> (N, dim, h, w) or (N, dim). ``kind``: what builds it again."""

    module: nn.Module
    preprocessing: Preprocessing
    dim: int
    kind: dict[str, str]


def trunk_of(spec: ExtractorSpec, weights_dir: Path | None) -> Trunk:
    """What ``spec`` names, in torch. Raises TorchMissing, NotTrainable, and what opening weights raises."""
    require_torch()
    check_trainable(spec, spec.backbone, weights_dir)
    module, own, kind = _opened(spec, weights_dir)
    how = own.overridden(spec.preprocessing)
    with torch.inference_mode():
        found = module.eval()(torch.zeros(1, 3, how.crop, how.crop))
    return Trunk(module, how, int(found.shape[1]), kind)


def _opened(spec: ExtractorSpec, weights_dir: Path | None) -> tuple[nn.Module, Preprocessing, dict[str, str]]:
    if spec.backbone == ONNX:
        return _made_by_us(spec, weights_dir)
    if path := shipped(spec.backbone):
        from search.training.student import STAGES, load

        return load(path), _carded(path), {"backbone": spec.backbone, "stages": stages_told(STAGES)}
    module, how, _ = family.build(spec, weights_dir)
    return module, how, {"backbone": spec.backbone, "layer": spec.layer}


def _made_by_us(spec: ExtractorSpec, weights_dir: Path | None) -> tuple[nn.Module, Preprocessing, dict[str, str]]:
    path, _ = locate(spec.weights, spec.weights_sha256, weights_dir)
    kind = {name: str(value) for name, value in card_of(path)[TRUNK].items()}
    module = blank(kind)
    load_into(module, path.with_suffix(".safetensors"))
    return module, _carded(path), kind


def _carded(path: Path) -> Preprocessing:
    return read_card(path).preprocessing


def blank(kind: Mapping[str, str]) -> nn.Module:
    """The network that ``Trunk.kind`` describes, its numbers still to be filled in."""
    backbone, layer = kind["backbone"], kind.get("layer", "")
    if backbone in family.AT:
        return family.build(ExtractorSpec(backbone, layer, "none"), None)[0]
    from search.training.student import STAGES, Stage, build_student

    told = kind.get("stages", "")
    given = [Stage(*map(int, stage.split("-"))) for stage in told.split()]
    return build_student(stages=given or STAGES)


def stages_told(stages: Iterable[Stage]) -> str:
    """A small network's stages as text: what was trained from one release's network still opens in the next."""
    return " ".join(f"{stage.width}-{stage.blocks}-{stage.out}" for stage in stages)


def export(trunk: Trunk, path: Path, card: Mapping[str, Any], pictures: Pixels | None = None) -> Path:
    """NAME.onnx, NAME.json and NAME.safetensors beside each other; the last makes it trainable again.

    ``pictures``: uint8 (n, crop, crop, 3), on which the ONNX file must agree with torch. Raises ExportDiffers.
    """
    from search.training.export import export_trunk

    save_weights(trunk.module, path.with_suffix(".safetensors"))
    module = trunk.module.to("cpu", memory_format=torch.contiguous_format)
    card = {**card, TRUNK: trunk.kind}
    return export_trunk(module, path, trunk.preprocessing, card, any_size=not fixed_size(trunk.kind), pictures=pictures)


def stages(module: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters stage by stage, from the picture to the map.

    Wrappers with a single child are looked through; of what is then found, single layers next to each other (a stem's
    convolution and its norm) are one stage.
    """
    children = _children(module)
    while len(children) == 1 and _children(children[0]):
        children = _children(children[0])
    found: list[list[nn.Parameter]] = []
    was_layer = False
    for child in children:
        is_layer = not _children(child)
        if is_layer and was_layer:
            found[-1] += list(child.parameters())
        else:
            found.append(list(child.parameters()))
        was_layer = is_layer
    return found


def _children(module: nn.Module) -> Sequence[nn.Module]:
    """Those with parameters."""
    return [child for child in module.children() if any(True for _ in child.parameters())]


def norms(module: nn.Module) -> list[nn.Module]:
    """Its batch-norm layers, whose running statistics a small set would spoil."""
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def describe(kind: Mapping[str, str]) -> str:
    return json.dumps(dict(kind), sort_keys=True)
