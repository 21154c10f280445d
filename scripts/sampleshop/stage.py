"""The photo studio: VTK's physically based shading, with soft light made by averaging many exposures.

Each exposure moves the key light over its soft box and takes one direction of the sky, both with
shadow maps, and shifts the camera by a part of a pixel. The average has soft shadows, ambient occlusion
and smooth edges. Runs without a screen and without a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

from scripts.sampleshop.geometry import Mesh, sheet
from scripts.sampleshop.patterns import Array, Pattern, mix, noise, rgb

vtk.vtkObject.GlobalWarningDisplayOff()
HALF_WIDTH = 9.0  # of the set


@dataclass(frozen=True)
class Part:
    """A surface and what it is made of."""

    mesh: Mesh
    pattern: Pattern
    roughness: float = 0.35
    metallic: float = 0.0
    coat: float = 0.0


@dataclass(frozen=True)
class Backdrop:
    """The floor's pattern, the wall's colour, and whether the floor runs up into the wall as studio paper does."""

    floor: Pattern
    wall: str
    paper: bool
    floor_roughness: float = 0.8


@dataclass(frozen=True)
class Shot:
    """One photograph. Angles in degrees; ``zoom`` 1 fills most of the frame, ``shift`` is in frame widths."""

    yaw: float = 0.0
    elevation: float = 18.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    roll: float = 0.0
    key_azimuth: float = -40.0
    key_elevation: float = 45.0
    key_size: float = 1.2
    warmth: float = 0.0  # -1 cool … 1 warm
    exposure: float = 1.0


def _polydata(mesh: Mesh, colours: Array | None) -> vtk.vtkPolyData:
    data, points = vtk.vtkPolyData(), vtk.vtkPoints()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(mesh.points, np.float32), deep=True))
    data.SetPoints(points)
    cells = vtk.vtkCellArray()
    offsets = np.arange(0, 4 * len(mesh.quads) + 1, 4, dtype=np.int64)
    cells.SetData(
        numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(mesh.quads.ravel(), np.int64), deep=True),
    )
    data.SetPolys(cells)
    if colours is not None:
        paint = numpy_to_vtk(np.ascontiguousarray(np.clip(colours, 0, 1) * 255).astype(np.uint8), deep=True)
        data.GetPointData().SetScalars(paint)
    return data


def _actor(part: Part) -> vtk.vtkActor:
    data = _polydata(part.mesh, part.pattern(part.mesh.points, part.mesh.uv))
    clean = vtk.vtkCleanPolyData()  # closes the seams, so that shading runs across them
    clean.SetInputData(data)
    clean.SetAbsoluteTolerance(1e-6)
    clean.ToleranceIsAbsoluteOn()
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(clean.GetOutputPort())
    normals.SetFeatureAngle(50)
    normals.ConsistencyOff()
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetInterpolationToPBR()
    look.SetRoughness(part.roughness)
    look.SetMetallic(part.metallic)
    look.SetCoatStrength(part.coat)
    look.SetCoatRoughness(0.08)
    return actor


def _texture(pixels: NDArray[np.generic], linear: bool) -> vtk.vtkTexture:
    height, width, _ = pixels.shape
    data = vtk.vtkImageData()
    data.SetDimensions(width, height, 1)
    data.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(pixels.reshape(-1, 3)), deep=True))
    texture = vtk.vtkTexture()
    texture.SetInputData(data)
    texture.InterpolateOn()
    texture.MipmapOn()
    texture.SetColorModeToDirectScalars()
    texture.SetUseSRGBColorSpace(not linear)
    return texture


@cache
def _floor_texture(pattern: Pattern, front: float, back: float) -> vtk.vtkTexture:
    y, x = np.meshgrid(np.linspace(front, back, 700), np.linspace(-HALF_WIDTH, HALF_WIDTH, 1200), indexing="ij")
    points = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    pixels = (pattern(points, points[:, :2] / 2.0).reshape(700, 1200, 3) * 255).astype(np.uint8)
    return _texture(pixels, linear=False)


def _strip(line: Sequence[tuple[float, float]], colour: str, roughness: float) -> vtk.vtkActor:
    """A sheet as wide as the set, following the (y, z) line, its texture once from front to back."""
    across = np.linspace(-HALF_WIDTH, HALF_WIDTH, 2)
    mesh = sheet(np.array([[(x, y, z) for x in across] for y, z in line]))
    data = _polydata(mesh, None)
    data.GetPointData().SetTCoords(numpy_to_vtk(np.ascontiguousarray(mesh.uv, np.float32), deep=True))
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(data)
    normals.SetFeatureAngle(60)
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    look = actor.GetProperty()
    look.SetInterpolationToPBR()
    look.SetRoughness(roughness)
    look.SetColor(*rgb(colour))
    return actor


def _surroundings() -> vtk.vtkTexture:
    """A dim room with three bright windows: what shiny things reflect."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, 128), np.linspace(-np.pi, np.pi, 256), indexing="ij")
    room = (0.045 + 0.03 * np.cos(theta))[..., None] * np.array([1.0, 1.0, 1.02])
    for at_phi, at_theta, wide, high, light in (
        (-0.9, 0.9, 0.35, 0.4, 1.9),
        (1.3, 0.8, 0.5, 0.3, 1.0),
        (2.9, 1, 0.4, 0.3, 0.7),
    ):
        edge = np.maximum(np.abs(phi - at_phi) / wide, np.abs(theta - at_theta) / high)
        room += (np.clip((1.15 - edge) / 0.15, 0, 1) * light)[..., None]
    return _texture(room[::-1].astype(np.float32), linear=True)


