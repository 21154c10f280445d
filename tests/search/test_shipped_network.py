"""The network that ships: there, small, the same in torch and ONNX."""

from __future__ import annotations

import json

import numpy as np
import pytest

from search.extraction.backbones.lookalike import FOLDER
from search.extraction.extractor import build_extractor
from search.extraction.spec import ExtractorSpec
from tests import factories

MEGABYTE = 1_000_000


def test_it_is_small_and_says_what_it_is_made_of() -> None:
    card = json.loads((FOLDER / "lookalike.json").read_text())
    assert {path.suffix: path.stat().st_size < 8 * MEGABYTE for path in FOLDER.glob("lookalike.*")} == {
        ".json": True,
        ".md": True,
        ".onnx": True,
        ".safetensors": True,
    }
    assert card["dim"] == 512
    assert card["licence"]
    assert card["facts"]["teachers"] == ["mobilenet_v1", "mobilenet_edgetpu"]
    assert card["facts"]["seed"] == 0


@pytest.mark.torch
def test_the_onnx_file_is_the_torch_network() -> None:
    import torch

    from search.training.student import load

    extractor = build_extractor(ExtractorSpec("lookalike"), threads=1)
    pixels = np.stack([extractor.prepare(factories.draw(seed, (300, 200))) for seed in range(4)])
    with torch.inference_mode():
        maps = load(FOLDER / "lookalike.safetensors")(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1)
    expected = torch.nn.functional.normalize(maps.mean((2, 3))).numpy()
    assert (extractor.describe(pixels) * expected).sum(1).min() > 0.998  # bfloat16 where there is AMX
