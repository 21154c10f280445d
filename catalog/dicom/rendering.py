"""A frame as a picture: modality LUT or rescale, VOI LUT or window, MONOCHROME1 turned over, 8 bits. PS3.4 N.2.

Greys are spread by the window or by the range that is stored, never by the picture's own least and greatest value,
or two slices stop being comparable. Only a file without any window has one derived, once for all its frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.dicom.attributes import code, items, layers, numbers, texts, value, whole
from catalog.dicom.errors import BadWindow, WindowNotFor
from catalog.dicom.luts import Lut, Rescale, lut_of, modality
from catalog.dicom.pixels import Frame, frame_read
from catalog.dicom.private import Own, own_of
from catalog.dicom.reading import Source
from catalog.dicom.vocabulary import explanation
from catalog.dicom.windows import AS_STORED, FUNCTIONS, LINEAR, PRESETS, Window, WindowChoice, derived, windowed

Grey = NDArray[np.uint8]
LOOKED_AT = 8  # frames of a file without a window, to derive one from
BLOCK = 1 << 20  # values turned to floats at once
MOST_STORED = 20  # windows of one frame


@dataclass(frozen=True)
class Rendered:
    """``pixels``: uint8 (rows, columns) or (rows, columns, 3). ``window`` None: colour, or a table of the file."""

    pixels: Grey
    window: Window | None
    is_table: bool = False


def render(source: Source, number: int, choice: WindowChoice = AS_STORED, *, strict: bool = True) -> Rendered:
    """Frame ``number``, from 1. Raises DicomError; WindowNotFor where ``strict`` and the choice does not fit."""
    frame = frame_read(source, number)
    if frame.is_colour:
        if strict and choice != AS_STORED:
            raise WindowNotFor(window=choice.text)
        return Rendered(np.asarray(frame.values, np.uint8), None)
    voi = voi_of(source, number, frame, choice, strict=strict)
    greys = _greys(frame, modality(source, number - 1), voi)
    if source.photometric == "MONOCHROME1":
        greys = 255 - greys
    return Rendered(greys, voi if isinstance(voi, Window) else None, isinstance(voi, Lut))


def is_ct(source: Source) -> bool:
    """Whether its values are Hounsfield units, as presets want them."""
    return code(source.ds, "Modality") == "CT" and isinstance(source.photometric, str) and source.samples == 1


def voi_of(source: Source, number: int, frame: Frame, choice: WindowChoice, *, strict: bool = True) -> Window | Lut:
    """The window or table that a choice means for a frame of greys."""
    if choice.other and not (choice.other.how == "preset" and not is_ct(source)):
        return choice.other
    stored = stored_vois(source, number)
    if strict and (choice.other or choice.place >= max(1, len(stored))):
        raise WindowNotFor(window=choice.text)
    place = choice.place if choice.place < len(stored) else 0
    return stored[place] if stored else _derived(source, number, frame)


def stored_vois(source: Source, number: int) -> list[Window | Lut]:
    """The tables and windows that a file offers for a frame, the first its own choice."""
    ds, own = source.ds, own_of(source.ds)
    luts: list[Window | Lut] = []
    windows: list[Window | Lut] = []
    for layer in layers(ds, number - 1, "FrameVOILUTSequence"):
        if not luts:
            is_signed = value(ds, "PixelRepresentation") == 1 or _goes_below_zero(source, number)
            found = (lut_of(item, is_signed=is_signed) for item in items(layer, "VOILUTSequence")[:MOST_STORED])
            luts = [lut for lut in found if lut]
        if not windows:
            windows = [*_windows(layer, own)]
    return [*windows, *luts] if own.windows_first else [*luts, *windows]


def _goes_below_zero(source: Source, number: int) -> bool:
    rescale = modality(source, number - 1)
    return isinstance(rescale, Rescale) and rescale.intercept < 0


def _windows(layer: Any, own: Own) -> list[Window]:
    """Pairs of centre and width; a half pair, and one that is against the standard, is left out."""
    centers, widths = numbers(layer, "WindowCenter"), numbers(layer, "WindowWidth")
    function = code(layer, "VOILUTFunction")
    function = function if function in FUNCTIONS else LINEAR
    said = texts(layer, "WindowCenterWidthExplanation")
    found = []
    for place, (center, width) in enumerate(zip(centers[:MOST_STORED], widths, strict=False)):
        name = explanation(said[place]) if place < len(said) else ""
        try:
            found.append(Window(center, width, function, name, own.how if place == 0 else "stored"))
        except BadWindow:
            continue
    return found


def _derived(source: Source, number: int, frame: Frame) -> Window:
    """For a file without a window: a convention for CT, all of what 8 bits hold, else the span of its values."""
    to_modality = modality(source, number - 1)
    if is_ct(source) and isinstance(to_modality, Rescale) and to_modality.is_given:
        preset = PRESETS["soft-tissue"]
        return Window(preset.center, preset.width, how="derived")
    low, high = _range(frame) if 0 < frame.bits <= 8 else _span(source, number, frame)
    ends = to_modality(np.array([low, high], np.float64))
    if isinstance(to_modality, Lut):
        ends = np.array([to_modality.table.min(), to_modality.table.max()], np.float64)
    return derived(float(ends.min()), float(ends.max()))


def _range(frame: Frame) -> tuple[float, float]:
    """What ``bits`` can hold."""
    return (-(2.0 ** (frame.bits - 1)), 2.0 ** (frame.bits - 1) - 1) if frame.is_signed else (0.0, 2.0**frame.bits - 1)


def _span(source: Source, number: int, frame: Frame) -> tuple[float, float]:
    """Of the series if the file says it, else of up to LOOKED_AT frames of the file, without padding."""
    low, high = whole(source.ds, "SmallestPixelValueInSeries"), whole(source.ds, "LargestPixelValueInSeries")
    if low is not None and high is not None and low < high:
        return float(low), float(high)
    step = -(-source.frames // LOOKED_AT)
    spans = [
        _finite_span(source, frame if one == number else frame_read(source, one))
        for one in range(1, source.frames + 1, step)
    ]
    known = [span for span in spans if span is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else (0.0, 1.0)


def _finite_span(source: Source, frame: Frame) -> tuple[float, float] | None:
    values = frame.values
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    padding = numbers(source.ds, "PixelPaddingValue")[:1] + numbers(source.ds, "PixelPaddingRangeLimit")[:1]
    if padding:
        values = values[(values < min(padding)) | (values > max(padding))]
    return (float(values.min()), float(values.max())) if values.size else None


def _greys(frame: Frame, to_modality: Lut | Rescale, voi: Window | Lut) -> Grey:
    """By a table of every value there is where that is less work than every pixel."""
    values = frame.values
    if values.dtype.kind in "iu" and values.size:
        low, high = int(values.min()), int(values.max())
        if high - low < 2**16:
            table = _grey(np.arange(low, high + 1, dtype=np.float64), to_modality, voi)
            return table[values.astype(np.int64, copy=False) - low] if low else table[values]
    flat, greys = values.reshape(-1), np.empty(values.size, np.uint8)
    for start in range(0, flat.size, BLOCK):
        part = np.nan_to_num(flat[start : start + BLOCK].astype(np.float64), nan=0.0)
        greys[start : start + BLOCK] = _grey(part, to_modality, voi)
    return greys.reshape(values.shape)


def _grey(x: NDArray[np.float64], to_modality: Lut | Rescale, voi: Window | Lut) -> Grey:
    x = to_modality(x)
    share = voi(x) / (2**voi.bits - 1) if isinstance(voi, Lut) else windowed(x, voi)
    return np.clip(share * 255 + 0.5, 0, 255).astype(np.uint8)
