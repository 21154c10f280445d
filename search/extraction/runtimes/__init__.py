"""Run one network on one device. Each runtime takes uint8 pixels, so normalising can be part of the network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.extraction.errors import RuntimeMissing
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.spec import Runtime

# Descriptors of float32, bfloat16 and float16 may be mixed; those of a class of another name may not.
FLOAT = "float"
DEVICES = ("auto", "cpu", "cuda", "tensorrt")


class Network(Protocol):
    """``precision`` names the class of arithmetic (see FLOAT). ``run`` may be called from several threads."""

    precision: str

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 (n, side, side, 3), n >= 1 -> (n, c, h, w) or (n, c). Any side that the network can take."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a network runs and where its files lie. device: of DEVICES; threads 0: all cores."""

    device: str = "auto"
    threads: int = 0
    weights_dir: Path | None = None


def has_cuda_provider() -> bool:
    if find_spec("onnxruntime") is None:
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def choose(runtime: Runtime, device: str) -> Runtime:
    """What ``auto`` means here: a GPU through ONNX Runtime if its build has CUDA, else OpenVINO, else ONNX Runtime."""
    if runtime is not Runtime.AUTO:
        return runtime
    if device in ("cuda", "tensorrt") or (device == "auto" and has_cuda_provider()):
        return Runtime.ONNX
    return Runtime.OPENVINO if find_spec("openvino") else Runtime.ONNX


def open_onnx(path: Path, how: Preprocessing, runtime: Runtime, place: Place, output: str = "") -> Network:
    """Open an ONNX file; ``output`` names one of its outputs, else the first is taken."""
    chosen = choose(runtime, place.device)
    if chosen is Runtime.TORCH:
        raise RuntimeMissing(runtime="torch", reason="it cannot run an ONNX file")
    package = {Runtime.OPENVINO: "openvino", Runtime.ONNX: "onnxruntime"}[chosen]
    if find_spec(package) is None:
        raise RuntimeMissing(runtime=chosen.value, reason=f"the package {package} is not installed")
    if chosen is Runtime.OPENVINO:
        from search.extraction.runtimes.openvino_runtime import OpenVinoNetwork

        return OpenVinoNetwork(path, how, place, output)
    from search.extraction.runtimes.onnx_runtime import OnnxNetwork

    return OnnxNetwork(path, how, place, output)
