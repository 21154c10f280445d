"""What tuning tried for an index: recall over latency as a picture and a table, and taking one of the points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString

from catalog.errors import LookalikeError, gettext_noop
from search.admin.kinds import try_out
from search.models import SearchIndex

WIDTH, HEIGHT, LEFT, BELOW, ABOVE, RIGHT = 640, 260, 52, 34, 14, 16
MILLISECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class PointGone(LookalikeError):
    code = "point_gone"
    text = gettext_noop("The index %(index)s was tuned again since this page was opened.")
    cure = gettext_noop("Open it again and choose anew.")
    status = 409


@dataclass(frozen=True)
class Point:
    """A way to search that was tried. ``x`` and ``y``: its place in the picture, in its own units."""

    number: int
    factory: str
    search_params: Mapping[str, Any]
    fine_depth: int
    recall: float
    ms: float
    p99_ms: float
    bytes: float
    frontier: bool
    chosen: bool
    in_use: bool
    x: float
    y: float

    @property
    def params(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.search_params.items())


@dataclass(frozen=True)
class Axis:
    """Where numbers lie in the picture: ``low`` at ``start``, ``high`` at ``end``, maybe logarithmically."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = map(math.log, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)

    def ticks(self, numbers: Sequence[float]) -> list[tuple[float, str]]:
        return [(self(number), f"{number:g}") for number in numbers if self.low <= number <= self.high]


def tuning_shown(index: SearchIndex, may_use: bool) -> SafeString:
    """The whole part of an index's page; a hint how to tune where it was not."""
    tried = _tried(index)
    if not tried:
        return render_to_string("admin/lookalike/tuning.html", {"index": index})
    across, up = _axes(tried)
    points = [_point(index, number, one, across, up) for number, one in enumerate(tried)]
    target = index.tuning.get("target")
    shown = {
        "index": index,
        "made": parse_datetime(str(index.tuning.get("made", ""))),
        "tuning": index.tuning,
        "points": points,
        "line": _quickest(points),
        "frontier": [point for point in points if point.frontier],
        "others": [point for point in points if not point.frontier],
        "size": (WIDTH, HEIGHT),
        "frame": (LEFT, ABOVE, WIDTH - RIGHT, HEIGHT - BELOW),
        "target_y": up(target) if target and up.low <= target <= up.high else None,
        "across": across.ticks(MILLISECONDS),
        "up": up.ticks(_recalls(up.low)),
        "may_use": may_use,
    }
    return render_to_string("admin/lookalike/tuning.html", shown)


def use_point(index: SearchIndex, made: str, number: int) -> None:
    """Set the index to search as a tried point did. Raises PointGone, BadFactory, BadParameter."""
    tried = _tried(index)
    if index.tuning.get("made") != made or not 0 <= number < len(tried):
        raise PointGone(index=index)
    point = tried[number]
    if index.feature_model.dim:
        try_out(index.engine, point["factory"], index.feature_model.dim, point["search_params"])
    index.preset, index.factory = "", point["factory"]
    index.search_params, index.fine_depth = dict(point["search_params"]), point["fine_depth"]
    for number_, one in enumerate(tried):
        one["chosen"] = number_ == number
    index.save(update_fields=["preset", "factory", "search_params", "fine_depth", "tuning"])


def _tried(index: SearchIndex) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = (index.tuning or {}).get("points") or []
    return points


def _axes(tried: Sequence[Mapping[str, Any]]) -> tuple[Axis, Axis]:
    ms = [max(one["ms"], 1e-3) for one in tried]
    lowest = min(one["recall"] for one in tried)
    floor = max(0.0, math.floor(20 * lowest - 1e-9) / 20)
    across = Axis(min(ms) / 1.4, max(ms) * 1.4, LEFT, WIDTH - RIGHT, log=True)
    return across, Axis(floor, 1.0 if floor < 1 else 1.05, HEIGHT - BELOW, ABOVE)


def _quickest(points: Sequence[Point]) -> list[Point]:
    """Those that find more than any quicker one: a line that rises. The frontier has thriftier ones beside them."""
    rising: list[Point] = []
    for point in sorted(points, key=lambda point: (point.ms, -point.recall)):
        if not rising or point.recall > rising[-1].recall:
            rising.append(point)
    return rising


def _recalls(lowest: float) -> list[float]:
    step = 0.01 if lowest >= 0.9 else 0.05 if lowest >= 0.7 else 0.1
    return [round(1 - step * number, 2) for number in range(1 + round((1 - lowest) / step + 1e-9))]


def _point(index: SearchIndex, number: int, one: Mapping[str, Any], across: Axis, up: Axis) -> Point:
    same = (index.factory, index.search_params, index.fine_depth)
    return Point(
        number=number,
        factory=one["factory"],
        search_params=one["search_params"],
        fine_depth=one["fine_depth"],
        recall=one["recall"],
        ms=one["ms"],
        p99_ms=one["p99_ms"],
        bytes=one["bytes"],
        frontier=one.get("frontier", False),
        chosen=one.get("chosen", False),
        in_use=same == (one["factory"], one["search_params"], one["fine_depth"]),
        x=across(max(one["ms"], 1e-3)),
        y=up(one["recall"]),
    )
