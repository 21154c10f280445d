"""The runtime chosen for this machine counts while machine and libraries are those it was measured on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search import machine_runtime
from search.embedding import _build
from search.extraction.spec import Runtime
from search.machine_runtime import chosen_path, runtime_choose, site_runtime
from search.models import FeatureModel
from tests.search.extraction.conftest import write_network


@pytest.fixture(autouse=True)
def data_dir(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.EXTRACTION_RUNTIME = "auto"
    settings.EXTRACTION_DEVICE = "cpu"


def test_nothing_chosen_is_auto() -> None:
    assert site_runtime() is Runtime.AUTO


def test_a_choice_counts_and_the_setting_comes_first(settings: Any) -> None:
    runtime_choose(Runtime.ONNX, [{"runtime": "onnx", "pictures/s": 12.5}])
    assert site_runtime() is Runtime.ONNX
    settings.EXTRACTION_RUNTIME = "openvino"
    assert site_runtime() is Runtime.OPENVINO


def test_a_newer_choice_replaces_it_and_a_deleted_one_is_gone() -> None:
    runtime_choose(Runtime.ONNX, [])
    assert site_runtime() is Runtime.ONNX
    runtime_choose(Runtime.OPENVINO, [])
    assert site_runtime() is Runtime.OPENVINO
    chosen_path().unlink()
    assert site_runtime() is Runtime.AUTO


@pytest.mark.parametrize("part", ["processor", "cores", "versions", "device"])
def test_another_machine_or_library_makes_it_stale(part: str) -> None:
    runtime_choose(Runtime.ONNX, [])
    content = json.loads(chosen_path().read_text())
    content["machine"][part] = "another"
    chosen_path().write_text(json.dumps(content))
    assert site_runtime() is Runtime.AUTO


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runtime": "onnx"}', '{"runtime": "abacus", "machine": {}}'])
def test_a_broken_file_is_ignored(text: str) -> None:
    chosen_path().write_text(text)
    assert site_runtime() is Runtime.AUTO


def test_extractors_are_opened_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Runtime] = []
    monkeypatch.setattr("search.embedding.build_extractor", lambda spec, **_: opened.append(spec.runtime))
    model = FeatureModel(name="x", backbone="onnx", weights=str(write_network(tmp_path / "x.onnx")))
    _build(model)
    runtime_choose(Runtime.ONNX, [])
    _build(model)
    model.runtime = "openvino"
    _build(model)
    assert opened == [Runtime.AUTO, Runtime.ONNX, Runtime.OPENVINO]
    assert machine_runtime.machine()["cores"] >= 1
