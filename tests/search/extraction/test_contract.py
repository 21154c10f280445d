"""What every backbone keeps to: one list, one contract, in every runtime that can open it.

Networks are random and pictures small: nothing here is about quality. One network of each of torchvision's families is
opened in torch, ONNX Runtime and OpenVINO; the rest of its names are checked in test_torchvision.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog.images import decode
from search.extraction import backbones, export
from search.extraction.backbones import Backbone, lookalike
from search.extraction.backbones import torchvision as family
from search.extraction.errors import BadConfiguration, UnsupportedNetwork
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.projection import fit
from search.extraction.runtimes import Place
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
from tests.factories import draw
from tests.search.extraction.conftest import write_network

SMALL = {"resize": 72, "crop": 64}
FILES = (Runtime.OPENVINO, Runtime.ONNX)
ALL = (*FILES, Runtime.TORCH)
SIZES = [(96, 72), (64, 64), (1, 50)]
AGREE = {Runtime.ONNX: 0.9999, Runtime.OPENVINO: 0.99, Runtime.TORCH: 0.9999}  # OpenVINO may compute in bfloat16


@dataclass(frozen=True)
class Case:
    name: str
    layer: str = ""
    runtimes: tuple[Runtime, ...] = FILES
    maps: bool = True
    scales: tuple[float, ...] = (1, 0.5)  # () where the network takes one size only
    preprocessing: dict[str, Any] = field(default_factory=lambda: dict(SMALL))
    network: dict[str, Any] | None = None  # of the ONNX file to write, see write_network

    @property
    def id(self) -> str:
        return "-".join([self.name, *([self.layer] if self.layer else []), *map(str, self.network or ())])

    def spec(self, folder: Path, runtime: Runtime = Runtime.AUTO) -> ExtractorSpec:
        weights = {"onnx": str(folder / f"{self.id}.onnx"), "color_gradient": "", "lookalike": ""}
        return ExtractorSpec(
            self.name,
            layer=self.layer,
            weights=weights.get(self.name, "none"),
            preprocessing=self.preprocessing,
            runtime=runtime,
        )


def torch_case(name: str, layer: str = "layer4", **how: Any) -> Case:
    return Case(name, layer, ALL, **how)


FIXED: dict[str, Any] = {"scales": (), "preprocessing": {}}
CASES = [
    Case("color_gradient", runtimes=(Runtime.AUTO,), maps=False, **FIXED),
    Case("onnx", network={}),
    Case("onnx", network={"vector": True}, maps=False),
    Case("onnx", network={"batch": 2}),
    Case("onnx", network={"side": 64}, scales=()),
    Case("lookalike", network={}, preprocessing={}),
    torch_case("resnet18"),
    torch_case("resnet18", "layer2"),
    torch_case("mobilenet_v3_small"),
    torch_case("mobilenet_v3_small", "avgpool", maps=False),
    torch_case("vgg11"),
    torch_case("efficientnet_b0"),
    torch_case("convnext_tiny"),
    torch_case("regnet_x_400mf"),
    torch_case("shufflenet_v2_x0_5"),
    torch_case("mnasnet0_5"),
    torch_case("swin_t", **FIXED),
    torch_case("vit_b_32", "", maps=False, **FIXED),
    # Large and seldom chosen: once
    Case("googlenet", "layer4", (Runtime.ONNX,)),
    Case("inception_v3", "layer4", (Runtime.ONNX,), preprocessing={"resize": 96, "crop": 96}, scales=(1, 1.5)),
    Case("maxvit_t", "layer4", (Runtime.ONNX,), **FIXED),
]
PARAMETERS = [
    pytest.param(case, id=case.id, marks=[pytest.mark.torch] if case.name in family.AT else []) for case in CASES
]


@dataclass
class Opened:
    case: Case
    folder: Path
    backbones: dict[Runtime, Backbone]

    def extractor(self, runtime: Runtime | None = None, projection: Any = None, **options: Any) -> Extractor:
        runtime = runtime or self.case.runtimes[0]
        return Extractor(self.backbones[runtime], replace(self.case.spec(self.folder), **options), projection)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_export", export_here)
        yield folder


def export_here(spec: ExtractorSpec, folder: Path, weights_dir: Path | None) -> None:
    """Without a child process: that each of them begins by importing torch is tested elsewhere, and slow."""
    export.run_job({**vars(spec), "folder": str(folder), "weights_dir": weights_dir and str(weights_dir)})


@pytest.fixture(scope="module", params=PARAMETERS)
def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator[Opened]:
    case: Case = request.param
    with pytest.MonkeyPatch.context() as patch:
        if case.network is not None:
            path = write_network(folder / f"{case.id}.onnx", **case.network)
            if case.name == "lookalike":
                ship(path, folder / "networks", patch)
        places = {one: case.spec(folder, one) for one in case.runtimes}
        yield Opened(case, folder, {one: backbones.load(spec, Place("cpu", 0, folder)) for one, spec in places.items()})
    backbones._families.cache_clear()


def ship(network: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    network.replace(folder / "lookalike.onnx")
    (folder / "lookalike.json").write_text(json.dumps({"size": 64, "fit": "squash", "dim": 8}))
    patch.setattr(lookalike, "FOLDER", folder)
    backbones._families.cache_clear()


def images(case: Case) -> list[Image.Image]:
    large = case.name in family.AT and not case.scales  # a picture of 224 pixels takes its time
    return [draw(seed, size) for seed, size in enumerate(SIZES[: 2 if large else 3])]


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x * y).sum(axis=1)


def check_descriptors(extractor: Extractor, case: Case) -> np.ndarray:
    """Shape, type, length one, the same each time, whatever else is in the batch, by each of the ways there."""
    pictures = images(case)
    x = extractor.extract(pictures)
    assert (x.dtype, x.shape) == (np.float32, (len(pictures), extractor.dim))
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    pixels = np.stack([extractor.prepare(picture) for picture in pictures])
    assert (pixels.dtype, pixels.ndim, pixels.shape[1], pixels.shape[3]) == (np.uint8, 4, pixels.shape[2], 3)
    assert np.array_equal(extractor.describe(pixels), x)
    alone = np.concatenate([extractor.describe(pixels[at : at + 1]) for at in (0, 1)])
    assert cosines(alone, x[:2]).min() > 0.999
    if not case.scales:
        return x
    larger = extractor.describe(np.concatenate([pixels[::-1]] * 3))[: len(pictures)][::-1]
    assert cosines(larger, x).min() > 0.999
    return x


def test_descriptors_in_every_runtime(opened: Opened) -> None:
    extractors = {runtime: opened.extractor(runtime) for runtime in opened.case.runtimes}
    found = {runtime: check_descriptors(extractor, opened.case) for runtime, extractor in extractors.items()}
    *others, last = opened.case.runtimes
    for runtime in others:
        assert cosines(found[runtime], found[last]).min() > AGREE[runtime], runtime
    assert len({extractor.fingerprint for extractor in extractors.values()}) == 1
    assert len({(extractor.dim, extractor.min_side) for extractor in extractors.values()}) == 1


def test_no_pictures_give_no_rows(opened: Opened) -> None:
    extractor = opened.extractor()
    for none in (extractor.extract([]), extractor.describe(np.zeros((0, 64, 64, 3), np.uint8))):
        assert (none.dtype, none.shape) == (np.float32, (0, extractor.dim))


def test_a_picture_decoded_at_reduced_scale_keeps_the_pixels_that_are_wanted(opened: Opened, tmp_path: Path) -> None:
    extractor = opened.extractor()
    path = tmp_path / "large.jpg"
    draw(7, (900, 700)).resize((1800, 1400)).save(path, quality=95)
    reduced = decode(path.read_bytes(), min_side=extractor.min_side).pixels
    assert min(reduced.size) >= extractor.min_side
    x = extractor.extract([reduced, Image.open(path)])
    assert x[0] @ x[1] > 0.95


def test_every_pooling(opened: Opened) -> None:
    prints = set()
    for pooling in Pooling:
        extractor = opened.extractor(pooling=pooling)
        x = extractor.extract(images(opened.case))
        assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
        assert x.shape[1] == opened.extractor().dim
        prints.add(extractor.fingerprint)
    assert len(prints) == (len(Pooling) if opened.case.maps else 1)  # vectors are not pooled


def test_maps(opened: Opened) -> None:
    extractor = opened.extractor()
    pixels = np.stack([extractor.prepare(picture) for picture in images(opened.case)])
    if not opened.case.maps:
        with pytest.raises(UnsupportedNetwork, match="vectors"):
            extractor.maps(pixels)
        return
    maps = extractor.maps(pixels)
    assert (maps.dtype, maps.shape[:2]) == (np.float32, (len(pixels), extractor.dim))
    means = maps.mean(axis=(2, 3))
    assert cosines(means / np.linalg.norm(means, axis=1, keepdims=True), extractor.describe(pixels)).min() > 0.999


def test_power_scales_flip_and_projection_in_any_mixture(opened: Opened) -> None:
    plain, scales = opened.extractor(), opened.case.scales
    options: dict[str, Any] = {"power": 0.5, "flip": True, "scales": scales}
    each = [opened.extractor(**{name: value}) for name, value in options.items() if value]
    whole = opened.extractor(**options)
    sample = whole.extract([draw(seed, (40, 40)) for seed in range(4)])
    projection = fit(sample, 3, whiten=True)
    projected = opened.extractor(projection=projection, **options)
    prints = [extractor.fingerprint for extractor in (plain, *each, whole, projected)]
    assert len(set(prints)) == len(prints)
    x = projected.extract(images(opened.case))
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    assert (x.shape[1], whole.dim) == (3, plain.dim)
    assert np.allclose(projected.project(whole.extract(images(opened.case))), x, atol=1e-5)
    assert whole.min_side == projected.min_side
    mirrored = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in images(opened.case)[1:2]]
    assert cosines(whole.extract(mirrored), whole.extract(images(opened.case)[1:2])).min() > 0.998


def test_scales_in_every_runtime(opened: Opened) -> None:
    if not opened.case.scales:
        with pytest.raises((BadConfiguration, UnsupportedNetwork), match="pixels"):
            opened.extractor(scales=(1, 0.5))
        return
    found = [opened.extractor(runtime, scales=opened.case.scales) for runtime in opened.case.runtimes]
    *others, last = [extractor.extract(images(opened.case)) for extractor in found]
    for runtime, x in zip(opened.case.runtimes, others, strict=False):
        assert cosines(x, last).min() > AGREE[runtime], runtime
    assert len({extractor.fingerprint for extractor in found}) == 1


CHILD = """
import json, sys
from pathlib import Path
from search.extraction.backbones import lookalike
from search.extraction.extractor import build_extractor
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
folder = Path(sys.argv[1])
lookalike.FOLDER = folder / "networks"
for parts in json.load(sys.stdin):
    parts |= {"pooling": Pooling(parts["pooling"]), "runtime": Runtime("auto"), "scales": tuple(parts["scales"])}
    print(build_extractor(ExtractorSpec(**parts), device="cpu", weights_dir=folder).fingerprint)
