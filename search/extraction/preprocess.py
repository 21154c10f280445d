"""Picture -> network input, the same for gallery and query. Every parameter enters the fingerprint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from search.extraction.errors import BadConfiguration

Pixels = NDArray[np.uint8]  # (n, side, side, 3), RGB

FILTERS = {
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "lanczos": PIL.Image.Resampling.LANCZOS,
    "box": PIL.Image.Resampling.BOX,
}
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes ``crop`` x ``crop`` pixels and these become numbers: (pixel - mean) / std.

    fit "crop": the short side is resized to ``resize`` pixels, then the centre is cut out, as torchvision
    does for classification. fit "squash": the whole picture is resized to the square, shape ignored.
    ``mean`` and ``std`` are in pixel values, 0 to 255.
    """

    resize: int = 256
    crop: int = 224
    mean: Triple = (127.5, 127.5, 127.5)
    std: Triple = (127.5, 127.5, 127.5)
    interpolation: str = "bilinear"
    fit: str = "crop"

    def __post_init__(self) -> None:
        if not 8 <= self.crop <= 2048:
            raise BadConfiguration(reason=f"crop={self.crop} is not between 8 and 2048")
        if self.fit == "crop" and not self.crop <= self.resize <= 4096:
            raise BadConfiguration(reason=f"resize={self.resize} is less than crop={self.crop} or more than 4096")
        if self.fit not in ("crop", "squash"):
            raise BadConfiguration(reason=f"fit={self.fit!r} is neither crop nor squash")
        if self.interpolation not in FILTERS:
            raise BadConfiguration(reason=f"interpolation={self.interpolation!r} is none of {', '.join(FILTERS)}")
        if min(self.std) <= 0 or not all(map(math.isfinite, (*self.mean, *self.std))):
            raise BadConfiguration(reason="mean and std must be finite, and std above zero")

    @property
    def min_side(self) -> int:
        """Pixels that the short side of a decoded picture should keep at least."""
        return self.resize if self.fit == "crop" else self.crop

    def overridden(self, values: Mapping[str, Any]) -> Preprocessing:
        """A copy with ``values`` in place of the fields they name; BadConfiguration if one is none."""
        known = {field.name for field in fields(self)}
        if unknown := set(values) - known:
            raise BadConfiguration(
                reason=f"unknown preprocessing {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}"
            )
        return replace(self, **{name: _typed(name, value) for name, value in values.items()})

    def at(self, side: int) -> Preprocessing:
        """The same view of a picture at ``side`` x ``side`` pixels."""
        resize = max(side, round(self.resize * side / self.crop)) if self.fit == "crop" else self.resize
        return self if side == self.crop else replace(self, crop=side, resize=resize)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _typed(name: str, value: Any) -> Any:
    try:
        if name in ("mean", "std"):
            return _triple(value)
        if name not in ("resize", "crop"):
            return str(value)
        if isinstance(value, bool) or int(value) != float(value):
            raise ValueError
        return int(value)
    except (TypeError, ValueError):
        raise BadConfiguration(reason=f"preprocessing {name}={value!r} has the wrong form") from None


def _triple(value: Any) -> Triple:
    if isinstance(value, str):  # which is a sequence too
        raise ValueError
    numbers = [float(value)] * 3 if isinstance(value, int | float) else [float(number) for number in value]
    if len(numbers) != 3:
        raise ValueError
    return (numbers[0], numbers[1], numbers[2])


def source_box(width: int, height: int, how: Preprocessing) -> tuple[float, float, float, float]:
    """The part of the picture that is seen, in its own pixels: left, top, right, bottom.

    torchvision's arithmetic: long side int(resize * long / short), offset round((side - crop) / 2).
    """
    if how.fit == "squash":
        return (0.0, 0.0, float(width), float(height))
    short = min(width, height)
    wide, high = (how.resize if side == short else int(how.resize * side / short) for side in (width, height))
    left, top = round((wide - how.crop) / 2.0), round((high - how.crop) / 2.0)
    across, down = width / wide, height / high
    right = min((left + how.crop) * across, float(width))
    return (left * across, top * down, right, min((top + how.crop) * down, float(height)))


def prepare(image: PIL.Image.Image, how: Preprocessing) -> Pixels:
    """RGB picture -> uint8 (crop, crop, 3).

    One resampling of the seen part alone: the same pixels as resize then crop, at a fraction of the
    work, and a picture of 1 x 10,000 pixels never becomes one of 256 x 2,560,000.
    """
    image = image if image.mode == "RGB" else image.convert("RGB")
    box = source_box(image.width, image.height, how)
    return np.asarray(image.resize((how.crop, how.crop), FILTERS[how.interpolation], box=box))


def normalise(pixels: Pixels, how: Preprocessing) -> NDArray[np.float32]:
    """uint8 (n, h, w, 3) -> float32 (n, 3, h, w), for runtimes that do not fold this into the network."""
    mean, std = np.asarray(how.mean, np.float32), np.asarray(how.std, np.float32)
    scaled = (pixels.astype(np.float32) - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
