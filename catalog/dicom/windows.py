"""Windows: which values become black and which white. PS3.3 C.11.2. NumPy alone.

A window is what a file stores, a preset for CT, or a reader's own centre and width.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.dicom.errors import BadWindow
from catalog.errors import gettext_noop

Values = NDArray[np.float64]

LINEAR, LINEAR_EXACT, SIGMOID = FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
FAR = 1e12  # a centre or width beyond it is nonsense


@dataclass(frozen=True)
class Window:
    """Centre and width in the units of the modality LUT's output. ``how`` it was come by."""

    center: float
    width: float
    function: str = LINEAR
    name: str = ""  # its explanation, of our own words
    how: str = "stored"  # stored, preset, own or derived

    def __post_init__(self) -> None:
        narrowest = 1 if self.function == LINEAR else 0
        if not (abs(self.center) < FAR and narrowest <= self.width < FAR and self.width > 0):
            raise BadWindow(window=f"{self.center:g}/{self.width:g}", presets=", ".join(PRESETS))

    def __str__(self) -> str:
        return f"{self.center:g}/{self.width:g}"


# Usual settings in Hounsfield units: (width, centre) are conventions, not a standard.
PRESETS: dict[str, Window] = {
    name: Window(center, width, name=name, how="preset")
    for name, center, width in (
        ("lung", -600, 1500),
        ("mediastinum", 50, 350),
        ("soft-tissue", 50, 400),
        ("abdomen", 40, 350),
        ("liver", 60, 160),
        ("brain", 40, 80),
        ("bone", 500, 2000),
    )
}
PRESET_NAMES = {
    "lung": gettext_noop("Lung"),
    "mediastinum": gettext_noop("Mediastinum"),
    "soft-tissue": gettext_noop("Soft tissue"),
    "abdomen": gettext_noop("Abdomen"),
    "liver": gettext_noop("Liver"),
    "brain": gettext_noop("Brain"),
    "bone": gettext_noop("Bone"),
}
_STORED = re.compile(r"stored(?::([1-9]\d?))?")
_OWN = re.compile(r"(-?\d{1,9}(?:\.\d{1,6})?)\s*/\s*(\d{1,9}(?:\.\d{1,6})?)")


@dataclass(frozen=True)
class WindowChoice:
    """What somebody asked for: the ``place``-th stored window, or another one."""

    place: int = 0
    other: Window | None = None

    @property
    def text(self) -> str:
        """As window_choice() reads it."""
        if self.other:
            return self.other.name if self.other.how == "preset" else str(self.other)
        return f"stored:{self.place + 1}" if self.place else ""


AS_STORED = WindowChoice()


def window_choice(text: str) -> WindowChoice:
    """``""`` or ``stored``, ``stored:2``, a preset's name, ``40/400``. Raises BadWindow."""
    given = text.strip().lower().replace("_", "-").replace(" ", "-") if "/" not in text else text.strip()
    if not given:
        return AS_STORED
    if stored := _STORED.fullmatch(given):
        return WindowChoice(place=int(stored[1] or 1) - 1)
    if preset := PRESETS.get(given):
        return WindowChoice(other=preset)
    own = _OWN.fullmatch(given)
    if not own:
        raise BadWindow(window=repr(text[:40]), presets=", ".join(PRESETS))
    return WindowChoice(other=Window(float(own[1]), float(own[2]), how="own"))


def windowed(x: Values, window: Window) -> Values:
    """Values after the modality LUT -> 0 .. 1, by the formulas of PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and .2."""
    center, width = window.center, window.width
    if window.function == SIGMOID:
        exponent = np.clip(-4 * (x - center) / width, -700, 700)
        return np.asarray(1 / (1 + np.exp(exponent)))
    if window.function == LINEAR_EXACT:
        return np.clip((x - center) / width + 0.5, 0, 1)
    if width == 1:  # the formula would divide by nothing: a step
        return np.asarray(x > center - 0.5, np.float64)
    return np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def derived(low: float, high: float) -> Window:
    """The window that spreads the values from ``low`` to ``high`` over all greys."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        low = low if math.isfinite(low) else 0.0
        return Window(low + 0.5, 1.0, LINEAR_EXACT, how="derived")
    return Window((low + high) / 2, high - low, LINEAR_EXACT, how="derived")
