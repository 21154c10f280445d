"""Static 8-bit quantisation: weights and activations of an ONNX network, calibrated on pictures.

QDQ form: the file stays float32 with pairs of QuantizeLinear and DequantizeLinear in it, which OpenVINO and ONNX
Runtime turn into 8-bit arithmetic. Weights are signed, a scale for each output channel; activations are unsigned, a
scale and a zero point for each tensor. Needs onnx and onnxruntime, not torch. Krishnamoorthi, Quantizing deep
convolutional networks for efficient inference, arXiv 1806.08342, sections 2 and 3.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime import quantization as ort

from catalog.errors import LookalikeError, gettext_noop
from search.extraction.preprocess import Pixels, Preprocessing, normalise
from search.training.onnx_files import ancestors, save_whole, widen

METHODS = {
    "minmax": ort.CalibrationMethod.MinMax,
    "percentile": ort.CalibrationMethod.Percentile,
    "entropy": ort.CalibrationMethod.Entropy,
}
PERCENTILE = 99.99  # of the calibration pictures' activations
BATCH = 4  # pictures whose activations are all held at once
# What both runtimes compute in 8 bits, and what carries 8 bits through. Not attention, nor norms.
OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Mul", "MaxPool", "AveragePool", "GlobalAveragePool"),
    *("Concat", "Relu", "Clip", "Pad", "Reshape", "Transpose", "Flatten", "Squeeze"),
)
HEAVY = ("Conv", "Gemm", "MatMul")
CLEARLY = 2e-3  # of cosine: layers stay in float only if that gains more, for they cost speed

Judge = Callable[[Path], float]  # a candidate file -> how alike its descriptors are to the float ones, 1 at best


class NotQuantisable(LookalikeError):
    code = "not_quantisable"
    text = gettext_noop("The network %(name)s cannot be quantised: %(reason)s.")
    cure = gettext_noop("Take the float model it was made from, or a network with convolutions from an ONNX file.")


@dataclass(frozen=True)
class Tried:
    """One candidate: how ranges were found, which kinds of layers stayed in float, and its mean cosine."""

    method: str
    kept: str
    layers: int
    cosine: float


def quantise(
    onnx_path: Path,
    pictures: Iterable[Pixels],
    how: Preprocessing,
    out: Path,
    *,
    output: str = "",
    method: str = "percentile",
    keep: str = "none",
) -> Path:
    """Write ``out``, the network in 8 bits; returns it. Float16 weights are widened, batch norms folded first.

    ``pictures``: prepared, uint8 (side, side, 3) each. ``method``: of METHODS. ``keep``: of ``kinds``, the layers that
    stay in float. Raises NotQuantisable.
    """
    with prepared(onnx_path, output) as model:
        save_whole(_quantised(model, ranges(model, pictures, how, method), kinds(model)[keep]), out)
    return out


def best(
    onnx_path: Path,
    pictures: Iterable[Pixels],
    how: Preprocessing,
    out: Path,
    judge: Judge,
    *,
    output: str = "",
    methods: Iterable[str] = ("minmax", "percentile"),
    keep: Iterable[str] | None = None,
    on_try: Callable[[int, int], object] | None = None,
) -> list[Tried]:
    """Write the candidate that ``judge`` likes best; all that were tried, the chosen one first.

    Every method with every layer in 8 bits, then the best method with each kind of layer left in float. That costs
    speed, so it must win clearly.
    """
    pictures, methods = list(pictures), list(methods)
    with prepared(onnx_path, output) as model, tempfile.TemporaryDirectory(prefix="quantise-") as folder:
        known = {name: layers for name, layers in kinds(model).items() if keep is None or name in keep}
        total = len(methods) + len(known) - 1

        def tried(method: str, kept: str) -> Tried:
            path = Path(folder) / f"{method}-{kept}.onnx"
            if method not in found:
                found[method] = ranges(model, pictures, how, method)
            onnx.save(_quantised(model, found[method], known[kept]), path)
            row = Tried(method, kept, len(known[kept]), judge(path))
            rows.append(row)
            if on_try is not None:
                on_try(len(rows), total)
            return row

        rows: list[Tried] = []
        found: dict[str, Any] = {}
        first = next(iter(known))
        chosen = max((tried(method, first) for method in methods), key=lambda row: row.cosine)
        for kept in [*known][1:]:
            row = tried(chosen.method, kept)
            chosen = row if row.cosine > chosen.cosine + CLEARLY else chosen
        save_whole(onnx.load(Path(folder) / f"{chosen.method}-{chosen.kept}.onnx"), out)
    return [chosen, *(row for row in rows if row is not chosen)]


@contextmanager
def prepared(path: Path, output: str) -> Iterator[Any]:
    """The model in float32 with one output, norms folded and shapes known. Raises NotQuantisable."""
    model = widen(onnx.load(path))
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        raise NotQuantisable(name=path.name, reason="it is in 8 bits already")
    if output:
        kept = [port for port in model.graph.output if port.name == output]
        del model.graph.output[:]
        model.graph.output.extend(kept)
    with tempfile.TemporaryDirectory(prefix="quantise-") as folder:
        raw, ready = Path(folder) / "raw.onnx", Path(folder) / "ready.onnx"
        onnx.save(model, raw)
        try:
            ort.quant_pre_process(str(raw), str(ready), skip_symbolic_shape=True)
        except Exception as error:  # its exception types are not public
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise NotQuantisable(name=path.name, reason=reason) from error
        model = onnx.load(ready)
    if not any(node.op_type in HEAVY for node in model.graph.node):
        raise NotQuantisable(name=path.name, reason="it has no convolution and no matrix product")
    yield model


def kinds(model: Any) -> dict[str, list[str]]:
    """What may stay in float, by name, from nothing to most: names of nodes."""
    nodes = [node for node in model.graph.node if node.op_type in HEAVY]
    first, last = nodes[0].name, _last(model)
    depthwise = [node.name for node in nodes if _groups(node) > 1]
    found = {"none": [], "first": [first], "last": last, "ends": [first, *last], "depthwise": depthwise}
    return {name: layers for name, layers in found.items() if layers or name == "none"}


def _last(model: Any) -> list[str]:
    """The heavy nodes next to the output, with what lies between."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    return ancestors([made_by[port.name] for port in model.graph.output if port.name in made_by], made_by, HEAVY)


