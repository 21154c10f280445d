"""What is measured, one file a benchmark, found by being there: a module with ``measure(job) -> Report``."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any, Protocol, cast


@dataclass
class Job:
    """JPEG files, ONNX files, descriptors, and how much to measure."""

    pictures: list[str]
    weights: list[str] = field(default_factory=list)
    rounds: int = 5
    gallery: int = 10_000
    queries: int = 1000
    descriptors: str = ""  # a folder that make_descriptors wrote
    peers: str = ""  # an interpreter that has other libraries
    factories: list[str] = field(default_factory=list)
    target: float = 0.95  # ann_recall@10
    models: list[dict[str, Any]] = field(default_factory=list)  # feature models: name, spec, weights_dir
    eight_bits: bool = False  # each network in 8 bits too
    choose_into: str = ""  # file that keeps the best runtime


@dataclass
class Report:
    """``rows`` of one table; ``notes`` say what it does not show."""

    title: str
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


class Benchmark(Protocol):
    def measure(self, job: Job) -> Report: ...


def names() -> list[str]:
    """Modules here that measure something: those called bench_NAME."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name.removeprefix("bench_") for name in found if name.startswith("bench_")]


def benchmark(name: str) -> Benchmark:
    return cast(Benchmark, importlib.import_module(f"{__name__}.bench_{name}"))
