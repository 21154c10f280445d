"""The extractor's last steps in torch, so that what is trained is what is searched with.

A test holds them to search.extraction.pooling, number for number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from search.extraction.pooling import EPSILON, regions
from search.extraction.spec import ExtractorSpec, Pooling

ROUND = 1e-4  # below it the signed power is straight: a square root has no slope at 0


def pooled(maps: Tensor, spec: ExtractorSpec) -> Tensor:
    """(n, c, h, w) or (n, c), any float -> unit vectors float32 (n, c)."""
    return functional.normalize(signed_power(pool(maps.float(), spec.pooling, spec.gem_p), spec.power), dim=1)


def pool(maps: Tensor, pooling: Pooling, gem_p: float) -> Tensor:
    """As search.extraction.pooling.pool."""
    if maps.ndim == 2:
        return maps
    if pooling is Pooling.MAX:
        return maps.amax((2, 3))
    if pooling is Pooling.RMAC:
        places = regions(maps.shape[2], maps.shape[3])
        parts = [maps[:, :, y : y + high, x : x + wide].amax((2, 3)) for y, x, high, wide in places]
        return torch.stack([functional.normalize(part, dim=1) for part in parts]).sum(0)
    if pooling is Pooling.GEM:
        positive = maps.clamp(min=EPSILON)
        top = positive.amax((2, 3), keepdim=True).detach()
        return top[:, :, 0, 0] * (positive / top).pow(gem_p).mean((2, 3)).pow(1 / gem_p)
    return maps.mean((2, 3))


def signed_power(x: Tensor, power: float) -> Tensor:
    """sign(x) |x|^power, with a finite slope at 0."""
    return x if power == 1.0 else x * torch.hypot(x, torch.full_like(x, ROUND)).pow(power - 1)
