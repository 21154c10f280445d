"""Look-up tables and the rescale: stored values -> values of the modality -> greys. PS3.3 C.11.1 and C.11.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from catalog.dicom.attributes import items, layers, number, numbers, value
from catalog.dicom.reading import Source

Values = NDArray[np.float64]
MOST_ENTRIES = 65_536


@dataclass(frozen=True)
class Lut:
    """``table[x - first]``, the ends continued; entries of ``bits`` bits."""

    first: int
    table: NDArray[np.uint16]
    bits: int

    def __call__(self, x: Values) -> Values:
        places = np.clip(np.rint(x) - self.first, 0, len(self.table) - 1).astype(np.intp)
        return np.asarray(self.table[places], np.float64)


@dataclass(frozen=True)
class Rescale:
    slope: float = 1.0
    intercept: float = 0.0
    is_given: bool = False

    def __call__(self, x: Values) -> Values:
        return x if self.slope == 1 and self.intercept == 0 else x * self.slope + self.intercept


def modality(source: Source, index: int) -> Lut | Rescale:
    """What turns the stored values of a frame (from 0) into those of its modality."""
    for item in items(source.ds, "ModalityLUTSequence")[:1]:
        if lut := lut_of(item, is_signed=value(source.ds, "PixelRepresentation") == 1):
            return lut
    for layer in layers(source.ds, index, "PixelValueTransformationSequence"):
        slope, intercept = number(layer, "RescaleSlope"), number(layer, "RescaleIntercept")
        if slope is not None or intercept is not None:
            return Rescale(1.0 if slope is None else slope, intercept or 0.0, is_given=True)
    return Rescale()


def lut_of(item: Dataset, *, is_signed: bool) -> Lut | None:
    """The table of an item of a LUT sequence; None where it makes no sense."""
    descriptor = [int(number) for number in numbers(item, "LUTDescriptor")]
    entries = _entries(value(item, "LUTData"))
    if len(descriptor) != 3 or not len(entries):
        return None
    count, first, bits = descriptor
    count = count or MOST_ENTRIES
    if count == 2 * len(entries) or count == 2 * len(entries) - 1:  # two entries of 8 bits in a word
        entries = entries.astype("<u2").view(np.uint8).astype(np.uint16)
    if not (0 < count <= min(len(entries), MOST_ENTRIES) and 1 <= bits <= 16):
        return None
    if is_signed and first > 0x7FFF:  # written as unsigned, meant as signed
        first -= 0x10000
    return Lut(first, entries[:count], bits)


def _entries(data: Any) -> NDArray[np.uint16]:
    if isinstance(data, bytes):
        return np.frombuffer(data[: len(data) & ~1], "<u2").astype(np.uint16)
    try:
        found = np.asarray([int(one) for one in data or ()][: MOST_ENTRIES + 1])
    except (TypeError, ValueError):
        return np.empty(0, np.uint16)
    return found.astype(np.uint16) if len(found) and found.min() >= -0x8000 and found.max() <= 0xFFFF else found[:0]
