"""Heat as a picture to be laid over the one it belongs to. No Django."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from search.extraction.heat import Heat, inner

# From cold to warm: dark blue over grey to yellow, told apart with any colour vision and in grey: the anchors of
# cividis (Nuñez, Anderton and Renslow, Optimizing colormaps with consideration for color vision deficiency, 2018).
COLOURS = ((0, 32, 77), (87, 92, 109), (166, 157, 117), (255, 234, 70))
COLD, WARM = 150, 140  # how much of the picture is covered, of 255
LEVELS = 96
UNSEEN, STRIPE, LINE, AROUND = range(LEVELS, LEVELS + 4)  # entries of the palette after the levels
STRIPE_WIDTH = 6  # pixels


def _palette() -> tuple[NDArray[np.uint8], bytes]:
    """Colours (entries, 3) and the opacity of each."""
    level, anchors = np.linspace(0, 1, LEVELS), np.linspace(0, 1, len(COLOURS))
    colours = [np.interp(level, anchors, [colour[channel] for colour in COLOURS]) for channel in range(3)]
    rest = [(120, 124, 128), (120, 124, 128), (255, 255, 255), (0, 0, 0)]
    opacity = np.interp(level, (0, 1), (COLD, WARM)).astype(np.uint8)
    return np.concatenate([np.stack(colours, axis=1), rest]).astype(np.uint8), bytes([*opacity, 100, 165, 255, 200])


PALETTE, OPACITY = _palette()


def overlay(heat: Heat, side: int) -> bytes:
    """A PNG with transparency in the picture's own shape, its long side ``side`` pixels.

    Around half of the heat runs a line; what the network did not see is hatched.
    """
    picture = heat.picture(side)
    shown = np.round(np.nan_to_num(picture) * (LEVELS - 1)).astype(np.uint8)
    high, wide = picture.shape
    striped = (np.add.outer(np.arange(high), np.arange(wide)) // STRIPE_WIDTH) % 2
    unseen = np.isnan(picture)
    shown[unseen] = np.where(striped, STRIPE, UNSEEN)[unseen]
    mask, thick = inner(picture), max(1, side // 250)
    shown[_grown(mask, 2 * thick) & ~mask] = AROUND  # white within, black without: to be seen on anything
    shown[_grown(mask, thick) & ~mask] = LINE
    drawn = PIL.Image.fromarray(shown, "P")
    drawn.putpalette(PALETTE.tobytes())
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", transparency=OPACITY)
    return buffer.getvalue()


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Wider by so many pixels on every side."""
    for _axis in range(2):  # along the rows, then along the columns
        padded = np.pad(mask, ((by, by), (0, 0)))
        shifted = (padded[start : start + len(mask)] for start in range(2 * by + 1))
        mask = np.logical_or.reduce(list(shifted)).T
    return mask
