"""The views of a picture that one descriptor is made of: several sizes, and their mirror images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image

from search.extraction.errors import BadConfiguration
from search.extraction.preprocess import FILTERS, Pixels

SMALLEST_SCALE, LARGEST_SCALE, MOST_SCALES = 0.25, 2.0, 5
# How much the usual networks reduce a picture: at a multiple of it, no strip along an edge is left out.
STRIDE = 32


@dataclass(frozen=True)
class Views:
    """``sides`` in pixels, the largest first; ``flip``: each once more, mirrored left to right."""

    sides: tuple[int, ...]
    flip: bool = False

    def of(self, pixels: Pixels, interpolation: str) -> Iterator[Pixels]:
        """Pictures at the largest size, uint8 (n, side, side, 3) -> the same ones in each view."""
        for side in self.sides:
            view = pixels if side == pixels.shape[1] else resized(pixels, side, interpolation)
            yield view
            if self.flip:
                yield np.ascontiguousarray(view[:, :, ::-1])


def sides_of(crop: int, scales: Sequence[float]) -> tuple[int, ...]:
    """The input sizes that ``scales`` of a network's own size come to, the largest first, each once.

    Scale 1 is ``crop`` itself, the others the nearest multiple of 32 pixels. Raises BadConfiguration.
    """
    check_scales(scales)
    sides = {crop if scale == 1 else max(1, int(crop * scale / STRIDE + 0.5)) * STRIDE for scale in scales}
    return tuple(sorted(sides or {crop}, reverse=True))


def check_scales(scales: object) -> None:
    """Raises BadConfiguration where they are not at most five numbers between 0.25 and 2."""
    given = scales if isinstance(scales, list | tuple) else None
    if given is None or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in given):
        raise BadConfiguration(reason=f"scales={scales!r} is not a list of numbers such as [1, 0.7071]")
    if len(given) > MOST_SCALES:
        raise BadConfiguration(reason=f"{len(given)} scales are more than {MOST_SCALES}")
    for scale in given:
        if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
            raise BadConfiguration(reason=f"the scale {scale} is not between {SMALLEST_SCALE} and {LARGEST_SCALE:g}")


def resized(pixels: Pixels, side: int, interpolation: str) -> Pixels:
    """uint8 (n, h, w, 3) -> (n, side, side, 3)."""
    shape = (side, side)
    pictures = (PIL.Image.fromarray(one).resize(shape, FILTERS[interpolation]) for one in pixels)
    return np.stack([np.asarray(picture) for picture in pictures])