assert "torch" not in sys.modules
"""
CHILDREN = ("color_gradient", "onnx", "lookalike", "mobilenet_v3_small")


@pytest.mark.torch
def test_the_fingerprint_is_the_same_in_another_process(folder: Path) -> None:
    specs, prints = [], []
    with pytest.MonkeyPatch.context() as patch:
        for case in CASES:
            if case.name not in CHILDREN or (case.network or {}).get("side"):
                continue
            if case.network is not None and case.name != "lookalike":
                write_network(folder / f"{case.id}.onnx", **case.network)
            if case.name == "lookalike":
                ship(write_network(folder / "again.onnx"), folder / "networks", patch)
            spec = replace(case.spec(folder), pooling=Pooling.RMAC, power=0.5, flip=True, scales=case.scales)
            specs.append(vars(spec))
            prints.append(build_extractor(spec, device="cpu", weights_dir=folder).fingerprint)
    backbones._families.cache_clear()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        input=json.dumps(specs),
        env={**os.environ, "PYTHONHASHSEED": "7"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.split() == prints


def test_the_list_has_one_of_each_family() -> None:
    listed = {case.name for case in CASES}
    assert {"color_gradient", "onnx", "lookalike"} <= listed
    assert {family.AT[name] for name in listed if name in family.AT} == set(family.TRUNKS)
