"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("openvino", "onnxruntime", "faiss-cpu", "numpy", "pillow", "django", "torch", "torchvision")


def facts() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_at_start": round(os.getloadavg()[0], 2),
        "precision": _precision(),
        "python": platform.python_version(),
        "system": platform.platform(aliased=True, terse=True),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _precision() -> str:
    """What OpenVINO computes in here by default."""
    try:
        import openvino
    except ImportError:
        return "float32"
    return str(openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT")).split("'")[1]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
