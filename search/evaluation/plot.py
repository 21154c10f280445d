"""Curves as the points of an SVG polyline: no drawing library, no script."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 320, 200


def points(values: Sequence[float], width: int = WIDTH, height: int = HEIGHT) -> str:
    """``values`` in [0, 1] at equal steps from left to right, 1 at the top: "x,y x,y …"."""
    step = width / max(1, len(values) - 1)
    return " ".join(f"{n * step:.1f},{height * (1 - value):.1f}" for n, value in enumerate(values))
