# ruff: noqa: ARG005  (a pattern takes points and uv, whether it needs both or not)
"""Colours of surfaces. A pattern maps points (n, 3) and uv (n, 2) to sRGB (n, 3) in 0..1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Array = NDArray[np.float64]
Pattern = Callable[[Array, Array], Array]

COLOURS = {
    "red": "#c62828", "orange": "#ef7c1a", "yellow": "#f4c430", "green": "#2e8b57", "mint": "#9fd8bf",
    "teal": "#0f7c86", "blue": "#2459b3", "sky": "#8fc1e8", "navy": "#1d2b53", "purple": "#6f3fa0",
    "pink": "#f0a0b8", "white": "#f4f2ec", "cream": "#efe0c2", "grey": "#8d9196", "black": "#24262a",
    "brown": "#7b4b2a", "terracotta": "#c4623a", "sand": "#d9bf94", "olive": "#7d8440", "lilac": "#c3aee0",
    "gold": "#d9a741", "copper": "#c77b52", "silver": "#c9ccd1",
}  # fmt: skip


def rgb(name: str) -> Array:
    code = COLOURS.get(name, name).lstrip("#")
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])


def noise(points: Array, scale: float, seed: int = 0, octaves: int = 1) -> Array:
    """Smooth noise in 0..1 over space."""
    lattice = np.random.default_rng(seed).random((24, 24, 24))
    total, weight = np.zeros(len(points)), 0.0
    for octave in range(octaves):
        at = (points * scale * 2**octave).T
        total += map_coordinates(lattice, at, order=1, mode="grid-wrap") / 2**octave
        weight += 1 / 2**octave
    return np.asarray(total / weight)


def mix(a: Array, b: Array, share: Array) -> Array:
    return np.asarray(a + (b - a) * np.clip(share, 0, 1)[:, None])


def plain(colour: str) -> Pattern:
    return lambda points, uv: np.broadcast_to(rgb(colour), points.shape).copy()


def stripes(first: str, second: str, count: int, share: float = 0.5, upright: bool = False) -> Pattern:
    """Stripes across (v), or ``upright`` (u)."""
    return lambda points, uv: mix(rgb(first), rgb(second), ((uv[:, 0 if upright else 1] * count) % 1 < share) * 1.0)


def bands(*colours: str) -> Pattern:
    """Equal bands from bottom to top."""

    def paint(points: Array, uv: Array) -> Array:
        z = points[:, 2]
        at = (z - z.min()) / max(float(np.ptp(z)), 1e-9) * len(colours)
        return np.stack([rgb(c) for c in colours])[np.clip(at.astype(int), 0, len(colours) - 1)]

    return paint


def wedges(*colours: str) -> Pattern:
    """Segments about the z axis, as on a beach ball."""
    table = np.stack([rgb(c) for c in colours])
    return lambda points, uv: table[np.clip((uv[:, 0] * len(colours)).astype(int), 0, len(colours) - 1)]


def dots(ground: str, dot: str, columns: int, rows: int, size: float = 0.3) -> Pattern:
    def paint(points: Array, uv: Array) -> Array:
        row = np.floor(uv[:, 1] * rows)
        u = (uv[:, 0] * columns + 0.5 * (row % 2)) % 1 - 0.5
        v = (uv[:, 1] * rows) % 1 - 0.5
        return mix(rgb(ground), rgb(dot), (size + 0.03 - np.hypot(u, v)) / 0.06)

    return paint


def checks(first: str, second: str, columns: int, rows: int) -> Pattern:
    def paint(points: Array, uv: Array) -> Array:
        odd = (np.floor(uv[:, 0] * columns) + np.floor(uv[:, 1] * rows)) % 2
        return mix(rgb(first), rgb(second), odd)

    return paint


def zigzag(first: str, second: str, columns: int, rows: int) -> Pattern:
    def paint(points: Array, uv: Array) -> Array:
        wave = np.abs((uv[:, 0] * columns) % 1 - 0.5)
        return mix(rgb(first), rgb(second), ((uv[:, 1] * rows + wave) % 1 < 0.5) * 1.0)

    return paint


def tartan(ground: str, band: str, line: str, count: int = 5) -> Pattern:
    def paint(points: Array, uv: Array) -> Array:
        u, v = (uv * count % 1).T
        share = 0.45 * (u < 0.4) + 0.45 * (v < 0.4)
        thin = ((np.abs(u - 0.7) < 0.04) | (np.abs(v - 0.7) < 0.04)) * 1.0
        return mix(mix(rgb(ground), rgb(band), share), rgb(line)[None], thin)

    return paint


def dipped(body: str, foot: str, share: float = 0.4) -> Pattern:
    """Dipped in another glaze up to a share of the height."""

    def paint(points: Array, uv: Array) -> Array:
        z = points[:, 2]
        at = (z - z.min()) / max(float(np.ptp(z)), 1e-9)
        edge = share + 0.03 * np.sin(5 * np.arctan2(points[:, 1], points[:, 0]))
        return mix(rgb(foot), rgb(body), (at - edge) * 60)

    return paint


def speckled(ground: str, speck: str, amount: float = 0.28, scale: float = 11.0) -> Pattern:
    return lambda points, uv: mix(rgb(ground), rgb(speck), (noise(points, scale, 3) - (1 - amount)) * 25)


def wood(light: str, dark: str, seed: int = 0, axis: int = 0) -> Pattern:
    """Growth rings about an axis, bent by noise, with fine fibres along it."""

    def paint(points: Array, uv: Array) -> Array:
        across = np.delete(points, axis, axis=1) + np.array([1.3, 0.7])
        bend = noise(points * np.where(np.arange(3) == axis, 0.4, 1.0), 1.3, seed)
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (np.linalg.norm(across, axis=1) * 3.4 + 2.2 * bend))
        fibre = noise(points * np.where(np.arange(3) == axis, 1.0, 12.0), 2.5, seed + 1)
        return mix(rgb(light), rgb(dark), 0.6 * rings**2 + 0.3 * fibre)

    return paint


def marble(ground: str, vein: str, seed: int = 0) -> Pattern:
    def paint(points: Array, uv: Array) -> Array:
        bend = noise(points, 1.1, seed, octaves=4)
        wave = np.abs(np.sin(points @ np.array([1.1, 0.9, 1.3]) * 1.5 + 9 * bend))
        return mix(rgb(vein), rgb(ground), wave**0.42)

    return paint


def woven(colour: str, count: int = 60) -> Pattern:
    """Cloth: a weave a shade lighter and darker."""

    def paint(points: Array, uv: Array) -> Array:
        weave = np.sin(uv[:, 0] * count * 2 * np.pi) * np.sin(uv[:, 1] * count * 2 * np.pi)
        shade = 1 + 0.10 * weave + 0.12 * (noise(points, 2.2, 5, 2) - 0.5)
        return np.asarray(np.clip(rgb(colour) * shade[:, None], 0, 1))

    return paint
