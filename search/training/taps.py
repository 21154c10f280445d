"""Where to listen inside a teacher: the tensor that each of its stages hands on, found in the ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.extraction.errors import UnsupportedNetwork

PROBE = 256  # pixels: every stride up to 32 divides it


def stage_outputs(path: Path, strides: tuple[int, ...] = (4, 8, 16, 32)) -> list[str]:
    """Names of the tensors at ``strides``, the last one being the network's own output.

    A stage ends before the convolution that halves its map. Where that one is depthwise and a 1 x 1 convolution
    before it only widens the map for it (inverted residuals), the stage ended before both. Raises UnsupportedNetwork.
    """
    import onnx

    model = onnx.load(path)
    sides = _sides(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    order = {name: at for at, name in enumerate(makers)}
    found: dict[int, str] = {}
    for node in model.graph.node:
        if node.op_type != "Conv" or max(_attribute(node, "strides", [1])) < 2:
            continue
        name = _before_widening(node, makers, model)
        stride = PROBE // sides.get(name, PROBE)
        # Of a residual block both the shortcut and the inner path halve: the shortcut's input was there earlier.
        found[stride] = min(found.get(stride, name), name, key=lambda tensor: order.get(tensor, -1))
    last = model.graph.output[0].name
    found[PROBE // sides.get(last, PROBE)] = last
    if missing := [stride for stride in strides if stride not in found]:
        raise UnsupportedNetwork(name=path.name, reason=f"no stage ends at the stride of {missing[0]} pixels")
    return [found[stride] for stride in strides]


def _sides(model: Any) -> dict[str, int]:
    """Tensor name -> the height of its map for an input of PROBE pixels."""
    from onnx import shape_inference

    fixed = type(model)()
    fixed.CopyFrom(model)
    for dim, value in zip(fixed.graph.input[0].type.tensor_type.shape.dim, (1, 3, PROBE, PROBE), strict=True):
        dim.dim_value = value
    del fixed.graph.value_info[:]  # what the file says of any size
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    shaped = shape_inference.infer_shapes(fixed).graph
    tensors = [*shaped.value_info, *shaped.output]
    shapes = {tensor.name: tensor.type.tensor_type.shape.dim for tensor in tensors}
    return {name: dims[2].dim_value for name, dims in shapes.items() if len(dims) == 4 and dims[2].dim_value}


def _attribute(node: Any, name: str, default: Any) -> Any:
    import onnx

    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _before_widening(node: Any, makers: dict[str, Any], model: Any) -> str:
    """The input of a halving convolution, or that of the 1 x 1 convolution which widened it for a depthwise one."""
    name: str = node.input[0]
    if _attribute(node, "group", 1) == 1:
        return name
    maker = makers.get(name)
    while maker is not None and maker.op_type in ("Relu", "Clip", "HardSwish", "BatchNormalization"):
        maker = makers.get(maker.input[0])
    if maker is None or maker.op_type != "Conv":
        return name
    shape = next((w.dims for w in model.graph.initializer if w.name == maker.input[1]), (1, 1))
    return str(maker.input[0]) if shape[0] > shape[1] * _attribute(maker, "group", 1) else name
