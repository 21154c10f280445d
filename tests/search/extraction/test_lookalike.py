"""The family of the networks that ship: found by being there, by their own names, opened as any ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from search.extraction import backbones
from search.extraction.backbones import lookalike
from search.extraction.errors import BadConfiguration, UnknownBackbone, WeightsChanged
from search.extraction.extractor import build_extractor
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
from tests.factories import draw
from tests.search.extraction.conftest import write_network


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "networks"
    folder.mkdir()
    monkeypatch.setattr(lookalike, "FOLDER", folder)
    backbones._families.cache_clear()
    yield folder
    backbones._families.cache_clear()


def ship(folder: Path, name: str = "lookalike", seed: int = 0) -> Path:
    path = write_network(folder / f"{name}.onnx", seed=seed)
    path.with_suffix(".json").write_text(json.dumps({"size": 64, "fit": "squash", "dim": 8, "licence": "CC0"}))
    return path


def test_every_network_with_a_card_is_a_backbone(folder: Path) -> None:
    ship(folder)
    ship(folder, "lookalike-small")
    write_network(folder / "uncarded.onnx")
    assert lookalike.names() == ["lookalike", "lookalike-small"]
    assert set(lookalike.names()) < set(backbones.names())
    with pytest.raises(UnknownBackbone):
        build_extractor(ExtractorSpec("uncarded"))


def test_it_gives_what_the_file_gives_but_is_never_mixed_with_it(folder: Path) -> None:
    path = ship(folder)
    pooled = {"pooling": Pooling.GEM, "runtime": Runtime.ONNX, "power": 0.5, "scales": (1, 0.5), "flip": True}
    shipped = build_extractor(ExtractorSpec("lookalike", **pooled))
    same = build_extractor(ExtractorSpec("onnx", weights=str(path), **pooled))
    assert np.array_equal(shipped.extract([draw(1)]), same.extract([draw(1)]))
    assert shipped.fingerprint != same.fingerprint


def test_a_release_with_another_network_is_told_apart(folder: Path) -> None:
    ship(folder)
    before = build_extractor(ExtractorSpec("lookalike")).fingerprint
    ship(folder, seed=1)
    assert build_extractor(ExtractorSpec("lookalike")).fingerprint != before
    with pytest.raises(WeightsChanged):
        build_extractor(ExtractorSpec("lookalike", weights_sha256="0" * 64))


def test_it_takes_no_weights(folder: Path) -> None:
    with pytest.raises(BadConfiguration, match="its own weights"):
        build_extractor(ExtractorSpec("lookalike", weights=str(ship(folder))))


@pytest.mark.torch
@pytest.mark.parametrize("runtime", [Runtime.OPENVINO, Runtime.ONNX])
def test_an_exported_student_is_served(folder: Path, network: Callable[..., Path], runtime: Runtime) -> None:
    from search.training.export import export_trunk
    from search.training.student import PREPROCESSING, build_student

    export_trunk(build_student(), folder / "lookalike.onnx", PREPROCESSING.at(64), {"licence": "CC0", "name": "x"})
    extractor = build_extractor(ExtractorSpec("lookalike", runtime=runtime, scales=(1, 0.5), pooling=Pooling.RMAC))
    x = extractor.extract([draw(seed) for seed in range(3)])
    assert x.shape == (3, 512)
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    pixels = np.stack([extractor.prepare(draw(1))])
    maps = extractor.maps(pixels)
    assert maps.shape == (1, 512, 2, 2)
    assert maps.min() < 0  # the last convolution is linear
