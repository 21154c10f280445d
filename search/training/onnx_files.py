"""ONNX files as data: large weights kept in float16, and widened again. Needs the onnx package, not torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MIN_HALVED = 1024  # numbers in a tensor: below, float16 saves nothing and biases keep their precision
SUFFIX = "_half"


def halve(model: Any) -> Any:
    """Store large float32 weights as float16, each followed by a Cast to float32. Changes ``model`` and returns it.

    The arithmetic stays what it was: runtimes fold a Cast of a constant when they open the file. A tensor with
    numbers that float16 does not hold is left alone.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < MIN_HALVED:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.abs(values).max() <= np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + SUFFIX))
        casts.append(helper.make_node("Cast", [name + SUFFIX], [name], name=f"{name}_widen", to=TensorProto.FLOAT))
    _put_first(model, casts)
    return model


def widen(model: Any) -> Any:
    """The opposite of ``halve``: float16 constants that are only cast become float32 ones."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    left = []
    for node in model.graph.node:
        to = next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
        if node.op_type == "Cast" and to == TensorProto.FLOAT and node.input[0] in constants:
            values = numpy_helper.to_array(constants[node.input[0]]).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        else:
            left.append(node)
    _replace_nodes(model, left)
    used = {name for node in left for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def _put_first(model: Any, nodes: list[Any]) -> None:
    _replace_nodes(model, [*nodes, *model.graph.node])


def _replace_nodes(model: Any, nodes: Iterable[Any]) -> None:
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(copies)


def save_whole(model: Any, path: Path) -> None:
    """Write beside ``path``, sync, rename: the file is there whole or not at all."""
    write_whole(path, model.SerializeToString())


def write_whole(path: Path, data: bytes) -> None:
    """As ``save_whole``, for bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".export-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp's is for its owner alone
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def ancestors(nodes: list[Any], made_by: dict[str, Any], until: tuple[str, ...]) -> list[str]:
    """Names of ``nodes`` and of what leads to them, back to the first operators of the kinds ``until``."""
    found: dict[str, None] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.name in found:
            continue
        found[node.name] = None
        if node.op_type not in until:
            waiting += [made_by[name] for name in node.input if name in made_by]
    return list(found)
