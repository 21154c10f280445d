"""Every runtime of this machine on the same networks and pictures, in the same rounds; the choice of the best."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from catalog.errors import LookalikeError
from search.benchmarking import Job, Report
from search.benchmarking.networks import Named, extractor, in_eight_bits, labels_of, networks, prepared
from search.extraction.extractor import Extractor
from search.extraction.preprocess import Pixels
from search.extraction.runtimes import choose as meant_by
from search.extraction.spec import Runtime
from search.machine_runtime import runtime_choose
from search.training.agreement import average_precisions, cosines
from search.types import Descriptors

SINGLES = 200  # pictures answered one by one, in all rounds
AS_GOOD = 0.999  # mean cosine with the float32 reference
GPU = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}


@dataclass
class Side:
    """One network in one runtime on one device, and what was measured of it."""

    network: Named
    runtime: Runtime
    device: str
    open: Extractor
    descriptors: Descriptors | None = None
    bulk: list[float] = field(default_factory=list)  # seconds a round
    core: list[float] = field(default_factory=list)  # seconds of all cores a round
    single: list[float] = field(default_factory=list)  # seconds a picture

    @property
    def name(self) -> str:
        return f"{self.runtime.value}, {self.device}"


def measure(job: Job) -> Report:
    """``job.rounds`` rounds, each side once in each: all pictures in bulk, then some of them one by one."""
    with tempfile.TemporaryDirectory(prefix="runtimes-") as folder:
        chosen = networks(job, Path(settings.WEIGHTS_ROOT))
        if job.eight_bits:
            chosen = [one for named in chosen for one in (named, in_eight_bits(named, job, Path(folder)))]
        rows: list[dict[str, Any]] = []
        notes = [f"{len(job.pictures)} pictures, decoded and cut before; {job.rounds} rounds"]
        for named in chosen:
            found, said = _measured(named, job)
            rows += found
            notes += said
    notes += _choice(rows, job.choose_into) if job.choose_into else []
    return Report("Runtimes: the network alone", rows, notes)


def _measured(named: Named, job: Job) -> tuple[list[dict[str, Any]], list[str]]:
    sides, notes = _sides(named)
    if not sides:
        return [], notes
    pixels = np.stack([*prepared(job.pictures, sides[0].open.preprocessing)])
    reference, told = _reference(named, sides, pixels)
    for side in sides:
        side.descriptors = side.open.describe(pixels)  # warm, and what its rows are compared by
        side.open.describe(pixels[:1])
    for number in range(1, job.rounds + 1):
        for side in sides:
            _round(side, pixels, max(1, min(SINGLES, job.queries) // job.rounds))
            print(f"{named.name}, round {number} of {job.rounds}, {side.name}: {side.bulk[-1]:.2f} s", file=sys.stderr)
    return [_row(side, reference, job) for side in sides], [*notes, f"{named.name}: cosines with {told}"]


def _sides(named: Named) -> tuple[list[Side], list[str]]:
    found, notes = [], []
    for runtime, device in _runtimes():
        try:
            found.append(Side(named, runtime, device, extractor(named, runtime, device)))
        except LookalikeError as error:
            notes.append(f"{named.name}, {runtime.value}, {device}: not measured. {error}")
    return found, notes


def _runtimes() -> Iterable[tuple[Runtime, str]]:
    """What is installed, on each device it can use here."""
    if find_spec("openvino"):
        yield Runtime.OPENVINO, "cpu"
    if find_spec("onnxruntime"):
        import onnxruntime

        yield Runtime.ONNX, "cpu"
        yield from ((Runtime.ONNX, GPU[name]) for name in onnxruntime.get_available_providers() if name in GPU)
    if find_spec("torch"):
        yield Runtime.TORCH, "cpu" if settings.EXTRACTION_DEVICE == "cpu" else "auto"


def _reference(named: Named, sides: list[Side], pixels: Pixels) -> tuple[Descriptors, str]:
    """float32 descriptors: by torch on the CPU where it can, else by ONNX Runtime."""
    for runtime in (Runtime.TORCH, Runtime.ONNX):
        known = [side for side in sides if side.runtime is runtime]
        if known:
            on_cpu = known[0].open if known[0].device == "cpu" else extractor(named, runtime, "cpu")
            return on_cpu.describe(pixels), f"{runtime.value} in float32"
    return sides[0].open.describe(pixels), f"{sides[0].name}, for there is no float32 here"


def _round(side: Side, pixels: Pixels, singles: int) -> None:
    start, core = time.perf_counter(), time.process_time()
    side.open.describe(pixels)
    side.bulk.append(time.perf_counter() - start)
    side.core.append(time.process_time() - core)
    for place in range(singles):
        at = (len(side.single) + place) % len(pixels)
        start = time.perf_counter()
        side.open.describe(pixels[at : at + 1])
        side.single.append(time.perf_counter() - start)


def _row(side: Side, reference: Descriptors, job: Job) -> dict[str, Any]:
    assert side.descriptors is not None
    count, alike = len(job.pictures), cosines(reference, side.descriptors)
    row: dict[str, Any] = {
        "network": side.network.name,
        "runtime": side.runtime.value,
        "device": side.device,
        "pictures/s": round(count / statistics.median(side.bulk), 1),
        "core ms": round(1000 * statistics.median(side.core) / count, 2),
        "one picture, ms": round(1000 * statistics.median(side.single), 2),
        "p99": round(1000 * float(np.quantile(side.single, 0.99)), 2),
        "cosine": round(float(alike.mean()), 5),
        "least": round(float(alike.min()), 5),
    }
    labels = labels_of(job.pictures)
    if labels is not None:
        row |= {"mAP": _map(side.descriptors, labels), "mAP in float32": _map(reference, labels)}
    return row


def _map(x: Descriptors, labels: Any) -> float:
    values = [value for value in average_precisions(x, labels, np.arange(len(x))).values() if value is not None]
    return round(float(np.mean(values)), 4)


def _choice(rows: list[dict[str, Any]], path: str) -> list[str]:
    """Keep the fastest runtime that is as good on every float network; what is said about it."""
    wanted = {row["network"] for row in rows if not row["network"].endswith("in 8 bits")}
    speeds: dict[str, float] = {}
    for runtime in (Runtime.OPENVINO, Runtime.ONNX):  # torch cannot open an ONNX file, and the site would load it
        device = _device_of(runtime)
        mine = {row["network"]: row for row in rows if (row["runtime"], row["device"]) == (runtime.value, device)}
        if wanted and wanted <= set(mine) and all(mine[name]["cosine"] >= AS_GOOD for name in wanted):
            speeds[runtime.value] = float(np.exp(np.mean([np.log(mine[name]["pictures/s"]) for name in wanted])))
    if not speeds:
        return [f"nothing was chosen: no runtime opens every network with a mean cosine of {AS_GOOD}"]
    best = max(speeds, key=lambda name: speeds[name])
    runtime_choose(Runtime(best), rows, Path(path))
    return [f"chosen for this machine: {best}; kept in {path}, counts until processor, device or libraries change"]


def _device_of(runtime: Runtime) -> str:
    """Where the site would run it."""
    device: str = settings.EXTRACTION_DEVICE
    if runtime is Runtime.OPENVINO:
        return "cpu"
    if device == "auto":
        return "cuda" if meant_by(Runtime.AUTO, "auto") is Runtime.ONNX and find_spec("openvino") else "cpu"
    return device
