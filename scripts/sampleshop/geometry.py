"""Surfaces as plain arrays: lathes, tubes, rounded boxes, cushions. One unit is about ten centimetres; z is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """``points`` (n, 3), ``quads`` (m, 4) and surface coordinates ``uv`` (n, 2) in 0..1."""

    points: Array
    quads: NDArray[np.int64]
    uv: Array

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> Mesh:
        return replace(self, points=self.points + np.array([x, y, z]))

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Mesh:
        return replace(self, points=self.points * np.array([x, x if y is None else y, x if z is None else z]))

    def turned(self, axis: str, degrees: float) -> Mesh:
        """Rotated about the x, y or z axis."""
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        matrix = {
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
        return replace(self, points=self.points @ np.array(matrix).T)


def join(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.points for mesh in meshes]),
        np.concatenate([mesh.quads + start for mesh, start in zip(meshes, starts, strict=False)]),
        np.concatenate([mesh.uv for mesh in meshes]),
    )


def sheet(points: Array) -> Mesh:
    """A grid of points (rows, columns, 3) as a surface; v runs along rows, u along columns."""
    rows, columns, _ = points.shape
    index = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return Mesh(points.reshape(-1, 3), quads, np.stack([u, v], -1).reshape(-1, 2))


def polyline(corners: ArrayLike, count: int, smooth: bool) -> Array:
    """``count`` points along the corners, evenly spaced; smooth: through them by a Catmull-Rom spline."""
    path = np.asarray(corners, float)
    if smooth and len(path) > 2:
        padded = np.concatenate([[2 * path[0] - path[1]], path, [2 * path[-1] - path[-2]]])
        t = np.linspace(0, 1, 24, endpoint=False)[:, None]
        a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
        curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        path = np.concatenate([curve.reshape(-1, path.shape[1]), path[-1:]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.union1d(np.linspace(0, length[-1], count), length) if not smooth else np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, column) for column in path.T], -1)


def lathe(profile: ArrayLike, smooth: bool = False, around: int = 200, along: int = 120, flutes: int = 0) -> Mesh:
    """The profile of (radius, height) pairs turned about the z axis, with ``flutes`` grooves if any."""
    line = polyline(profile, along, smooth)
    angle = np.linspace(0, 2 * np.pi, around + 1)
    groove = 1 - 0.09 * np.abs(np.sin(flutes * angle / 2)) if flutes else np.ones_like(angle)
    radius = np.maximum(line[:, :1], 0) * groove[None]
    height = np.broadcast_to(line[:, 1:], radius.shape)
    return sheet(np.stack([radius * np.cos(angle), radius * np.sin(angle), height], -1))


def tube(path: ArrayLike, radius: float | Sequence[float], smooth: bool = True, flat: float = 1.0) -> Mesh:
    """A round (or ``flat``tened) tube along the path, its ends closed by domes."""
    line = polyline(path, 72, smooth)
    step = np.gradient(line, axis=0)
    tangent = step / np.linalg.norm(step, axis=1, keepdims=True)
    normal = np.empty_like(tangent)
    first = np.cross(tangent[0], [0.0, 0.0, 1.0] if abs(tangent[0, 2]) < 0.9 else [1.0, 0.0, 0.0])
    normal[0] = first / np.linalg.norm(first)
    for i in range(1, len(line)):  # parallel transport: the frame does not spin
        carried = normal[i - 1] - tangent[i] * (normal[i - 1] @ tangent[i])
        normal[i] = carried / np.linalg.norm(carried)
    widths = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, np.size(radius)), np.ravel(radius))
    dome = np.cos(np.linspace(np.pi / 2, 0, 8))
    line = np.concatenate(
        [
            line[0] - tangent[0] * widths[0] * np.sin(np.linspace(np.pi / 2, 0, 8))[:, None],
            line,
            line[-1] + tangent[-1] * widths[-1] * np.sin(np.linspace(0, np.pi / 2, 8))[:, None],
        ]
    )
    widths = np.concatenate([widths[0] * dome, widths, widths[-1] * dome[::-1]])
    normal = np.concatenate([np.repeat(normal[:1], 8, 0), normal, np.repeat(normal[-1:], 8, 0)])
    tangent = np.concatenate([np.repeat(tangent[:1], 8, 0), tangent, np.repeat(tangent[-1:], 8, 0)])
    angle = np.linspace(0, 2 * np.pi, 33)
    across = np.cross(tangent, normal)
    ring = normal[:, None] * np.cos(angle)[None, :, None] + flat * across[:, None] * np.sin(angle)[None, :, None]
    return sheet(line[:, None] + widths[:, None, None] * ring)


def box(x: float, y: float, z: float, rounding: float = 0.05, fine: int = 40) -> Mesh:
    """A box standing on z = 0, centred in x and y, its edges rounded by a radius."""
    half = np.array([x, y, z]) / 2
    inner = np.maximum(half - rounding, 1e-6)
    edge = np.linspace(-1, 1, fine)
    # more points near the edges, where the rounding is
    edge = np.sign(edge) * (1 - (1 - np.abs(edge)) ** 1.6)
    b, a = np.meshgrid(edge, edge, indexing="ij")
    faces = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            cube = np.empty((fine, fine, 3))
            cube[..., axis], cube[..., (axis + 1) % 3], cube[..., (axis + 2) % 3] = side, a, b * side
            at = cube * half
            core = np.clip(at, -inner, inner)
            out = at - core
            norm = np.linalg.norm(out, axis=-1, keepdims=True)
            faces.append(sheet(core + rounding * out / np.maximum(norm, 1e-9)))
    return join(*faces).moved(z=z / 2)


def ball(x: float, y: float | None = None, z: float | None = None, power: float = 1.0, fine: int = 200) -> Mesh:
    """A superellipsoid of half axes x, y, z about the origin; power 1 is an ellipsoid, below 1 squarer."""
    v, u = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, fine // 2), np.linspace(-np.pi, np.pi, fine), indexing="ij")

    def curve(value: Array) -> Array:
        return np.asarray(np.sign(value) * np.abs(value) ** power)

    points = np.stack([curve(np.cos(v)) * curve(np.cos(u)), curve(np.cos(v)) * curve(np.sin(u)), curve(np.sin(v))], -1)
    return sheet(points).scaled(x, x if y is None else y, x if z is None else z)


def ring(radius: float, thick: float, flat: float = 1.0) -> Mesh:
    """A torus about the z axis, centred at the origin."""
    angle = np.linspace(0, 2 * np.pi, 41)
    return lathe(np.stack([radius + thick * np.cos(angle), flat * thick * np.sin(angle)], -1), along=60)


def cushion(side: float, height: float, fine: int = 110) -> Mesh:
    """A stuffed square with pinched corners, lying about z = 0."""
    edge = np.sin(np.linspace(-np.pi / 2, np.pi / 2, fine))
    y, x = np.meshgrid(edge, edge, indexing="ij")
    bulge = ((1 - x**2) * (1 - y**2)) ** 0.42
    pinch = 1 - 0.07 * (1 - np.abs(x * y)) * (np.maximum(np.abs(x), np.abs(y)) ** 4)
    top = np.stack([x * pinch * side / 2, y * pinch * side / 2, bulge * height / 2], -1)
    return join(sheet(top), sheet((top * [1, 1, -1])[::-1]))
