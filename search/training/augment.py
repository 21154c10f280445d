"""A picture as it might also have been taken: cropped, mirrored, lit otherwise, partly hidden.

What happens to a picture is drawn first, from a generator of its own, and done later, in whatever thread: a batch is
a function of seed, step and place, so a training that goes on after a kill sees the same pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from search.extraction.preprocess import Pixels

Box = tuple[int, int, int, int]  # top, left, height, width
RATIO = 4 / 3
HUE_SHARE = 0.4  # of pictures at full strength: turning the hue costs ten times what the rest does


@dataclass(frozen=True)
class Draw:
    """What is done to one picture. ``erased``: a rectangle of the result, and the grey it becomes."""

    crop: Box
    mirrored: bool
    brightness: float
    contrast: float
    saturation: float
    hue: float
    erased: Box | None
    grey: float


def generator(seed: int, step: int, place: int) -> np.random.Generator:
    return np.random.default_rng([seed, 3, step, place])


def draw(rng: np.random.Generator, side: int, out: int, strength: float) -> Draw:
    """Random resized crop, flip, colour jitter and erasing; strength 0: the whole picture, 1: hard to recognise.

    Crop: Szegedy et al., Going deeper with convolutions, CVPR 2015, section 6. Erasing: Zhong et al., Random erasing
    data augmentation, AAAI 2020. Half strength is about what papers on retrieval use.
    """
    jitter = 0.6 * strength
    brightness, contrast, saturation = (float(factor) for factor in rng.uniform(1 - jitter, 1 + jitter, 3))
    crop = _area(rng, side, (1 - 0.9 * strength, 1.0), strength)
    mirrored = bool(strength and rng.random() < 0.5)
    hue = float(rng.uniform(-0.1, 0.1) * strength) if rng.random() < HUE_SHARE * strength else 0.0
    erased = _area(rng, out, (0.02, 0.25), 1.0) if rng.random() < 0.5 * strength else None
    return Draw(crop, mirrored, brightness, contrast, saturation, hue, erased, float(rng.random()))


def _area(rng: np.random.Generator, side: int, share: tuple[float, float], stretch: float) -> Box:
    """A rectangle of ``side`` x ``side`` with a share of its area, sides at most RATIO : 1 where ``stretch`` is 1."""
    area = side * side * rng.uniform(*share)
    ratio = math.exp(rng.uniform(-1, 1) * stretch * math.log(RATIO))
    high, wide = (max(1, min(side, round(length))) for length in (math.sqrt(area / ratio), math.sqrt(area * ratio)))
    return int(rng.integers(0, side - high + 1)), int(rng.integers(0, side - wide + 1)), high, wide


def apply(pixels: Pixels, how: Draw, out: int) -> Tensor:
    """uint8 (side, side, 3) -> uint8 (3, out, out)."""
    picture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
    picture = functional.resized_crop(picture, *how.crop, size=[out, out], antialias=True)
    if how.mirrored:
        picture = functional.horizontal_flip(picture)
    picture = _coloured(picture, how)
    if how.erased is not None:
        top, left, high, wide = how.erased
        grey = torch.full((3, 1, 1), round(255 * how.grey), dtype=torch.uint8)
        picture = functional.erase(picture, top, left, high, wide, grey)
    return picture


def _coloured(picture: Tensor, how: Draw) -> Tensor:
    for change, by, none in (
        (functional.adjust_brightness, how.brightness, 1.0),
        (functional.adjust_contrast, how.contrast, 1.0),
        (functional.adjust_saturation, how.saturation, 1.0),
        (functional.adjust_hue, how.hue, 0.0),
    ):
        if by != none:
            picture = change(picture, by)
    return picture
