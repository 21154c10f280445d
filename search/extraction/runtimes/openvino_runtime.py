"""OpenVINO on the CPU, at its default precision: bfloat16 where the processor has AMX, else float32."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino.preprocess import PrePostProcessor

from search.extraction.errors import RuntimeMissing, UnsupportedNetwork
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.runtimes import FLOAT, Place

# Measured on two AMX cores: batches of 8 are within 5 % of the best for MobileNet and ResNet50 alike,
# and their feature maps still fit the cache.
CHUNK = 8
Parts = dict[int, NDArray[np.float32]]


def _folded(path: Path, how: Preprocessing, output: str) -> ov.Model:
    """The network with uint8 NHWC pixels as its input: type, layout, mean and std become its first layer."""
    model = ov.Core().read_model(path)
    if len(model.inputs) != 1 or len(model.inputs[0].partial_shape) != 4:
        raise UnsupportedNetwork(name=path.name, reason="it needs exactly one input of rank 4")
    post = PrePostProcessor(model)
    source = post.input()
    source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_shape([-1, how.crop, how.crop, 3])
    source.model().set_layout(ov.Layout("NCHW"))
    source.preprocess().convert_element_type(ov.Type.f32).mean(list(how.mean)).scale(list(how.std))
    chosen = post.output(output) if output else post.output(0)
    chosen.tensor().set_element_type(ov.Type.f32)
    return post.build()


def _keep(request: Any, place: tuple[Parts, int, int]) -> None:
    # Not a method: the queue would keep its network, and the network its queue, alive for ever.
    parts, start, port = place
    parts[start] = np.array(request.get_output_tensor(port).data, np.float32)


class OpenVinoNetwork:
    """Two compilations, each made when first needed: one answers a few pictures soonest, one gets through many."""

    precision = FLOAT

    def __init__(self, path: Path, how: Preprocessing, place: Place, output: str = "") -> None:
        if place.device == "cuda":
            raise RuntimeMissing(runtime="openvino", reason="it does not run on CUDA devices")
        self._threads, self._side = place.threads, how.crop
        self._siblings: dict[int, OpenVinoNetwork] = {}  # for pictures of other sizes, see _at
        self._lock = Lock()
        self._compiled: Any = None
        self._free: SimpleQueue[Any] = SimpleQueue()
        self._bulk_lock = Lock()
        self._bulk: Any = None
        try:
            self._model = _folded(path, how, output)
            self._port = [port.any_name for port in self._model.outputs].index(output) if output else 0
        except (RuntimeError, ValueError) as error:
            raise UnsupportedNetwork(name=path.name, reason=str(error).strip().splitlines()[-1]) from error

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        if pixels.shape[1] != self._side:
            return self._at(pixels.shape[1]).run(pixels)
        pixels = np.ascontiguousarray(pixels)
        return self._run_few(pixels) if len(pixels) <= CHUNK // 2 else self._run_many(pixels)

    def _at(self, side: int) -> OpenVinoNetwork:
        """The same network for pictures of this size: a fixed shape runs faster than a dynamic one."""
        with self._lock:
            if side not in self._siblings:
                sibling = copy(self)
                sibling._model, sibling._side, sibling._siblings = self._model.clone(), side, {}
                sibling._model.reshape([-1, side, side, 3])
                sibling._compiled, sibling._free, sibling._lock = None, SimpleQueue(), Lock()
                sibling._bulk, sibling._bulk_lock = None, Lock()
                self._siblings[side] = sibling
            return self._siblings[side]

    def _compile(self, hint: str) -> Any:
        # No pinning: several processes on one machine would all pin to the same cores.
        options: dict[str, Any] = {"PERFORMANCE_HINT": hint, "ENABLE_CPU_PINNING": False}
        if self._threads:
            options["INFERENCE_NUM_THREADS"] = self._threads
        return ov.Core().compile_model(self._model, "CPU", options)

    def _request(self) -> Any:
        try:
            return self._free.get_nowait()
        except Empty:
            with self._lock:
                if self._compiled is None:
                    self._compiled = self._compile("LATENCY")
            return self._compiled.create_infer_request()

    def _run_few(self, pixels: Pixels) -> NDArray[np.float32]:
        request = self._request()  # one caller each: a request is not safe to share between threads
        try:
            request.infer({0: pixels}, share_inputs=True)
            return np.array(request.get_output_tensor(self._port).data, np.float32)
        finally:
            self._free.put(request)

    def _run_many(self, pixels: Pixels) -> NDArray[np.float32]:
        with self._bulk_lock:
            if self._bulk is None:
                self._bulk = ov.AsyncInferQueue(self._compile("THROUGHPUT"))
                self._bulk.set_callback(_keep)
            parts: Parts = {}
            for start in range(0, len(pixels), CHUNK):
                chunk = pixels[start : start + CHUNK]
                self._bulk.start_async({0: chunk}, (parts, start, self._port), share_inputs=True)
            self._bulk.wait_all()
        result = np.concatenate([parts[start] for start in sorted(parts)])
        parts.clear()  # the queue holds on to it until its next use
        return result