def _groups(node: Any) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def ranges(model: Any, pictures: Iterable[Pixels], how: Preprocessing, method: str) -> Any:
    """Smallest and largest value of each activation, as ``method`` reads them off the pictures."""
    with tempfile.TemporaryDirectory(prefix="quantise-") as folder, _quiet():
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = ort.create_calibrator(
            path,
            list(OPERATORS),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=METHODS[method],
            extra_options={"percentile": PERCENTILE} if method == "percentile" else {},
        )
        for batch in _batches(pictures):
            calibrator.collect_data(_Batch(calibrator.infer_session.get_inputs()[0].name, normalise(batch, how)))
        return calibrator.compute_data()


class _Batch(ort.CalibrationDataReader):  # type: ignore[misc]
    """One batch: a calibrator keeps all activations of all it is given at a time."""

    def __init__(self, name: str, inputs: Any) -> None:
        self._left = [{name: inputs}]

    def get_next(self) -> dict[str, Any] | None:
        return self._left.pop() if self._left else None


def _batches(pictures: Iterable[Pixels]) -> Iterator[Pixels]:
    batch: list[Pixels] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _quantised(model: Any, found: Any, in_float: list[str]) -> Any:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with _quiet():
        quantizer = ort.QDQQuantizer(
            copy, True, False, ort.QuantType.QInt8, ort.QuantType.QUInt8, found, [], in_float, list(OPERATORS), {}
        )
        quantizer.quantize_model()
    return quantizer.model.model


@contextmanager
def _quiet() -> Iterator[None]:
    """It advises on the root logger and counts aloud."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)
