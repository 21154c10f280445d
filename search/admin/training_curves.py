"""Loss and mAP of a training over its steps, as two drawings for one template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.admin.tuning import Axis

WIDTH, HEIGHT, LEFT, BELOW, ABOVE, RIGHT = 480, 220, 52, 34, 14, 16
TICKS = 5


@dataclass(frozen=True)
class Curve:
    """One value over steps. ``line``: an SVG polyline's points; ``level``: the height of the first value, where that
    is what the others are to beat; ``best``: the place of the highest."""

    name: str
    line: str
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    last: float
    level: float | None = None
    first: float | None = None
    best: tuple[float, float] | None = None
    highest: float | None = None
    highest_step: int | None = None

    size = (WIDTH, HEIGHT)
    frame = (LEFT, ABOVE, WIDTH - RIGHT, HEIGHT - BELOW)


def curves(rows: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """The loss and the mAP, as far as there are two of either; rows of another kind of training may lack one."""
    steps = [int(row["step"]) for row in rows if "step" in row]
    if len(steps) < 2 or max(steps) == 0:
        return []
    across = Axis(0, max(steps), LEFT, WIDTH - RIGHT)
    drawn = [_curve("loss", rows, across), _curve("mAP", rows, across, to_beat=True)]
    return [curve for curve in drawn if curve is not None]


def _curve(name: str, rows: Sequence[Mapping[str, Any]], across: Axis, *, to_beat: bool = False) -> Curve | None:
    points = [(int(row["step"]), float(row[name])) for row in rows if isinstance(row.get(name), int | float)]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    if len(points) < 2:
        return None
    values = [value for _, value in points]
    ticks = ticks_of(min(values), max(values))
    up = Axis(ticks[0], ticks[-1], HEIGHT - BELOW, ABOVE)
    line = " ".join(f"{across(step)},{up(value)}" for step, value in points)
    shown = ([(across(tick), f"{tick:g}") for tick in ticks_of(0, across.high) if tick <= across.high], up.ticks(ticks))
    if not to_beat:
        return Curve(name, line, *shown, values[-1])
    step, highest = max(points, key=lambda point: (point[1], -point[0]))
    return Curve(
        name, line, *shown, values[-1], up(values[0]), values[0], (across(step), up(highest)), highest, step
    )  # fmt: skip


def ticks_of(low: float, high: float) -> list[float]:
    """Round numbers at equal distances, the first at or below ``low``, the last at or above ``high``."""
    step = 10 ** math.floor(math.log10(max(high - low, 1e-6) / TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step * TICKS >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]
