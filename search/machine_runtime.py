"""Which runtime "auto" means on this machine: what ``manage.py benchmark runtimes --choose`` found, while it holds."""

from __future__ import annotations

import json
import logging
import os
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings

from search.extraction.spec import Runtime

log = logging.getLogger(__name__)

NAME = "runtime.json"  # in DATA_DIR
PACKAGES = ("openvino", "onnxruntime", "onnxruntime-gpu", "torch")


def chosen_path() -> Path:
    return Path(settings.DATA_DIR) / NAME


def machine() -> dict[str, Any]:
    """What a choice was measured on. Another processor, device or library version, and it counts no more."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": settings.EXTRACTION_DEVICE,
        "versions": {name: _version(name) for name in PACKAGES},
    }


def site_runtime() -> Runtime:
    """EXTRACTION_RUNTIME; where that is auto, what was chosen for this machine; AUTO where nothing was."""
    named = Runtime(settings.EXTRACTION_RUNTIME)
    if named is not Runtime.AUTO:
        return named
    try:
        path = chosen_path()
        return _chosen(path, path.stat().st_mtime_ns)
    except OSError:
        return named


def runtime_choose(runtime: Runtime, figures: list[dict[str, Any]], path: Path | None = None) -> Path:
    """Keep a choice, whole or not at all, with the figures that it was made by."""
    path = path or chosen_path()
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"runtime": runtime.value, "machine": machine(), "figures": figures}, indent=1))
    new.replace(path)
    return path


@lru_cache(maxsize=1)
def _chosen(path: Path, changed: int) -> Runtime:
    """``changed``: so that a new file is read."""
    try:
        content = json.loads(path.read_text())
        runtime, measured_on = Runtime(content["runtime"]), content["machine"]
    except (ValueError, KeyError, TypeError):
        log.warning("%s is not what benchmark --choose writes; it is ignored", path)
        return Runtime.AUTO
    if measured_on != machine():
        log.info("%s was measured on another machine or with other libraries; it is ignored", path)
        return Runtime.AUTO
    return runtime


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    facts = {key.strip(): value.strip() for key, value in found.items()}
    model, flags = facts.get("model name", os.uname().machine), set(facts.get("flags", "").split())
    return f"{model} {' '.join(sorted(flags & {'amx_tile', 'amx_bf16', 'amx_int8', 'avx512f', 'avx2'}))}".strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