def _empty_room() -> vtk.vtkRenderer:
    renderer = vtk.vtkRenderer()
    renderer.UseImageBasedLightingOn()
    renderer.SetEnvironmentTexture(_surroundings(), False)
    renderer.SetEnvironmentUp(0, 0, 1)
    renderer.SetEnvironmentRight(1, 0, 0)
    renderer.AutomaticLightCreationOff()
    return renderer


def _shadowed_view() -> vtk.vtkCameraPass:
    baker, shadows = vtk.vtkShadowMapBakerPass(), vtk.vtkShadowMapPass()
    baker.SetResolution(640)
    shadows.SetShadowMapBakerPass(baker)
    passes, sequence, view = vtk.vtkRenderPassCollection(), vtk.vtkSequencePass(), vtk.vtkCameraPass()
    passes.AddItem(baker)
    passes.AddItem(shadows)
    sequence.SetPasses(passes)
    view.SetDelegatePass(sequence)
    return view


class Studio:
    """One off-screen window; photographs are square, ``size`` pixels a side."""

    def __init__(self, size: int = 384, exposures: int = 14) -> None:
        self.size, self.exposures = size, exposures
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(size, size)
        self.renderer = _empty_room()  # one for all: its reflections are filtered once
        self.window.AddRenderer(self.renderer)

    def photograph(self, parts: Sequence[Part], backdrop: Backdrop, shot: Shot, seed: int) -> NDArray[np.uint8]:
        """Pixels (size, size, 3) in sRGB, upright."""
        lights = self._set_up(parts, backdrop, shot)
        rng = np.random.default_rng(seed)
        total = np.zeros((self.size, self.size, 3))
        sky = rng.permutation(self.exposures)
        for i in range(self.exposures):
            self._expose(lights, shot, rng, i, int(sky[i]))
            total += (self._grab() / 255.0) ** 2.2
        linear = total / self.exposures * shot.exposure
        return np.asarray(np.clip(linear, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)

    def _set_up(self, parts: Sequence[Part], backdrop: Backdrop, shot: Shot) -> list[vtk.vtkLight]:
        renderer = self.renderer
        renderer.RemoveAllViewProps()
        renderer.RemoveAllLights()
        points = np.concatenate([part.mesh.points for part in parts])
        low, high = points.min(0), points.max(0)
        scale = 2.0 / np.linalg.norm(high - low)
        stand = vtk.vtkTransform()
        stand.RotateZ(shot.yaw)
        stand.Scale(scale, scale, scale)
        stand.Translate(-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2])
        for part in parts:
            actor = _actor(part)
            actor.SetUserTransform(stand)
            renderer.AddActor(actor)
        self._build_set(backdrop)
        renderer.SetBackground(*rgb(backdrop.wall))
        renderer.SetPass(_shadowed_view())
        self._aim(shot, (high[2] - low[2]) * scale / 2)
        return [self._lamp(shot.warmth, 1.75), self._lamp(-0.2, 1.5)]

    def _build_set(self, backdrop: Backdrop) -> None:
        renderer = self.renderer
        back, bend = 2.6, 2.2
        floor = [(-6.0, 0.0), (back, 0.0)]
        if backdrop.paper:
            turn = np.linspace(0, np.pi / 2, 16)[1:]
            floor += zip(back + bend * np.sin(turn), bend * (1 - np.cos(turn)), strict=True)
            renderer.AddActor(_strip([*floor, (back + bend, 9.0)], backdrop.wall, backdrop.floor_roughness))
            return
        board = _strip(floor, backdrop.wall, backdrop.floor_roughness)
        board.GetProperty().SetBaseColorTexture(_floor_texture(backdrop.floor, -6.0, back))
        renderer.AddActor(board)
        renderer.AddActor(_strip([(back, 0.0), (back, 9.0)], backdrop.wall, 0.95))

    def _aim(self, shot: Shot, middle: float) -> None:
        camera = self.renderer.GetActiveCamera()
        up, away = np.radians(shot.elevation), 4.5 / shot.zoom
        camera.SetViewAngle(26)
        camera.SetViewUp(0, 0, 1)
        camera.SetPosition(0, -away * np.cos(up), middle + away * np.sin(up))
        camera.SetFocalPoint(0, 0, middle)
        camera.Roll(shot.roll)
        self.renderer.ResetCameraClippingRange()

    def _lamp(self, warmth: float, intensity: float) -> vtk.vtkLight:
        lamp = vtk.vtkLight()
        lamp.SetLightTypeToSceneLight()
        lamp.PositionalOn()
        lamp.SetConeAngle(38)
        lamp.SetExponent(0)
        lamp.SetFocalPoint(0, 0, 0.5)
        lamp.SetColor(1.0, 1.0 - 0.06 * abs(warmth), 1.0 - 0.20 * warmth) if warmth >= 0 else lamp.SetColor(
            1.0 + 0.18 * warmth, 1.0 + 0.05 * warmth, 1.0
        )
        lamp.SetIntensity(intensity)
        self.renderer.AddLight(lamp)
        return lamp

    def _expose(self, lights: list[vtk.vtkLight], shot: Shot, rng: np.random.Generator, ring: int, turn: int) -> None:
        """``ring`` and ``turn``: which stratum of the sky this exposure takes its direction from."""
        azimuth, up = np.radians(shot.key_azimuth), np.radians(shot.key_elevation)
        key = 10 * np.array([np.sin(azimuth) * np.cos(up), -np.cos(azimuth) * np.cos(up), np.sin(up)])
        lights[0].SetPosition(*(key + rng.uniform(-1, 1, 3) * shot.key_size))
        # the sky: cosine-weighted directions, one stratum an exposure
        spin = 2 * np.pi * (turn + rng.random()) / self.exposures
        flat = np.sqrt((ring + rng.random()) / self.exposures) * 0.96
        lights[1].SetPosition(*(10 * np.array([flat * np.cos(spin), flat * np.sin(spin), np.sqrt(1 - flat**2)])))
        jitter = (rng.random(2) - 0.5) * 2 / self.size
        self.renderer.GetActiveCamera().SetWindowCenter(-2 * shot.shift[0] + jitter[0], -2 * shot.shift[1] + jitter[1])
        self.window.Render()

    def _grab(self) -> NDArray[np.float64]:
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.Update()
        scalars = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return np.asarray(scalars.reshape(self.size, self.size, -1)[::-1, :, :3], np.float64)


def planks(light: str, dark: str) -> Pattern:
    """A table top of boards, 0.7 units wide."""

    def paint(points: Array, uv: Array) -> Array:
        board = np.floor(points[:, 1] / 0.7)
        grain = noise(points * [0.35, 5.0, 1.0] + board[:, None] * 3.7, 1.6, 11, 3)
        base = mix(rgb(light), rgb(dark), 0.25 * (np.sin(board * 12.9) + 1) / 2 + 0.75 * grain - 0.1)
        gap = np.abs(points[:, 1] / 0.7 - np.round(points[:, 1] / 0.7)) < 0.008
        return np.asarray(np.where(gap[:, None], base * 0.55, base))

    return paint
