"""ONNX Runtime: any processor; CUDA and TensorRT where its GPU build is installed.

float32 on the CPU and on CUDA, float16 with TensorRT. A file with 8-bit weights and activations (QDQ) runs in 8 bits on
the CPU.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from search.extraction.errors import RuntimeMissing, UnsupportedNetwork
from search.extraction.preprocess import Pixels, Preprocessing, normalise
from search.extraction.runtimes import FLOAT, Place

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
WANTED = {"cuda": CUDA, "tensorrt": TENSORRT}
MOST = 64  # pictures at a time on a GPU; a TensorRT engine is built for up to so many
ENGINES = "tensorrt"  # in the weights folder: building an engine takes minutes
Provider = tuple[str, dict[str, Any]]


def providers(
    device: str, available: Collection[str], weights_dir: Path | None, side: int, port: str
) -> list[Provider]:
    """What a session is asked for, the first that can comes first. Raises RuntimeMissing.

    ``side``: of the usual pictures, pixels; ``port``: the name of the network's input.
    """
    wanted = WANTED.get(device)
    if wanted and wanted not in available:
        what = "CUDA" if wanted == CUDA else "TensorRT"
        raise RuntimeMissing(
            runtime="onnx", reason=f"this build of onnxruntime has no {what} provider, only {', '.join(available)}"
        )
    chosen: list[Provider] = [(TENSORRT, _tensorrt(weights_dir, side, port))] if wanted == TENSORRT else []
    if device != "cpu" and CUDA in available:
        chosen.append((CUDA, {}))
    return [*chosen, (CPU, {})]


def _tensorrt(weights_dir: Path | None, side: int, port: str) -> dict[str, Any]:
    """float16, and one engine for all batches and sizes: else it would build another for each new shape it meets."""
    shapes = {"min": (1, side // 4), "opt": (MOST // 2, side), "max": (MOST, side * 2)}
    options: dict[str, Any] = {"trt_fp16_enable": True}
    for name, (count, pixels) in shapes.items():
        options[f"trt_profile_{name}_shapes"] = f"{port}:{count}x3x{pixels}x{pixels}"
    if weights_dir is not None:
        folder = weights_dir / ENGINES
        folder.mkdir(parents=True, exist_ok=True)
        options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}
        options |= {"trt_timing_cache_enable": True, "trt_timing_cache_path": str(folder)}
    return options


class OnnxNetwork:
    """One session for all sizes. Any number of threads may call."""

    precision = FLOAT

    def __init__(self, path: Path, how: Preprocessing, place: Place, output: str = "") -> None:
        self._how = how
        try:
            self._session = _session(path, how, place)
        except RuntimeMissing:
            raise
        except Exception as error:  # its exception types are not public
            raise UnsupportedNetwork(name=path.name, reason=str(error).strip().splitlines()[-1]) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise UnsupportedNetwork(name=path.name, reason="it needs exactly one input of rank 4")
        names = [port.name for port in self._session.get_outputs()]
        if output and output not in names:
            raise UnsupportedNetwork(name=path.name, reason=f"it has no output {output}; it has {', '.join(names)}")
        self._input, self._output = inputs[0].name, output or names[0]
        batch = inputs[0].shape[0]
        self._batch = batch if isinstance(batch, int) else 0  # 0: any
        self._most = self._batch or (0 if self._session.get_providers()[0] == CPU else MOST)

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        step = self._most or len(pixels)
        parts = [self._run_batch(pixels[start : start + step]) for start in range(0, len(pixels), step)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _run_batch(self, pixels: Pixels) -> NDArray[np.float32]:
        count = len(pixels)
        if self._batch > count:  # a network exported for exactly so many: fill up, cut off
            pixels = np.concatenate([pixels, np.zeros((self._batch - count, *pixels.shape[1:]), np.uint8)])
        (result,) = self._session.run([self._output], {self._input: normalise(pixels, self._how)})
        return np.asarray(result, np.float32)[:count]


def _session(path: Path, how: Preprocessing, place: Place) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = place.threads
    options.log_severity_level = 3
    available = onnxruntime.get_available_providers()
    wanted = WANTED.get(place.device)
    port = _port(path) if wanted == TENSORRT and TENSORRT in available else ""
    asked = providers(place.device, available, place.weights_dir, how.crop, port)
    session = onnxruntime.InferenceSession(str(path), options, providers=asked)
    if wanted and wanted != session.get_providers()[0]:  # it falls back without a word
        reason = f"{wanted} did not start: look for its libraries and the driver"
        raise RuntimeMissing(runtime="onnx", reason=reason)
    return session


def _port(path: Path) -> str:
    """The name of the input, told by a session that computes nothing."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return str(onnxruntime.InferenceSession(str(path), options, providers=[CPU]).get_inputs()[0].name)
