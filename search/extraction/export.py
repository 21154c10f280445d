"""A torchvision network as an ONNX file, made by a child process so that torch never enters this one.

``python -m search.extraction.export`` reads a job as JSON from its input and answers with the last line of its
output: {} or {"error": name, "params": {...}}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.extraction import errors
from search.extraction.backbones import torchvision as family
from search.extraction.errors import ExtractionError, RuntimeMissing
from search.extraction.runtimes import Place
from search.extraction.spec import ExtractorSpec
from search.extraction.weights import locate

TIMEOUT_S = 1800  # torchvision may have to download its weights in it
ROOT = Path(__file__).resolve().parents[2]
NETWORK, CARD = "network.onnx", "network.json"


@contextmanager
def exported(spec: ExtractorSpec, place: Place) -> Iterator[Path]:
    """A folder with the network and its card: kept in the weights folder, or for this once if there is none."""
    weights = spec.weights or "default"
    if weights not in ("default", "none"):
        path, weights = locate(spec.weights, spec.weights_sha256, place.weights_dir)
        spec = replace(spec, weights=str(path), weights_sha256=weights)
    if place.weights_dir is None:
        with tempfile.TemporaryDirectory() as name:
            _export(spec, Path(name), None)
            yield Path(name)
        return
    folder = place.weights_dir / "torchvision" / f"{spec.backbone}-{family.export_key(spec, weights)}"
    if not (folder / NETWORK).is_file():
        _export_into(folder, spec, place.weights_dir)
    yield folder


def _export_into(folder: Path, spec: ExtractorSpec, weights_dir: Path) -> None:
    """Export beside ``folder`` and rename, so that it is there whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as name:
        whole = Path(name) / "whole"
        whole.mkdir()
        _export(spec, whole, weights_dir)
        try:
            whole.rename(folder)
        except OSError:
            if not (folder / NETWORK).is_file():  # else another process was first
                raise


def _export(spec: ExtractorSpec, folder: Path, weights_dir: Path | None) -> None:
    family.require_torchvision()
    job = {
        "backbone": spec.backbone,
        "layer": spec.layer,
        "weights": spec.weights,
        "weights_sha256": spec.weights_sha256,
        "folder": str(folder),
        "weights_dir": None if weights_dir is None else str(weights_dir),
    }
    child = subprocess.run(  # noqa: S603  (our own module)
        [sys.executable, "-m", __name__],
        input=json.dumps(job),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    _raise_for(child)


def _raise_for(child: subprocess.CompletedProcess[str]) -> None:
    lines = child.stdout.strip().splitlines()
    if child.returncode or not lines:
        last = (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        raise RuntimeMissing(runtime="torch", reason=f"the export failed: {last}")
    answer: dict[str, Any] = json.loads(lines[-1])
    if "error" in answer:
        error: type[ExtractionError] = getattr(errors, answer["error"])
        raise error(**answer["params"])


def run_job(job: dict[str, Any]) -> None:
    """In the child: build the network with torch and write it with its card."""
    from search.extraction.runtimes.torch_runtime import export_onnx

    spec = ExtractorSpec(job["backbone"], job["layer"], job["weights"], job["weights_sha256"])
    weights_dir = None if job["weights_dir"] is None else Path(job["weights_dir"])
    module, how, identity = family.build(spec, weights_dir)
    folder = Path(job["folder"])
    any_size = not spec.backbone.startswith(family.FIXED_SIZE)
    export_onnx(module, folder / NETWORK, how.crop, any_size=any_size)
    (folder / CARD).write_text(json.dumps({"identity": identity, "preprocessing": how.as_dict()}, indent=1))


def main() -> None:
    try:
        run_job(json.load(sys.stdin))
        answer: dict[str, Any] = {}
    except ExtractionError as error:
        answer = {"error": type(error).__name__, "params": {key: str(value) for key, value in error.params.items()}}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
