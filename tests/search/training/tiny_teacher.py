"""Small ONNX networks with stages at the strides of 4, 8, 16 and 32 pixels, to learn from within seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last, self.channels = "pixels", 3

    def conv(self, out: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False) -> str:
        name = f"t{len(self.nodes)}"
        each = 1 if depthwise else self.channels
        scale = np.sqrt(2 / (each * kernel * kernel))
        weight = (self.rng.normal(size=(out, each, kernel, kernel)) * scale).astype(np.float32)
        self.weights.append(numpy_helper.from_array(weight, f"{name}.w"))
        pads = [0, 0, 1, 1] if stride == 2 else [kernel // 2] * 4
        groups = self.channels if depthwise else 1
        self.nodes.append(
            helper.make_node(
                "Conv",
                [self.last, f"{name}.w"],
                [name],
                kernel_shape=[kernel, kernel],
                strides=[stride] * 2,
                pads=pads,
                group=groups,
            )
        )
        self.last, self.channels = name, out
        return name

    def relu(self) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node("Relu", [self.last], [name]))
        self.last = name
        return name

    def save(self, path: Path) -> Path:
        self.nodes[-1].output[0] = "feature_map"
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, "H", "W"])
        maps = helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, ["N", self.channels, "h", "w"])
        graph = helper.make_graph(self.nodes, "teacher", [pixels], [maps], self.weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path


def plain(path: Path, seed: int = 0) -> Path:
    """Dense convolutions: 6, 8, 12, 16 and 24 channels at strides 2 to 32."""
    graph = Graph(seed)
    for out in (6, 8, 12, 16, 24):
        graph.conv(out, 3, 2)
        graph.relu()
    return graph.save(path)


def inverted(path: Path, seed: int = 1) -> Path:
    """Inverted residuals' way of halving: widened 1 x 1, depthwise of stride 2, narrowed 1 x 1."""
    graph = Graph(seed)
    graph.conv(8, 3, 2)
    graph.relu()
    for out in (8, 12, 16, 20):
        graph.conv(3 * graph.channels)
        graph.relu()
        graph.conv(graph.channels, 3, 2, depthwise=True)
        graph.relu()
        graph.conv(out)
    return graph.save(path)
