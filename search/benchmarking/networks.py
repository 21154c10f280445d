"""What networks a benchmark measures, and the same network in several runtimes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from search.benchmarking import Job
from search.extraction import backbones
from search.extraction.backbones import lookalike, torchvision
from search.extraction.extractor import Extractor
from search.extraction.network_files import network_file
from search.extraction.preprocess import Pixels, Preprocessing, prepare
from search.extraction.runtimes import Place
from search.extraction.spec import ExtractorSpec, Pooling, Runtime

CALIBRATED_ON = 24  # pictures, for a network that is quantised only to be timed


@dataclass(frozen=True)
class Named:
    """A network by the name it has in the table. ``weights_dir``: where its files lie."""

    name: str
    spec: ExtractorSpec
    weights_dir: Path


def networks(job: Job, weights_root: Path) -> list[Named]:
    """Those that were asked for; else ResNet50 with random weights (where torchvision is there) and what ships."""
    found = [Named(one["name"], _spec(one["spec"]), Path(one["weights_dir"])) for one in job.models]
    found += [Named(Path(path).stem, ExtractorSpec("onnx", weights=path), weights_root) for path in job.weights]
    if not job.models:
        shipped = [Named(name, ExtractorSpec(name), weights_root) for name in lookalike.names()]
        # Random weights: the same work for the processor as trained ones.
        resnet = [Named("resnet50", ExtractorSpec("resnet50", weights="none"), weights_root)]
        found = [*(resnet if find_spec("torchvision") else []), *shipped, *found]
    return found


def in_eight_bits(named: Named, job: Job, folder: Path) -> Named:
    """The network quantised on the pictures at hand: its speed is that of a well calibrated one."""
    from search.training.onnx_files import write_whole
    from search.training.quantise import quantise

    with network_file(named.spec, named.weights_dir) as source:
        pictures = list(prepared(job.pictures[:CALIBRATED_ON], source.how))
        path = folder / f"{named.name.replace('/', '-')}-8-bits.onnx"
        quantise(source.path, pictures, source.how, path, output=source.output, method="minmax")
        write_whole(path.with_suffix(".json"), json.dumps(source.how.as_dict()).encode())
    spec = replace(named.spec, backbone="onnx", layer="", weights=str(path), weights_sha256="", preprocessing={})
    return Named(f"{named.name} in 8 bits", spec, folder)


def prepared(files: list[str], how: Preprocessing) -> Iterator[Pixels]:
    for file in files:
        with Image.open(file) as picture:
            yield prepare(picture, how)


def extractor(named: Named, runtime: Runtime, device: str) -> Extractor:
    """The extractor in this runtime. Raises ExtractionError subclasses, and what opening a trunk raises."""
    spec, place = replace(named.spec, runtime=runtime), Place(device, 0, named.weights_dir)
    if runtime is not Runtime.TORCH or spec.backbone in torchvision.AT:
        return Extractor(backbones.load(spec, place), spec)
    from search.extraction.runtimes.torch_runtime import TorchNetwork
    from search.training.trunks import trunk_of

    trunk = trunk_of(named.spec, named.weights_dir)
    network = TorchNetwork(trunk.module, trunk.preprocessing, place)
    return Extractor(backbones.Backbone(network, trunk.preprocessing, "torch"), spec)


def labels_of(files: list[str]) -> Any:
    """The folder of each file as a number, (n,); None where they do not tell at least two kinds apart."""
    _, labels, counts = np.unique([str(Path(file).parent) for file in files], return_inverse=True, return_counts=True)
    return labels.astype(np.int64) if (counts > 1).sum() > 1 else None


def _spec(values: dict[str, Any]) -> ExtractorSpec:
    """What JSON made plain, as it was."""
    pooling, runtime = Pooling(values["pooling"]), Runtime(values["runtime"])
    return ExtractorSpec(**{**values, "scales": tuple(values["scales"]), "pooling": pooling, "runtime": runtime})
