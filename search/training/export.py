"""A torch trunk -> NAME.onnx and its card NAME.json, checked against torch before anybody sees them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop
from search.extraction.preprocess import Pixels, Preprocessing, normalise
from search.extraction.runtimes.torch_runtime import export_onnx
from search.training.onnx_files import halve, save_whole, write_whole

MIN_COSINE = 0.9999
OUTPUT = "features"
CHECKED = 6  # pictures
STRIDE = 32  # of the usual networks: a second size that fits it is checked too


class ExportDiffers(LookalikeError):
    code = "export_differs"
    text = gettext_noop(
        "The exported network differs from torch at %(side)d x %(side)d pixels: cosine %(cosine)s, less than %(least)s."
    )
    cure = gettext_noop(
        "Keep the weights in float32 (half=False), or fix the size (any_size=False) if it differs at one size alone."
    )
    status = 500


def export_trunk(
    module: Any,
    path: Path,
    how: Preprocessing,
    card: Mapping[str, object] | None = None,
    *,
    half: bool = True,
    any_size: bool = True,
    pictures: Pixels | None = None,
) -> Path:
    """Write ``path`` (NAME.onnx: dynamic batch and size) and NAME.json beside it; returns ``path``.

    ``module``: normalised float (n, 3, h, w) -> map (n, c, h', w') or vectors (n, c), as it is in evaluation mode.
    ``how`` and ``card`` make up the card: what the backbone family "onnx" reads. ``half``: large weights are stored
    in float16 and widened when the file is opened. ``pictures``: uint8 (n, crop, crop, 3) to check parity on;
    made-up ones if there are none. Raises ExportDiffers, and writes nothing then.
    """
    module = module.cpu().eval()
    pictures = made_up(CHECKED, how.crop) if pictures is None else pictures[:CHECKED]
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        raw = Path(folder) / "network.onnx"
        export_onnx(module, raw, how.crop, any_size=any_size)
        model = onnx.load(raw)
        model = halve(model) if half else model
        onnx.save(model, raw)
        parity = {side: _checked(module, raw, how, side, pictures) for side in _sides(how.crop, any_size)}
    facts = {**how.as_dict(), "output": OUTPUT, "parity": {str(side): round(c, 6) for side, c in parity.items()}}
    write_whole(path.with_suffix(".json"), json.dumps({**card, **facts} if card else facts, indent=1).encode())
    save_whole(model, path)
    return path


def _sides(crop: int, any_size: bool) -> list[int]:
    """Sizes to check at: the usual one and, where any will do, one that is not square's neighbour."""
    other = max(STRIDE, crop * 3 // 4 // STRIDE * STRIDE)
    return [crop, other] if any_size and other != crop else [crop]


def _checked(module: Any, path: Path, how: Preprocessing, side: int, pictures: Pixels) -> float:
    """The smallest cosine over the pictures; raises ExportDiffers where it is too small."""
    inputs = normalise(_cut(pictures, side), how)
    cosine = float(parity(_torch(module, inputs), _onnx(path, inputs)).min())
    if not cosine >= MIN_COSINE:  # not "<": NaN differs too
        raise ExportDiffers(side=side, cosine=f"{cosine:.6f}", least=MIN_COSINE)
    return cosine


def _cut(pictures: Pixels, side: int) -> Pixels:
    start = (pictures.shape[1] - side) // 2
    return np.ascontiguousarray(pictures[:, start : start + side, start : start + side])


def _torch(module: Any, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(inputs)).float().numpy(), np.float32)


def _onnx(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 through and through, unlike OpenVINO on a processor with bfloat16."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (result,) = session.run([OUTPUT], {session.get_inputs()[0].name: inputs})
    return np.asarray(result, np.float32)


def parity(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines of two networks' outputs for the same pictures, (n, ...) twice -> (n,): the lower of whole and mean.

    The whole map, place by place, and its mean over places, which is what most descriptors are made of.
    """
    if a.shape != b.shape:
        return np.zeros(len(a))
    whole = _cosines(a.reshape(len(a), -1), b.reshape(len(b), -1))
    return np.minimum(whole, _cosines(a.mean((2, 3)), b.mean((2, 3)))) if a.ndim == 4 else whole


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosines = (x * y).sum(axis=1) / np.maximum(lengths, 1e-300)
    return np.asarray(np.where((x == y).all(axis=1), 1.0, cosines))  # zeros are like zeros


def made_up(count: int, side: int, seed: int = 0) -> Pixels:
    """uint8 (count, side, side, 3): smooth shapes, edges and grain, for where there are no pictures."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    pictures = np.empty((count, side, side, 3), np.uint8)
    for picture in pictures:
        waves = [_wave(rng, x, y) for _ in range(3)]
        light = np.stack(waves, axis=-1) + rng.normal(0, 0.05, (side, side, 3))
        picture[:] = np.clip(255 * light, 0, 255)
    return pictures


def _wave(rng: np.random.Generator, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    across, down, phase = rng.uniform(-9, 9), rng.uniform(-9, 9), rng.uniform(0, 7)
    smooth = 0.5 + 0.5 * np.sin(across * x + down * y + phase)
    return np.where(smooth > rng.uniform(0.3, 0.9), rng.uniform(), smooth)
