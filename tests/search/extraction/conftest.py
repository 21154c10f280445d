"""A small real network for tests: one convolution of random weights, written with the onnx package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def write_network(
    path: Path, *, seed: int = 0, vector: bool = False, batch: int | str = "n", side: int | None = None
) -> Path:
    """pixels (n, 3, h, w) -> map (n, 8, h/4, w/4), or its mean (n, 8); ``side``: of the only size that it takes."""
    rng = np.random.default_rng(seed)
    kernel = numpy_helper.from_array(rng.standard_normal((8, 3, 4, 4)).astype(np.float32), "kernel")
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["conv"], strides=[4, 4]),
        helper.make_node("Relu", ["conv"], ["map"]),
    ]
    if vector:
        nodes += [
            helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["vector"]),
        ]
    kernels = [kernel]
    if side:  # as a transformer's export is: the size is written into its arithmetic
        kernels.append(numpy_helper.from_array(np.array([0, 8, side // 4, side // 4]), "grid"))
        nodes[1:] = [
            helper.make_node("Reshape", ["conv", "grid"], ["laid"]),
            helper.make_node("Relu", ["laid"], ["map"]),
        ]
    shape = [batch, 8] if vector else [batch, 8, None, None]
    output = helper.make_tensor_value_info("vector" if vector else "map", TensorProto.FLOAT, shape)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, side, side])
    graph = helper.make_graph(nodes, "small", [pixels], [output], kernels)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture
def network(tmp_path: Path) -> Callable[..., Path]:
    """``network("name.onnx", seed=, vector=, batch=, side=)``."""
    return lambda name="small.onnx", **how: write_network(tmp_path / name, **how)
