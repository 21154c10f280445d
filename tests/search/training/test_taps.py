from pathlib import Path

import numpy as np
import pytest

from search.extraction.errors import UnsupportedNetwork
from search.training.taps import stage_outputs
from tests.search.training.tiny_teacher import Graph, inverted, plain

pytestmark = pytest.mark.torch


def test_a_stage_ends_before_the_convolution_that_halves(tmp_path: Path) -> None:
    assert stage_outputs(plain(tmp_path / "t.onnx")) == ["t3", "t5", "t7", "feature_map"]


def test_a_stage_ends_before_its_map_is_widened_for_a_depthwise_convolution(tmp_path: Path) -> None:
    names = stage_outputs(inverted(tmp_path / "t.onnx"))
    assert names == ["t6", "t11", "t16", "feature_map"]  # the narrow ends, not the widened maps


def test_a_network_without_a_stage_is_refused_by_name(tmp_path: Path) -> None:
    graph = Graph()
    for out in (4, 8, 8):
        graph.conv(out, 3, 2)
        graph.relu()
    path = graph.save(tmp_path / "short.onnx")
    with pytest.raises(UnsupportedNetwork, match=r"short\.onnx.*stride of 16 pixels"):
        stage_outputs(path)


@pytest.mark.data
def test_the_stages_of_real_networks(shared: Path) -> None:
    weights = shared / "weights"
    assert stage_outputs(weights / "mobilenet_v1.onnx") == ["t13", "t21", "t45", "feature_map"]
    assert stage_outputs(weights / "mobilenet_edgetpu.onnx") == ["t17", "t32", "t78", "feature_map"]


def test_of_a_residual_block_the_shortcuts_input_is_where_the_stage_before_ended(tmp_path: Path) -> None:
    from search.extraction.spec import ExtractorSpec
    from search.training.distillation import teacher_of

    spec = ExtractorSpec("resnet50", layer="features", weights="none", preprocessing={"resize": 64, "crop": 64})
    maps = teacher_of(spec, tmp_path, 1).run(np.zeros((1, 64, 64, 3), np.uint8))
    assert [m.shape[1:] for m in maps] == [(256, 16, 16), (512, 8, 8), (1024, 4, 4), (2048, 2, 2), (2048,)]
