"""ONNX Runtime: any processor, and CUDA where its GPU build is installed. float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from search.extraction.errors import RuntimeMissing, UnsupportedNetwork
from search.extraction.preprocess import Pixels, Preprocessing, normalise
from search.extraction.runtimes import FLOAT, Place, has_cuda_provider


def _providers(device: str) -> list[str]:
    if device == "cuda" and not has_cuda_provider():
        raise RuntimeMissing(runtime="onnx", reason="this build of onnxruntime has no CUDA provider")
    cuda = ["CUDAExecutionProvider"] if device != "cpu" and has_cuda_provider() else []
    return [*cuda, "CPUExecutionProvider"]


class OnnxNetwork:
    precision = FLOAT

    def __init__(self, path: Path, how: Preprocessing, place: Place, output: str = "") -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = place.threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=_providers(place.device))
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
        self._how = how

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        step = self._batch or len(pixels)
        parts = [self._run_batch(pixels[start : start + step]) for start in range(0, len(pixels), step)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _run_batch(self, pixels: Pixels) -> NDArray[np.float32]:
        count = len(pixels)
        if self._batch > count:  # a network exported for exactly so many: fill up, cut off
            pixels = np.concatenate([pixels, np.zeros((self._batch - count, *pixels.shape[1:]), np.uint8)])
        (result,) = self._session.run([self._output], {self._input: normalise(pixels, self._how)})
        return np.asarray(result, np.float32)[:count]
