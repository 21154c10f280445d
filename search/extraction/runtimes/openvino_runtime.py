"""OpenVINO on the CPU, at its default precision: bfloat16 where the processor has AMX, else float32.

A file with 8-bit weights and activations (QDQ) runs in 8 bits.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
from numpy.typing import NDArray

from search.extraction.errors import RuntimeMissing, UnsupportedNetwork
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.runtimes import FLOAT, Place

# Measured on two AMX cores: batches of 8 are within 5 % of the best for MobileNet and ResNet50 alike,
# and their feature maps still fit the cache.
CHUNK = 8
KEPT = 12  # compiled shapes, the least recently used leaves; five scales are ten: for one picture and for eight
Shape = tuple[int, int, int]  # pictures, height, width


class OpenVinoNetwork:
    """Compiled for each shape when first needed: one picture to be answered soonest, eight to get through many.

    Fixed shapes run 10 % faster than open ones, so what is left over after the last eight goes one by one.
    """

    precision = FLOAT

    def __init__(self, path: Path, how: Preprocessing, place: Place, output: str = "") -> None:
        if place.device in ("cuda", "tensorrt"):
            raise RuntimeMissing(runtime="openvino", reason="it does not run on CUDA devices")
        self._name, self._how, self._threads = path.name, how, place.threads
        self._lock = Lock()
        self._open: OrderedDict[Shape, _Requests] = OrderedDict()
        try:
            self._model = _read(path, output)
            batch = self._model.inputs[0].partial_shape[0]
            self._batch = batch.get_length() if batch.is_static else 0  # 0: any
            self._fitted((self._batch or 1, how.crop, how.crop))
        except (RuntimeError, ValueError) as error:
            raise self._unsupported(error) from error

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        pixels = np.ascontiguousarray(pixels)
        count = len(pixels)
        if self._batch:
            return self._run(_filled(pixels, -count % self._batch), self._batch)[:count]
        many = count - count % CHUNK
        if not many:
            return self._run(pixels, 1)
        first = self._run(pixels[:many], CHUNK)
        return np.concatenate([first, self._run(pixels[many:], 1)]) if many < count else first

    def _run(self, pixels: Pixels, size: int) -> NDArray[np.float32]:
        """``size`` pictures at a time, as many at once as there are streams. Any number of threads may call."""
        requests, result = self._requests((size, *pixels.shape[1:3])), None
        started: deque[tuple[int, Any]] = deque()
        try:
            for start in range(0, len(pixels), size):
                request = requests.free(wait=not started)
                while request is None:  # all are busy: first take what this call has under way
                    result = _take(started, result, len(pixels), requests)
                    request = requests.free(wait=not started)
                started.append((start, request))
                request.start_async({0: pixels[start : start + size]}, share_inputs=True)
            while started:
                result = _take(started, result, len(pixels), requests)
        finally:
            for _, request in started:  # only after an error
                requests.discard(request)
        assert result is not None
        return result

    def _requests(self, shape: Shape) -> _Requests:
        with self._lock:
            if shape not in self._open:
                try:
                    self._open[shape] = self._compiled(shape)
                except (RuntimeError, ValueError) as error:
                    what = f"it does not take pictures of {shape[2]} x {shape[1]} pixels: "
                    raise self._unsupported(error, what) from error
            self._open.move_to_end(shape)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
            return self._open[shape]

    def _compiled(self, shape: Shape) -> _Requests:
        few = shape[0] == 1
        # No pinning: several processes on one machine would all pin to the same cores.
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY" if few else "THROUGHPUT", "ENABLE_CPU_PINNING": False}
        if self._threads:
            options["INFERENCE_NUM_THREADS"] = self._threads
        return _Requests(ov.Core().compile_model(self._fitted(shape), "CPU", options))

    def _fitted(self, shape: Shape) -> ov.Model:
        """The network with uint8 NHWC pixels of this shape as its input: mean and std become its first layer.

        They are applied to whole rows of pixels before the channels are brought to the front. In that order the
        processor reads the pixels once; told through OpenVINO's own preprocessing it copies them three times.
        """
        model = self._model.clone()
        (count, high, wide), old = shape, model.get_parameters()[0]
        if not all(
            side.compatible(ov.Dimension(given))
            for side, given in zip(old.partial_shape[2:], (high, wide), strict=True)
        ):
            # OpenVINO would reshape it all the same, and read what is not there where the size is in its arithmetic
            raise RuntimeError(f"it was exported for {old.partial_shape}")
        model.reshape({old.output(0): [count, 3, high, wide]})
        _check_reshapes(model)
        pixels = op.parameter([count, high, wide, 3], np.uint8, "pixels")
        rows = op.convert(op.reshape(pixels, np.array([count, high, wide * 3]), False), "f32")
        mean, std = (
            np.tile(np.asarray(v, np.float32), wide).reshape(1, 1, -1) for v in (self._how.mean, self._how.std)
        )
        scaled = op.multiply(op.subtract(rows, op.constant(mean)), op.constant(1 / std))
        upright = op.reshape(scaled, np.array([count, high, wide, 3]), False)
        planes = op.transpose(upright, np.array([0, 3, 1, 2]))
        for target in old.output(0).get_target_inputs():
            target.replace_source_output(planes.output(0))
        return ov.Model(model.get_results(), [pixels], self._name)

    def _unsupported(self, error: Exception, what: str = "") -> UnsupportedNetwork:
        return UnsupportedNetwork(name=self._name, reason=what + str(error).strip().splitlines()[-1])


class _Requests:
    """The requests of one compiled shape, twice as many as streams: while one is computed, the next one waits."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")):
            self._free.put(compiled.create_infer_request())

    def free(self, wait: bool) -> Any:
        """One that nobody uses, or None."""
        try:
            return self._free.get(wait)
        except Empty:
            return None

    def give_back(self, request: Any) -> None:
        self._free.put(request)

    def discard(self, request: Any) -> None:
        """One that may still be running: a new one takes its place."""
        self._free.put(self._compiled.create_infer_request())


