"""8 bits: near the float network in both runtimes, smaller, and what may stay in float does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from search.extraction.preprocess import Preprocessing
from search.extraction.runtimes import Place, open_onnx
from search.extraction.spec import Runtime
from search.training.agreement import average_precisions, cosines, neighbours_kept
from search.training.export import made_up, parity
from search.training.onnx_files import halve
from search.training.quantise import NotQuantisable, best, kinds, prepared, quantise

HOW = Preprocessing(resize=64, crop=64)


def write_network(path: Path, *, half: bool = False, convolutions: bool = True) -> Path:
    """pixels -> conv 3 x 3 -> norm -> relu -> depthwise -> relu -> conv 1 x 1, all of random numbers."""
    rng = np.random.default_rng(0)
    numbers = {
        "a": rng.normal(0, 0.3, (16, 3, 3, 3)),
        "scale": rng.uniform(0.5, 2, 16),
        "bias": rng.normal(0, 0.1, 16),
        "mean": rng.normal(0, 0.1, 16),
        "var": rng.uniform(0.5, 2, 16),
        "b": rng.normal(0, 0.3, (16, 1, 3, 3)),
        "c": rng.normal(0, 0.2, (80, 16, 1, 1)),
    }
    tensors = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in numbers.items()]
    nodes = [
        helper.make_node("Conv", ["pixels", "a"], ["conv"], "first", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv", "scale", "bias", "mean", "var"], ["norm"], "norm"),
        helper.make_node("Relu", ["norm"], ["relu"], "relu"),
        helper.make_node("Conv", ["relu", "b"], ["deep"], "deep", group=16, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["deep"], ["positive"], "positive"),
        helper.make_node("Conv", ["positive", "c"], ["map"], "last", strides=[2, 2]),
    ]
    if not convolutions:
        nodes, tensors = [helper.make_node("Relu", ["pixels"], ["map"])], []
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "h", "w"])
        for name, channels in (("pixels", 3), ("map", 80 if convolutions else 3))
    ]
    graph = helper.make_graph(nodes, "small", ports[:1], ports[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(halve(model) if half else model, path)
    return path


def run(path: Path, runtime: Runtime, count: int = 5) -> np.ndarray:
    return open_onnx(path, HOW, runtime, Place("cpu", 1)).run(made_up(count, 64, seed=7))


def quantised_nodes(path: Path) -> list[str]:
    """Convolutions whose weights are 8 bits wide."""
    model = onnx.load(path)
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    return [n.name for n in model.graph.node if n.op_type == "Conv" and made_by.get(n.input[1]) == "DequantizeLinear"]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_both_runtimes_stay_near_the_float_network(tmp_path: Path, half: bool, method: str) -> None:
    path = write_network(tmp_path / "small.onnx", half=half)
    out = quantise(path, made_up(12, 64), HOW, tmp_path / "out" / "eight.onnx", method=method)
    assert quantised_nodes(out) == ["first", "deep", "last"]
    assert not [node for node in onnx.load(out).graph.node if node.op_type == "BatchNormalization"]
    expected = run(path, Runtime.ONNX)
    for runtime in (Runtime.ONNX, Runtime.OPENVINO):
        found = run(out, runtime)
        assert found.shape == expected.shape
        assert parity(found, expected).min() > 0.99
        assert not np.array_equal(found, expected)


def test_ranges_come_from_the_pictures(tmp_path: Path) -> None:
    path = write_network(tmp_path / "small.onnx")
    dark = np.minimum(made_up(8, 64), 130)
    bright, dim = (
        quantise(path, pictures, HOW, tmp_path / f"{name}.onnx", method="minmax")
        for name, pictures in (("bright", made_up(8, 64)), ("dim", dark))
    )
    expected = run(path, Runtime.ONNX)
    assert parity(run(bright, Runtime.ONNX), expected).mean() > parity(run(dim, Runtime.ONNX), expected).mean() + 0.01


def test_layers_that_may_stay_in_float(tmp_path: Path) -> None:
    path = write_network(tmp_path / "small.onnx")
    with prepared(path, "") as model:
        found = kinds(model)
    assert found["none"] == []
    assert found["first"] == ["first"]
    assert found["last"] == ["last"]
    assert found["ends"] == ["first", "last"]
    assert found["depthwise"] == ["deep"]
    out = quantise(path, made_up(8, 64), HOW, tmp_path / "eight.onnx", keep="ends")
    assert quantised_nodes(out) == ["deep"]


def test_the_judge_decides_and_a_float_layer_must_win_clearly(tmp_path: Path) -> None:
    path, out = write_network(tmp_path / "small.onnx"), tmp_path / "eight.onnx"
    scores = {"minmax-none": 0.9, "percentile-none": 0.95, "percentile-first": 0.951, "percentile-depthwise": 0.99}
    steps: list[tuple[int, int]] = []
    tried = best(
        path,
        made_up(8, 64),
        HOW,
        out,
        lambda candidate: scores.get(candidate.stem, 0.5),
        on_try=lambda done, total: steps.append((done, total)),
    )
    assert (tried[0].method, tried[0].kept, tried[0].cosine) == ("percentile", "depthwise", 0.99)
    assert quantised_nodes(out) == ["first", "last"]
    assert steps[-1] == (len(tried), len(tried))
    scores["percentile-depthwise"] = 0.9515
    assert best(path, made_up(8, 64), HOW, out, lambda candidate: scores.get(candidate.stem, 0.5))[0].kept == "none"


def test_what_cannot_be_quantised_is_named(tmp_path: Path) -> None:
    path = write_network(tmp_path / "small.onnx")
    out = quantise(path, made_up(4, 64), HOW, tmp_path / "eight.onnx")
    with pytest.raises(NotQuantisable, match="8 bits already"):
        quantise(out, made_up(4, 64), HOW, tmp_path / "four.onnx")
    plain = write_network(tmp_path / "plain.onnx", convolutions=False)
    with pytest.raises(NotQuantisable, match="no convolution"):
        quantise(plain, made_up(4, 64), HOW, tmp_path / "four.onnx")
    assert not (tmp_path / "four.onnx").exists()


class TestAgreement:
    def test_neighbours_and_cosines_by_hand(self) -> None:
        angles = np.radians([0, 10, 25, 45])
        x = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        assert neighbours_kept(x, x, k=1) == 1
        moved = np.radians([0, 10, 25, 28])  # the third is nearest to the fourth now, not to the second
        y = np.stack([np.cos(moved), np.sin(moved)], axis=1).astype(np.float32)
        assert neighbours_kept(x, y, k=1) == 0.75
        assert cosines(x, y) == pytest.approx([1, 1, 1, np.cos(np.radians(17))], abs=1e-6)

    def test_average_precision_leaves_copies_out_and_needs_a_like(self) -> None:
        x = np.eye(4, dtype=np.float32)
        x[1] = x[0] * 0.8 + x[3] * 0.6
        labels, contents = np.array([0, 1, 0, 2]), np.array([0, 1, 2, 2])
        found = average_precisions(x, labels, contents)
        assert found[0] == pytest.approx(0.5)  # its like comes after picture 1, before 3 by place
        assert 3 not in found  # nothing has its label
        assert found[2] == pytest.approx(1.0)  # 3 is a copy and leaves; 0 and 1 tie at zero, 0 is first
