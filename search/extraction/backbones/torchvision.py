"""Any torchvision classification network by name, its classifier cut off.

layer ``layer4`` (also ``features``): the last feature map, pooled as the feature model says. In a ResNet that is
layer4, in a VGG the output of ``features``, and so on (see TRUNKS). layer ``avgpool`` (or none): the mean of that
map over its places, a vector; the feature model's pooling does not count. A ViT gives its class token there. Any
other layer is the name of a part of the network that gives a map: layer3 in a ResNet, features.16 in a VGG,
features.5 in a Swin transformer; in a ViT ``encoder`` or encoder.layers.encoder_layer_7, whose tokens are laid out
as a map.

weights: ``default`` (torchvision's own, downloaded by it), ``none`` (random, the same each time, for tests), or a
checkpoint, loaded with weights_only.

Unless the runtime is torch, the network is exported to ONNX once, by a child process, and kept in the weights
folder: the process that searches never imports torch, and needs none once the file is there.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from search.extraction.backbones import Backbone
from search.extraction.errors import BadConfiguration, RuntimeMissing, WeightsMissing
from search.extraction.preprocess import Preprocessing
from search.extraction.runtimes import Place, choose, has_cuda_provider, open_onnx
from search.extraction.spec import ExtractorSpec, Runtime
from search.extraction.weights import locate

# Submodule that gives the last feature map -> the networks it is so named in.
TRUNKS = {
    "layer4": (
        "resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d "
        "wide_resnet50_2 wide_resnet101_2"
    ),
    "features": (
        "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn alexnet squeezenet1_0 squeezenet1_1 "
        "densenet121 densenet161 densenet169 densenet201 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large "
        "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 "
        "efficientnet_b6 efficientnet_b7 efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l "
        "convnext_tiny convnext_small convnext_base convnext_large"
    ),
    "trunk_output": (
        "regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf regnet_x_16gf regnet_x_32gf "
        "regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf regnet_y_16gf regnet_y_32gf "
        "regnet_y_128gf"
    ),
    "conv5": "shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0",
    "layers": "mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3",
    "inception5b": "googlenet",
    "Mixed_7c": "inception_v3",
    "permute": "swin_t swin_s swin_b swin_v2_t swin_v2_s swin_v2_b",
    "blocks.3": "maxvit_t",
    "": "vit_b_16 vit_b_32 vit_l_16 vit_l_32 vit_h_14",
}
AT = {name: at for at, names in TRUNKS.items() for name in names.split()}
MAP_LAYERS, VECTOR_LAYERS = ("layer4", "features"), ("", "avgpool")
# Parts whose children are listed as layers too
CONTAINERS = ("features", "trunk_output", "layers", "blocks")
VIT_BLOCKS = "encoder.layers"
HEADS = ("avgpool", "fc", "classifier", "head", "heads", "aux1", "aux2", "AuxLogits")
FIXED_SIZE = ("vit", "swin", "maxvit")  # cannot be run at another size than they were exported at
EXPORT_VERSION = 1


def names() -> list[str]:
    return sorted(AT, key=lambda name: (name not in ("resnet50", "vgg16"), name))


def load(spec: ExtractorSpec, place: Place) -> Backbone:
    if _runtime(spec.runtime, place) is Runtime.TORCH:
        return _load_torch(spec, place)
    from search.extraction.export import exported

    with exported(spec, place) as folder:
        card: dict[str, Any] = json.loads((folder / "network.json").read_text())
        how = Preprocessing().overridden(card["preprocessing"]).overridden(spec.preprocessing)
        network = open_onnx(folder / "network.onnx", how, spec.runtime, place)
    return Backbone(network, how, card["identity"], spec.backbone.startswith(FIXED_SIZE))


def _runtime(runtime: Runtime, place: Place) -> Runtime:
    if runtime is Runtime.AUTO and place.device == "cuda" and not has_cuda_provider():
        return Runtime.TORCH
    return choose(runtime, place.device)


def _load_torch(spec: ExtractorSpec, place: Place) -> Backbone:
    require_torchvision()
    from search.extraction.runtimes.torch_runtime import TorchNetwork

    module, how, identity = build(spec, place.weights_dir)
    how = how.overridden(spec.preprocessing)
    return Backbone(TorchNetwork(module, how, place), how, identity, spec.backbone.startswith(FIXED_SIZE))


def require_torchvision() -> None:
    from importlib.util import find_spec

    if find_spec("torchvision") is None or find_spec("torch") is None:
        raise RuntimeMissing(runtime="torch", reason="torch and torchvision are not installed (extra 'torch')")


def build(spec: ExtractorSpec, weights_dir: Path | None) -> tuple[Any, Preprocessing, str]:
    """The torch module, its own preprocessing, and the hash of its numbers. Imports torch."""
    from search.extraction.runtimes import torch_runtime

    model, how = _model(spec, weights_dir)
    name, at = spec.backbone, _layer(spec, model)
    model = torch_runtime.without(model, HEADS)
    vector = bool(at) and spec.layer in VECTOR_LAYERS
    relu = name.startswith("densenet") and at == AT[name]
    module = torch_runtime.trunk(model, at, vector=vector, relu=relu, form=_form(name, at))
    return module, how, torch_runtime.state_hash(model.state_dict())


def _layer(spec: ExtractorSpec, model: Any) -> str:
    """The submodule that ``spec.layer`` means. Raises BadConfiguration with those there are."""
    at = AT[spec.backbone]
    if spec.layer in VECTOR_LAYERS or (at and spec.layer in MAP_LAYERS):
        return at
    try:
        model.get_submodule(spec.layer)
    except AttributeError:
        known = False
    else:
        known = spec.layer.split(".")[0] not in HEADS
    if not known:
        listed = ", ".join(layers_of(model))
        raise BadConfiguration(reason=f"{spec.backbone} has no layer {spec.layer}; it has avgpool, {listed}")
    return spec.layer


def layers_of(model: Any) -> list[str]:
    """Names of the parts whose output is a map, from the first to the last; parts of these will do as well."""
    found: list[str] = []
    for name, part in model.named_children():
        if name == "encoder":  # of a ViT
            found += [*_listed(VIT_BLOCKS, model.get_submodule(VIT_BLOCKS)), name]
        elif name in CONTAINERS:
            found += _listed(name, part)
        elif name not in HEADS and name != "flatten":
            found.append(name)
    return found


def _listed(name: str, part: Any) -> list[str]:
    children = [f"{name}.{child}" for child, _ in part.named_children()]
    return children if len(children) < 10 else [f"{children[0]} to {children[-1]}"]


def _form(name: str, at: str) -> str:
    """What the output of this part comes in, see torch_runtime.trunk."""
    if name.startswith("vit") and at.startswith("encoder"):
        return "tokens"
    return "nhwc" if name.startswith("swin") and at != AT[name] else ""


def _model(spec: ExtractorSpec, weights_dir: Path | None) -> tuple[Any, Preprocessing]:
    import torchvision

    from search.extraction.runtimes.torch_runtime import read_checkpoint, seeded

    known = torchvision.models.get_model_weights(spec.backbone)
    first = next(iter(known))  # the recipe that the field measures with: resize 256, crop 224 for nearly all
    extra = {"init_weights": True} if spec.backbone in ("googlenet", "inception_v3") else {}
    if spec.weights == "none":
        return seeded(lambda: torchvision.models.get_model(spec.backbone, weights=None, **extra)), preset(first)
    if spec.weights in ("", "default"):
        try:
            state = known.DEFAULT.get_state_dict(model_dir=_folder(weights_dir), check_hash=True, progress=False)
        except (OSError, RuntimeError) as error:
            raise WeightsMissing(weights=f"{spec.backbone} default", reason=str(error)) from error
        how = preset(known.DEFAULT)
    else:
        path, _ = locate(spec.weights, spec.weights_sha256, weights_dir)
        state, how = read_checkpoint(path), preset(first)
    model = torchvision.models.get_model(spec.backbone, weights=None, **({"init_weights": False} if extra else {}))
    return _filled(model, state, spec.weights), how


def _folder(weights_dir: Path | None) -> str | None:
    return None if weights_dir is None else str(weights_dir / "torchvision")


def _filled(model: Any, state: dict[str, Any], name: str) -> Any:
    """Load all but the classifier, which is cut off anyway and may have other classes."""
    body = {key: value for key, value in state.items() if key.split(".")[0] not in HEADS}
    try:
        missing, unexpected = model.load_state_dict(body, strict=False)
    except RuntimeError as error:
        raise BadConfiguration(reason=f"{name} belongs to another network: {str(error).splitlines()[-1]}") from error
    missing = [key for key in missing if key.split(".")[0] not in HEADS and "num_batches" not in key]
    if missing or unexpected:
        raise BadConfiguration(reason=f"{name} belongs to another network: {(missing or unexpected)[0]}")
    return model


def preset(weights: Any) -> Preprocessing:
    """torchvision's own preprocessing of these weights, in pixel values."""
    transform = weights.transforms()
    return Preprocessing(
        resize=transform.resize_size[0],
        crop=transform.crop_size[0],
        mean=(255 * transform.mean[0], 255 * transform.mean[1], 255 * transform.mean[2]),
        std=(255 * transform.std[0], 255 * transform.std[1], 255 * transform.std[2]),
        interpolation=transform.interpolation.value,
    )


def export_key(spec: ExtractorSpec, weights: str) -> str:
    layer = {**dict.fromkeys(MAP_LAYERS, "map"), **dict.fromkeys(VECTOR_LAYERS, "vector")}.get(spec.layer, spec.layer)
    parts = [spec.backbone, layer, weights, EXPORT_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
