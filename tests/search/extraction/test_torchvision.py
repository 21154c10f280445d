"""torchvision's networks: every name has its trunk; small ones of each family run; torch stays in its child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.extraction.backbones import torchvision as family
from search.extraction.errors import BadConfiguration, RuntimeMissing, UnsupportedNetwork, WeightsChanged
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.preprocess import Preprocessing, normalise
from search.extraction.runtimes import Place, torch_runtime
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
from tests.factories import draw
from tests.search.extraction.test_backbones import check_contract, check_threads

pytestmark = pytest.mark.torch
SMALL = {
    "resnet18": 512,
    "vgg11": 512,
    "alexnet": 256,
    "squeezenet1_1": 512,
    "mobilenet_v3_small": 576,
    "efficientnet_b0": 1280,
    "regnet_x_400mf": 400,
    "shufflenet_v2_x0_5": 1024,
    "mnasnet0_5": 1280,
}


def spec(name: str = "resnet18", weights: str = "none", runtime: Runtime = Runtime.TORCH, **more: Any) -> ExtractorSpec:
    return ExtractorSpec(name, weights=weights, runtime=runtime, **more)


def test_the_names_are_torchvisions_classifiers() -> None:
    from torchvision import models

    assert set(family.names()) == set(models.list_models(module=models))


@pytest.mark.parametrize("name", family.names())
def test_every_network_has_the_trunk_it_is_cut_at_and_a_preset(name: str) -> None:
    import torch
    from torchvision import models

    if not name.startswith("regnet"):  # its constructor needs numbers; a small one is run below
        extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        with torch.device("meta"):
            model = models.get_model(name, weights=None, **extra)
        model.get_submodule(family.AT[name])
        assert {child for child, _ in model.named_children()} & set(family.HEADS)
    how = family.preset(next(iter(models.get_model_weights(name))))
    assert how.crop >= 224
    assert 100 < min(how.mean) <= max(how.mean) < 130
    assert 50 < min(how.std) <= max(how.std) < 130


@pytest.mark.parametrize(("name", "dim"), SMALL.items())
def test_one_small_network_of_each_family(name: str, dim: int) -> None:
    vector = build_extractor(spec(name))
    pooled = build_extractor(spec(name, layer="layer4"))
    images = [draw(seed) for seed in range(3)]
    assert vector.dim == pooled.dim == dim
    assert (vector.extract(images) * pooled.extract(images)).sum(axis=1).min() > 0.9999  # both the mean over places
    assert vector.fingerprint != pooled.fingerprint


def test_contract_in_torch() -> None:
    check_contract(build_extractor(spec(layer="layer4", pooling=Pooling.GEM)))


def test_threads_in_torch() -> None:
    check_threads(build_extractor(spec("mobilenet_v3_small", preprocessing={"resize": 64, "crop": 64})))


def test_avgpool_is_what_the_network_itself_gives_its_classifier() -> None:
    import torch
    from torchvision import models

    model = torch_runtime.seeded(lambda: models.resnet18(weights=None)).eval()
    model.fc = torch.nn.Identity()
    module, how, _ = family.build(spec(), None)
    x = torch.rand(2, 3, how.crop, how.crop)
    with torch.inference_mode():
        assert torch.allclose(module(x), model(x), atol=1e-5)


def test_guides_preprocessing_unless_the_weights_have_their_own() -> None:
    _, how, _ = family.build(spec("resnet50"), None)
    assert (how.resize, how.crop, how.interpolation) == (256, 224, "bilinear")
    assert how.std == pytest.approx((58.395, 57.12, 57.375))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def converted(folder: Path) -> Extractor:
    return build_extractor(spec(runtime=Runtime.OPENVINO), weights_dir=folder)


def test_exported_it_gives_what_torch_gives(converted: Extractor, folder: Path) -> None:
    images = [draw(seed) for seed in range(5)]
    inside = build_extractor(spec())
    theirs = inside.extract(images)
    assert (converted.extract(images) * theirs).sum(axis=1).min() > 0.999
    onnx = build_extractor(spec(runtime=Runtime.ONNX), weights_dir=folder)
    assert (onnx.extract(images) * theirs).sum(axis=1).min() > 0.99999
    assert inside.fingerprint == converted.fingerprint == onnx.fingerprint


def test_an_export_is_kept_whole_and_needs_no_torch_again(
    converted: Extractor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept,) = (folder / "torchvision").iterdir()
    assert {path.name for path in kept.iterdir()} == {"network.onnx", "network.json"}
    monkeypatch.setattr(family, "require_torchvision", lambda: pytest.fail("torch was asked for"))
    again = build_extractor(spec(runtime=Runtime.OPENVINO, preprocessing={"resize": 300}), weights_dir=folder)
    assert again.min_side == 300
    assert again.fingerprint != converted.fingerprint


def test_the_process_that_asks_for_an_export_never_imports_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from search.extraction.extractor import build_extractor\n"
        "from search.extraction.spec import ExtractorSpec\n"
        "x = build_extractor(ExtractorSpec('mobilenet_v3_small', weights='none'), weights_dir=Path(sys.argv[1]))\n"
        "print(x.dim, 'torch' in sys.modules, 'torchvision' in sys.modules)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.split() == ["576", "False", "False"]


def test_without_torch_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(RuntimeMissing, match="extra 'torch'"):
        build_extractor(spec(), weights_dir=tmp_path)


def save(tmp_path: Path, change: Any = None, **how: Any) -> Path:
    import torch
    from torchvision import models

    model = torch_runtime.seeded(lambda: models.resnet18(weights=None, **how), seed=3)
    state = model.state_dict()
    torch.save(change(state) if change else state, tmp_path / "checkpoint.pth")
    return tmp_path / "checkpoint.pth"


def test_a_checkpoint_with_classes_of_its_own_is_loaded(tmp_path: Path) -> None:
    plain = build_extractor(spec(weights=str(save(tmp_path, num_classes=7))))
    wrapped = save(tmp_path, lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}}, num_classes=7)
    assert plain.fingerprint == build_extractor(spec(weights=str(wrapped))).fingerprint
    assert plain.fingerprint != build_extractor(spec()).fingerprint
    x = plain.extract([draw(1)])[0] @ build_extractor(spec()).extract([draw(1)])[0]
    assert x < 0.999


@pytest.mark.parametrize("missing", ["layer4.1.conv2.weight", "conv1.weight"])
def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, missing: str) -> None:
    path = save(tmp_path, lambda state: {k: v for k, v in state.items() if k != missing})
    with pytest.raises(BadConfiguration, match=missing):
        build_extractor(spec(weights=str(path)))
    with pytest.raises(BadConfiguration, match="another network"):
        build_extractor(spec("resnet50", weights=str(save(tmp_path))))


def test_errors_of_the_child_arrive_as_they_are(tmp_path: Path) -> None:
    path = save(tmp_path, lambda state: {k: v for k, v in state.items() if k != "conv1.weight"})
    with pytest.raises(BadConfiguration, match=r"conv1\.weight"):
        build_extractor(spec(weights=str(path), runtime=Runtime.OPENVINO), weights_dir=tmp_path / "w")
    assert not list((tmp_path / "w").rglob("*.onnx"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    import torch

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(BadConfiguration, match="weights_only"):
        build_extractor(spec(weights=str(tmp_path / "evil.pth")))
    assert not (tmp_path / "ran").exists()


def test_the_sha256_of_a_checkpoint_is_checked(tmp_path: Path) -> None:
    with pytest.raises(WeightsChanged):
        build_extractor(spec(weights=str(save(tmp_path)), weights_sha256="0" * 64))


@pytest.mark.parametrize(
    ("name", "layer", "listed"),
    [
        ("resnet18", "layer5", "bn1, relu, maxpool, layer1, layer2, layer3, layer4"),
        ("resnet18", "fc", "layer4"),
        ("vgg11", "features.99", r"features\.0 to features\.20"),
        ("mobilenet_v3_small", "layer3", r"features\.0 to features\.12"),
        ("regnet_x_400mf", "trunk", r"trunk_output\.block1, .*trunk_output\.block4"),
    ],
)
def test_a_layer_that_is_not_there_is_refused_with_those_that_are(name: str, layer: str, listed: str) -> None:
    with pytest.raises(
        BadConfiguration, match=rf"no layer {layer}; it has avgpool, .*{listed.removeprefix('avgpool, ')}"
    ):
        build_extractor(spec(name, layer=layer))


TINY = {"resize": 64, "crop": 64}


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("resnet18", "layer3", (256, 4, 4)),
        ("resnet18", "layer3.0", (256, 4, 4)),
        ("vgg11", "features.10", (256, 8, 8)),
        ("mobilenet_v3_small", "features.8", (48, 4, 4)),
        ("efficientnet_b0", "features.5", (112, 4, 4)),
        ("shufflenet_v2_x0_5", "stage3", (96, 4, 4)),
        ("densenet121", "features.denseblock2", (512, 8, 8)),
    ],
)
def test_layers_between_give_their_maps(name: str, layer: str, shape: tuple[int, ...]) -> None:
    extractor = build_extractor(spec(name, layer=layer, preprocessing=TINY, pooling=Pooling.GEM))
    maps = extractor.maps(np.stack([extractor.prepare(draw(1))]))
    assert maps.shape == (1, *shape)
    assert extractor.dim == shape[0]


def test_a_layer_between_is_what_the_network_computes_there(folder: Path) -> None:
    import torch
    from torchvision import models

    model = torch_runtime.seeded(lambda: models.resnet18(weights=None)).eval()
    inside = build_extractor(spec(layer="layer2", preprocessing=TINY))
    pixels = np.stack([inside.prepare(draw(seed)) for seed in range(3)])
    how = inside.preprocessing
    with torch.inference_mode():
        x = torch.from_numpy(normalise(pixels, how))
        expected = model.layer2(model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(x))))))
    assert np.allclose(inside.maps(pixels), expected.numpy(), atol=1e-4)
    outside = build_extractor(spec(layer="layer2", preprocessing=TINY, runtime=Runtime.ONNX), weights_dir=folder)
    assert np.allclose(outside.maps(pixels), inside.maps(pixels), atol=1e-4)
    assert outside.fingerprint == inside.fingerprint
    exports = {path.parent.name: path.stat().st_size for path in folder.rglob("resnet18-*/network.onnx")}
    assert min(exports.values()) < 5e6  # of 45 MB: what comes after is not in the file


def test_transformers_lay_their_tokens_out_as_a_map() -> None:
    import torch
    from torchvision.models import swin_transformer, vision_transformer

    vit = vision_transformer.VisionTransformer(64, 16, 2, 2, 32, 48).eval()
    module = torch_runtime.trunk(vit, "encoder", vector=False, form=family._form("vit_b_16", "encoder"))
    x = torch.rand(2, 3, 64, 64)
    caught: list[torch.Tensor] = []
    vit.encoder.register_forward_hook(lambda _m, _i, output: caught.append(output))
    with torch.inference_mode():
        maps = module(x)
    assert maps.shape == (2, 32, 4, 4)
    assert torch.equal(maps[:, :, 1, 2], caught[0][:, 1 + 1 * 4 + 2])
    swin = swin_transformer.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [4, 4]).eval()
    with torch.inference_mode():
        maps = torch_runtime.trunk(swin, "features.1", vector=False, form=family._form("swin_t", "features.1"))(x)
    assert maps.shape == (2, 8, 16, 16)


def test_out_of_memory_halves_the_batch() -> None:
    import torch

    sizes: list[int] = []

    class Small(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            sizes.append(len(x))
            if len(x) > 2:
                raise torch.OutOfMemoryError
            return x.mean((2, 3))

    network = torch_runtime.TorchNetwork(Small(), Preprocessing(), Place("cpu"))
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    assert np.allclose(network.run(pixels), pixels.mean((1, 2)) / 127.5 - 1, atol=1e-4)
    assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_a_cuda_device_that_is_not_there_is_named() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(RuntimeMissing, match="CUDA"):
        build_extractor(spec(), device="cuda")


@pytest.mark.gpu
def test_on_cuda_it_gives_what_the_cpu_gives() -> None:
    images = [draw(seed) for seed in range(5)]
    cpu, cuda = (build_extractor(spec(), device=device) for device in ("cpu", "cuda"))
    assert (cpu.extract(images) * cuda.extract(images)).sum(axis=1).min() > 0.999
    assert cpu.fingerprint == cuda.fingerprint


def test_another_shape_than_a_vector_or_a_map_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_runtime.TorchNetwork, "run", lambda *_: np.zeros((1, 7, 8), np.float32))
    with pytest.raises(UnsupportedNetwork, match=r"\(1, 7, 8\)"):
        build_extractor(spec())
