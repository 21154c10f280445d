"""export_trunk: the file says what torch says, at any size, and is not written where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from search.extraction import backbones
from search.extraction.preprocess import Pixels, Preprocessing, prepare
from search.extraction.runtimes import Place
from search.extraction.spec import ExtractorSpec, Runtime
from search.training.export import MIN_COSINE, ExportDiffers, export_trunk, made_up, parity
from search.training.onnx_files import widen

HOW = Preprocessing(resize=96, crop=96)

pytestmark = pytest.mark.torch


def small(channels: int = 32, stride: int = 4) -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, channels, 3, stride, 1),
        torch.nn.BatchNorm2d(channels),
        torch.nn.ReLU(),
        torch.nn.Conv2d(channels, channels, 3, 2, 1, groups=1),
    ).eval()


def trunk_of(name: str) -> tuple[Any, Preprocessing]:
    from search.extraction.backbones import torchvision

    module, how, _ = torchvision.build(ExtractorSpec(name, layer="layer4", weights="none"), None)
    return module, how


def opened(path: Path, runtime: Runtime = Runtime.ONNX) -> backbones.Backbone:
    return backbones.load(ExtractorSpec("onnx", weights=str(path), runtime=runtime), Place("cpu", 1))


def torch_says(module: Any, pixels: Pixels, how: Preprocessing) -> Any:
    import torch

    from search.extraction.preprocess import normalise

    with torch.inference_mode():
        return module(torch.from_numpy(normalise(pixels, how))).numpy()


def real_pictures(shared: Path, how: Preprocessing, count: int = 6) -> Pixels:
    files = sorted((shared / "data" / "more-photos").rglob("*.jpg"))
    return np.stack([prepare(Image.open(file), how) for file in files[:: len(files) // count][:count]])


def test_the_file_gives_what_torch_gives_for_any_number_of_pictures(tmp_path: Path) -> None:
    module = small()
    path = export_trunk(module, tmp_path / "small.onnx", HOW)
    network = opened(path).network
    for count in (1, 2, 5):
        pixels = made_up(count, HOW.crop, seed=count)
        expected = torch_says(module, pixels, HOW)
        assert network.run(pixels).shape == expected.shape
        assert parity(network.run(pixels), expected).min() >= MIN_COSINE


def test_any_size_goes_through(tmp_path: Path) -> None:
    module = small()
    path = export_trunk(module, tmp_path / "small.onnx", HOW)
    wide = Preprocessing(resize=160, crop=160)
    backbone = backbones.load(
        ExtractorSpec("onnx", weights=str(path), runtime=Runtime.ONNX, preprocessing={"resize": 160, "crop": 160}),
        Place("cpu", 1),
    )
    pixels = made_up(2, 160)
    assert parity(backbone.network.run(pixels), torch_says(module, pixels, wide)).min() >= MIN_COSINE


def test_the_card_is_what_the_backbone_reads(tmp_path: Path) -> None:
    how = Preprocessing(
        resize=120, crop=96, mean=(1.0, 2.0, 3.0), std=(50.0, 60.0, 70.0), interpolation="bicubic", fit="squash"
    )
    path = export_trunk(small(), tmp_path / "small.onnx", how, {"licence": "MIT", "crop": "is not to be overridden"})
    assert opened(path).preprocessing == how
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["licence"] == "MIT"
    assert card["output"] == "features"
    assert set(card["parity"]) == {"96", "64"}


def test_large_weights_are_kept_in_float16_and_small_ones_in_float32(tmp_path: Path) -> None:
    halved = export_trunk(small(), tmp_path / "half.onnx", HOW)
    full = export_trunk(small(), tmp_path / "full.onnx", HOW, half=False)
    assert halved.stat().st_size < 0.6 * full.stat().st_size
    kinds = {tensor.data_type: np.prod(tensor.dims) for tensor in onnx.load(halved).graph.initializer}
    assert kinds[onnx.TensorProto.FLOAT16] >= 1024 > kinds[onnx.TensorProto.FLOAT]


def test_widening_gives_the_same_network_without_a_cast(tmp_path: Path) -> None:
    path = export_trunk(small(), tmp_path / "small.onnx", HOW)
    model = widen(onnx.load(path))
    onnx.checker.check_model(model)
    assert not [node for node in model.graph.node if node.op_type == "Cast"]
    onnx.save(model, tmp_path / "wide.onnx")
    pixels = made_up(2, 224)
    wide = opened(tmp_path / "wide.onnx").network.run(pixels)
    narrow = backbones.load(
        ExtractorSpec("onnx", weights=str(path), runtime=Runtime.ONNX, preprocessing={"resize": 224, "crop": 224}),
        Place("cpu", 1),
    ).network.run(pixels)
    assert np.array_equal(wide, narrow)


def test_what_float16_does_not_hold_stays_in_float32(tmp_path: Path) -> None:
    import torch

    module = small()
    with torch.no_grad():
        module[3].weight[0, 0, 0, 0] = 1e6
    path = export_trunk(module, tmp_path / "small.onnx", HOW)
    large = {t.name: t.data_type for t in onnx.load(path).graph.initializer if np.prod(t.dims) >= 1024}
    assert list(large.values()) == [onnx.TensorProto.FLOAT]


def test_a_network_whose_size_was_baked_in_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    import torch

    class Baked(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = small()

        def forward(self, pixels: Any) -> Any:  # tracing keeps the branch that it saw
            return self.conv(pixels) if pixels.shape[2] == HOW.crop else -self.conv(pixels)

    with pytest.raises(ExportDiffers, match=r"64 x 64 pixels.*any_size=False"):
        export_trunk(Baked(), tmp_path / "baked.onnx", HOW)
    assert not list(tmp_path.iterdir())
    assert export_trunk(Baked(), tmp_path / "baked.onnx", HOW, any_size=False).is_file()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_torchvision_networks(name: str, tmp_path: Path) -> None:
    module, how = trunk_of(name)
    path = export_trunk(module, tmp_path / f"{name}.onnx", how)
    pixels = made_up(2, how.crop, seed=9)
    for runtime, least in ((Runtime.ONNX, MIN_COSINE), (Runtime.OPENVINO, 0.995)):  # bfloat16 on some processors
        assert parity(opened(path, runtime).network.run(pixels), torch_says(module, pixels, how)).min() >= least


@pytest.mark.data
def test_on_real_pictures(tmp_path: Path, shared: Path) -> None:
    module, how = trunk_of("resnet18")
    pictures = real_pictures(shared, how)
    path = export_trunk(module, tmp_path / "resnet18.onnx", how, pictures=pictures)
    assert parity(opened(path).network.run(pictures), torch_says(module, pictures, how)).min() >= MIN_COSINE
    assert min(json.loads(path.with_suffix(".json").read_text())["parity"].values()) >= MIN_COSINE