def _take(
    started: deque[tuple[int, Any]], result: NDArray[np.float32] | None, count: int, requests: _Requests
) -> NDArray[np.float32]:
    """Wait for the oldest request and copy what it gives to its place in ``result``, made here the first time."""
    start, request = started[0]
    request.wait()
    data: NDArray[np.float32] = request.get_output_tensor(0).data
    kept = np.empty((count, *data.shape[1:]), np.float32) if result is None else result
    kept[start : start + len(data)] = data
    started.popleft()
    requests.give_back(request)
    return kept


def _filled(pixels: Pixels, missing: int) -> Pixels:
    return np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)]) if missing else pixels


def _check_reshapes(model: ov.Model) -> None:
    """Raises ValueError where a shape written into the network does not fit.

    OpenVINO lets a Reshape with a zero in its shape pass whatever comes in, and then reads beyond its memory.
    """
    for node in model.get_ops():
        if node.get_type_name() == "Reshape":
            before, after = node.input_value(0).get_partial_shape(), node.output(0).get_partial_shape()
            if before.is_static and after.is_static and np.prod(before.to_shape()) != np.prod(after.to_shape()):
                raise ValueError(f"{node.get_friendly_name()} cannot make {after.to_shape()} of {before.to_shape()}")


def _read(path: Path, output: str) -> ov.Model:
    """The network with one input and one output, float32. Raises UnsupportedNetwork."""
    model = ov.Core().read_model(path)
    if len(model.inputs) != 1 or len(model.inputs[0].partial_shape) != 4:
        raise UnsupportedNetwork(name=path.name, reason="it needs exactly one input of rank 4")
    chosen = model.output(output) if output else model.output(0)
    value = chosen.get_node().input_value(0)
    if value.get_element_type() != ov.Type.f32:
        value = op.convert(value, "f32").output(0)
    return ov.Model([op.result(value)], model.get_parameters(), path.name)
