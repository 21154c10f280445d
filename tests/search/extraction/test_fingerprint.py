"""The fingerprint changes with all that changes a descriptor, and with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.extraction import fingerprint as module
from search.extraction.extractor import build_extractor
from search.extraction.fingerprint import fingerprint
from search.extraction.preprocess import Preprocessing
from search.extraction.spec import ExtractorSpec, Pooling, Runtime

SPEC = ExtractorSpec("onnx", pooling=Pooling.GEM)


def of(spec: ExtractorSpec = SPEC, **changes: Any) -> str:
    parts: dict[str, Any] = {"weights": "w", "preprocessing": Preprocessing(), "precision": "float", "maps": True}
    return fingerprint(spec, **(parts | changes))


@pytest.mark.parametrize(
    "other",
    [
        lambda: of(replace(SPEC, backbone="resnet50")),
        lambda: of(replace(SPEC, layer="layer4")),
        lambda: of(replace(SPEC, pooling=Pooling.MAX)),
        lambda: of(replace(SPEC, gem_p=2.5)),
        lambda: of(replace(SPEC, pooling=Pooling.RMAC)),
        lambda: of(replace(SPEC, power=0.5)),
        lambda: of(replace(SPEC, flip=True)),
        lambda: of(sides=(224, 160)),
        lambda: of(sides=(160,)),
        lambda: of(projection="p"),
        lambda: of(weights="v"),
        lambda: of(precision="int8"),
        lambda: of(maps=False),
        *[
            lambda change=change: of(preprocessing=Preprocessing().overridden(change))
            for change in (
                {"resize": 255},
                {"crop": 223},
                {"mean": [127.5, 127.5, 127]},
                {"std": 128},
                {"interpolation": "bicubic"},
                {"fit": "squash"},
            )
        ],
    ],
)
def test_each_ingredient_counts(other: Callable[[], str]) -> None:
    assert other() != of()


def test_the_version_of_the_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = of()
    monkeypatch.setattr(module, "CODE_VERSION", module.CODE_VERSION + 1)
    assert of() != before


def test_what_changes_no_descriptor_does_not_count() -> None:
    mean = replace(SPEC, pooling=Pooling.MEAN)
    assert of(mean) == of(replace(mean, gem_p=9.0, weights="elsewhere", runtime=Runtime.ONNX))
    assert of(mean, maps=False) == of(maps=False)  # a vector is not pooled
    assert of(replace(mean, pooling=Pooling.RMAC), maps=False) == of(maps=False)
    assert of(sides=(224,)) == of(replace(SPEC, power=1, flip=False)) == of()


def test_fingerprints_of_stored_embeddings_stay_what_they_were() -> None:
    """Written down before power, scales, flip and R-MAC were thought of. Change them only with CODE_VERSION."""
    assert of(ExtractorSpec("onnx")) == "a626a224f1bf0b81c19108549f796d240cb26faade72e6a317f391a6ce1c7459"
    gem = replace(SPEC, gem_p=2.5)
    assert of(gem) == "b365460b981c32ec1be458cf8261962bcd79859bb66bb90f9c2b8339a569e0e8"
    projected = of(ExtractorSpec("resnet50", layer="layer4", pooling=Pooling.MAX), projection="p")
    assert projected == "d7903b6058a1d068bba170b47300e1e5791d6a658a396fdc20e2b36c9918ff4e"
    vectors = of(ExtractorSpec("vgg16"), maps=False, preprocessing=Preprocessing(fit="squash", resize=300))
    assert vectors == "d424a00d9d8e7141f649b8c12b9278e262ae97d15163b8c77fd4c055c7ff9c73"
    classical = build_extractor(ExtractorSpec("color_gradient")).fingerprint
    assert classical == "9659324b6c3d0fb1743e41966ea0ffb95966950a4c2591cb0a57d12edc257132"


@pytest.mark.parametrize("scales", [(1.0,), (1,), (1.0, 1.0), (1.0, 0.99)])
def test_scales_that_come_to_one_size_do_not_count(network: Callable[..., Path], scales: tuple[float, ...]) -> None:
    plain = ExtractorSpec("onnx", weights=str(network()))
    assert build_extractor(replace(plain, scales=scales)).fingerprint == build_extractor(plain).fingerprint


def test_the_order_of_scales_does_not_count(network: Callable[..., Path]) -> None:
    plain = ExtractorSpec("onnx", weights=str(network()))
    there, back = (build_extractor(replace(plain, scales=scales)).fingerprint for scales in [(1, 0.5), (0.5, 1)])
    assert there == back != build_extractor(plain).fingerprint


def test_where_the_file_lies_and_what_runs_it_do_not_count_but_its_numbers_do(
    network: Callable[..., Path], tmp_path: Path
) -> None:
    first, other = network("a.onnx"), network("b.onnx", seed=1)
    moved = tmp_path / "elsewhere.onnx"
    moved.write_bytes(first.read_bytes())

    def built(path: Path, runtime: Runtime) -> str:
        return build_extractor(ExtractorSpec("onnx", weights=str(path), runtime=runtime)).fingerprint

    assert built(first, Runtime.OPENVINO) == built(moved, Runtime.ONNX)
    assert built(other, Runtime.OPENVINO) != built(first, Runtime.OPENVINO)


def test_the_same_in_every_process(network: Callable[..., Path]) -> None:
    spec = f"ExtractorSpec('onnx', weights={str(network())!r}, preprocessing={{'std': 60, 'mean': [1, 2, 3]}})"
    code = (
        "from search.extraction.extractor import build_extractor\n"
        "from search.extraction.spec import ExtractorSpec\n"
        f"for spec in ({spec}, ExtractorSpec('color_gradient')): print(build_extractor(spec).fingerprint)"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert build_extractor(ExtractorSpec("color_gradient")).fingerprint in answers.pop()
