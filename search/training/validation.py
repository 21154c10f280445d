"""How well held-out pictures find each other: leave-one-out mAP of their descriptors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from search.extraction.preprocess import Preprocessing
from search.extraction.spec import ExtractorSpec
from search.training import agreement
from search.training.descriptors import pooled
from search.training.pictures import Pictures
from search.training.precision import Arithmetic
from search.training.samples import Labels, Samples
from search.types import Descriptors

BATCH = 64
METRICS = ("mAP", "hit_rate@1")


def leave_one_out(x: Descriptors, samples: Samples) -> dict[str, float]:
    """mAP and hit_rate@1: each picture asks all others; relevant is what has its label.

    Pictures of the same bytes leave each other's rankings. ``x`` (n, dim), unit rows.
    """
    means = agreement.leave_one_out(x, samples.labels, samples.contents, METRICS).means
    return {name: means[name] or 0.0 for name in METRICS}


def describe(
    module: nn.Module,
    pictures: Pictures,
    places: Labels,
    how: Preprocessing,
    spec: ExtractorSpec,
    arithmetic: Arithmetic,
    on_batch: Callable[[], None] = lambda: None,
) -> Descriptors:
    """float32 (n, dim) of the pictures at ``places``, cut in the middle to ``how.crop``. Leaves the module in eval."""
    module.eval()
    edge = (pictures.side - how.crop) // 2
    inside = slice(edge, edge + how.crop)
    mean_, std = (torch.tensor(part, device=arithmetic.device).reshape(1, 3, 1, 1) for part in (how.mean, how.std))
    parts: list[Descriptors] = []
    with torch.inference_mode(), arithmetic.autocast():
        for first in range(0, len(places), BATCH):
            pixels = np.stack([pictures[int(place)][inside, inside] for place in places[first : first + BATCH]])
            batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            maps = module(arithmetic.normalised(batch, mean_, std))
            parts.append(pooled(maps, spec).float().cpu().numpy())
            on_batch()
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
