"""docs/images/scale.svg from the JSON of ``manage.py benchmark scale``: python scripts/plot_scale.py FILE OUT."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

PANELS = [
    ("build, seconds", ["build s"]),
    ("own memory, MiB: building (dark), serving", ["build: own MiB", "serve: own MiB"]),
    ("disk, MiB", ["disk MiB"]),
    ("a query, ms: p99 (dark), median", ["p99 ms", "median ms"]),
]
WIDTH, HEIGHT, LEFT, TOP = 380, 230, 70, 44
COLOURS = ["#1f4e79", "#5b9bd5"]


def panel(title: str, names: list[str], rows: list[dict[str, Any]], x0: int, y0: int) -> str:
    """Both axes logarithmic; a labelled point a size."""
    sizes = [math.log10(int(row["pictures"].replace(",", ""))) for row in rows]
    values = [float(row[name]) for row in rows for name in names]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    wide, tall = WIDTH - LEFT - 50, HEIGHT - TOP - 50

    def at(size: float, value: float) -> tuple[float, float]:
        across = (size - sizes[0]) / ((sizes[-1] - sizes[0]) or 1)
        up = (math.log10(value) - low) / ((high - low) or 1)
        return x0 + LEFT + across * wide, y0 + TOP + (1 - up) * tall

    parts = [f'<text x="{x0 + LEFT}" y="{y0 + 18}" class="t">{title}</text>']
    for power in range(low, high + 1):
        y = at(sizes[0], 10**power)[1]
        parts.append(f'<path d="M{x0 + LEFT} {y:.1f}h{wide}" class="g"/>')
        parts.append(f'<text x="{x0 + LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>')
    for size, row in zip(sizes, rows, strict=True):
        x = at(size, 10**low)[0]
        parts.append(f'<text x="{x:.1f}" y="{y0 + HEIGHT - 22}" text-anchor="middle">{row["pictures"]}</text>')
    for name, colour, below in zip(names, COLOURS, (-7, 16), strict=False):
        points = [at(size, float(row[name])) for size, row in zip(sizes, rows, strict=True)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), row in zip(points, rows, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
            parts.append(f'<text x="{x:.1f}" y="{y + below:.1f}" text-anchor="middle">{float(row[name]):,g}</text>')
    return "".join(parts)


def main(source: Path, out: Path) -> None:
    rows = json.loads(source.read_text())["benchmarks"]["scale"]["rows"]
    places = [(column * WIDTH, row * HEIGHT) for row in range(2) for column in range(2)]
    drawn = [panel(title, names, rows, x, y) for (title, names), (x, y) in zip(PANELS, places, strict=True)]
    style = "text{font:11px sans-serif;fill:#444}.t{font-weight:bold}.g{stroke:#ddd}"
    frame = f'<rect width="{2 * WIDTH}" height="{2 * HEIGHT}" fill="#fff"/>'
    out.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {2 * HEIGHT}"><style>{style}</style>'
        f"{frame}{''.join(drawn)}</svg>\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
