"""Tried ways to search as a picture: recall over latency, in SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from search.indexes.trials import Point

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 420, 64, 34, 24, 52
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#57606a", "#0a7d8c")
STEPS = (1, 2, 5)


def svg(points: Sequence[Point], target: float, title: str) -> str:
    """A self-contained SVG. A colour is a factory, a circle's size its bytes, the line the best recall by latency."""
    draw = _Drawing(points)
    factories = list(dict.fromkeys(point.factory for point in points))
    colours = {factory: COLOURS[n % len(COLOURS)] for n, factory in enumerate(factories)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" ',
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        *draw.axes(target),
        draw.line(points),
        *(draw.circle(point, colours[point.factory]) for point in points),
        *_legend(colours),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Drawing:
    """Milliseconds on a logarithmic axis, recall on a linear one."""

    def __init__(self, points: Sequence[Point]) -> None:
        times = [max(point.ms, 1e-3) for point in points] or [1.0]
        self.low, self.high = math.log10(min(times) / 1.3), math.log10(max(times) * 1.3)
        self.floor = min([math.floor(20 * point.recall) / 20 for point in points] or [0.0])
        self.floor = min(self.floor, 0.95)
        self.most = max([point.bytes for point in points] or [1.0])

    def x(self, ms: float) -> float:
        share = (math.log10(max(ms, 1e-3)) - self.low) / (self.high - self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, recall: float) -> float:
        share = (recall - self.floor) / (1 - self.floor)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def axes(self, target: float) -> list[str]:
        parts = []
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for step in STEPS:
                ms = step * 10.0**power
                if self.low <= math.log10(ms) <= self.high:
                    parts.append(_rule(self.x(ms), TOP, self.x(ms), HEIGHT - BOTTOM))
                    parts.append(_text(self.x(ms), HEIGHT - BOTTOM + 16, f"{ms:g}", "middle"))
        for number in range(6):
            recall = self.floor + (1 - self.floor) * number / 5
            parts.append(_rule(LEFT, self.y(recall), WIDTH - RIGHT, self.y(recall)))
            parts.append(_text(LEFT - 6, self.y(recall) + 4, f"{recall:.3g}", "end"))
        if target >= self.floor:
            parts.append(_rule(LEFT, self.y(target), WIDTH - RIGHT, self.y(target), "#d1242f", "4 3"))
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "median ms of one query, one thread", "middle"))
        parts.append(_text(LEFT - 6, TOP - 8, "ann_recall@10", "end"))
        return parts

    def line(self, points: Sequence[Point]) -> str:
        """Along the points that no faster one equals in recall."""
        best, corners = -1.0, []
        for point in sorted(points, key=lambda one: one.ms):
            if point.recall > best:
                best = point.recall
                corners.append(f"{self.x(point.ms)},{self.y(point.recall)}")
        return f'<polyline points="{" ".join(corners)}" fill="none" stroke="#57606a" stroke-width="1.5"/>'

    def circle(self, point: Point, colour: str) -> str:
        radius = round(3 + 7 * math.sqrt(point.bytes / self.most), 1)
        ring = ' stroke="#000" stroke-width="3"' if point.chosen else ""
        says = f"{point.factory} {point.search_params} fine {point.fine_depth}: {point.recall:.4f}, {point.ms:.3f} ms"
        shade = 0.85 if point.frontier else 0.3
        return (
            f'<circle cx="{self.x(point.ms)}" cy="{self.y(point.recall)}" r="{radius}" fill="{colour}" '
            f'fill-opacity="{shade}"{ring}><title>{escape(says)}, {point.bytes:.0f} bytes</title></circle>'
        )


def _legend(colours: dict[str, str]) -> list[str]:
    parts = []
    for number, (factory, colour) in enumerate(colours.items()):
        y = HEIGHT - BOTTOM - 12 - 16 * (len(colours) - 1 - number)
        parts.append(f'<circle cx="{WIDTH - RIGHT - 12}" cy="{y - 4}" r="5" fill="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT - 22, y, factory, "end"))
    return parts


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str = "#d0d7de", dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"{dashed}/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
