"""Families of products: each function models one thing and returns its parts."""

from __future__ import annotations

import numpy as np

from scripts.sampleshop.geometry import Mesh, ball, box, cushion, join, lathe, ring, tube
from scripts.sampleshop.patterns import Array, Pattern, dots, noise, plain, rgb, stripes, wedges, wood, woven
from scripts.sampleshop.stage import Part

OAK = ("#d2a46e", "#94622f")
WALNUT = ("#855a3a", "#4b2f1d")
BEECH = ("#e3c79c", "#c39d68")


def timber(kind: tuple[str, str], axis: int = 2, seed: int = 0) -> Pattern:
    return wood(*kind, seed=seed, axis=axis)


def mug(body: Pattern, handle: str, height: float = 1.0, waist: float = 0.0) -> list[Part]:
    cup = [
        (0, 0),
        (0.38, 0),
        (0.42, 0.04),
        (0.42 - waist, height / 2),
        (0.42, height - 0.02),
        (0.405, height),
        (0.38, height - 0.02),
        (0.37 - waist, height / 2),
        (0.36, 0.08),
        (0, 0.06),
    ]
    grip = [
        (0.43 - waist / 2, 0, 0.8 * height),
        (0.62, 0, 0.8 * height),
        (0.7, 0, 0.52 * height),
        (0.6, 0, 0.26 * height),
        (0.43 - waist / 2, 0, 0.2 * height),
    ]
    return [
        Part(lathe(cup, smooth=waist > 0), body, 0.22, coat=0.6),
        Part(tube(grip, 0.055), plain(handle), 0.22, coat=0.6),
    ]


VASES = {
    "belly": [
        (0, 0),
        (0.3, 0),
        (0.52, 0.4),
        (0.46, 0.9),
        (0.18, 1.3),
        (0.26, 1.5),
        (0.22, 1.5),
        (0.14, 1.3),
        (0.3, 0.95),
    ],
    "tall": [(0, 0), (0.26, 0), (0.2, 0.3), (0.24, 1.0), (0.36, 1.7), (0.34, 1.72), (0.3, 1.65), (0.2, 1.0)],
    "ball": [
        (0, 0),
        (0.22, 0.0),
        (0.55, 0.35),
        (0.55, 0.65),
        (0.16, 0.98),
        (0.16, 1.1),
        (0.12, 1.1),
        (0.1, 0.98),
        (0.4, 0.7),
    ],
    "cone": [(0, 0), (0.2, 0), (0.3, 0.5), (0.48, 1.3), (0.5, 1.35), (0.45, 1.33), (0.27, 0.5)],
}


def vase(shape: str, body: Pattern, flutes: int = 0, roughness: float = 0.2) -> list[Part]:
    return [Part(lathe(VASES[shape], smooth=True, flutes=flutes, around=216), body, roughness, coat=0.4)]


def bottle(body: Pattern, cap: str, slim: bool = False, metal: bool = False) -> list[Part]:
    w = 0.26 if slim else 0.34
    line = [(0, 0), (w - 0.03, 0), (w, 0.04), (w, 1.15), (w * 0.85, 1.32), (0.14, 1.42), (0.14, 1.5), (0, 1.5)]
    lid = [(0, 1.78), (0.15, 1.78), (0.18, 1.74), (0.18, 1.5), (0.14, 1.46)]
    return [
        Part(lathe(line), body, 0.28 if metal else 0.4, metallic=0.55 if metal else 0.0, coat=0.3),
        Part(lathe(lid), plain(cap), 0.5),
        Part(tube([(-0.13, 0, 1.76), (-0.1, 0, 1.95), (0.1, 0, 1.95), (0.13, 0, 1.76)], 0.03), plain(cap), 0.5),
    ]


def lamp(base: Pattern, shade: Pattern, shape: str = "ball", metal: bool = False) -> list[Part]:
    feet = {
        "ball": [
            (0, 0),
            (0.3, 0),
            (0.3, 0.06),
            (0.1, 0.1),
            (0.34, 0.4),
            (0.3, 0.6),
            (0.08, 0.78),
            (0.05, 1.05),
            (0, 1.05),
        ],
        "column": [(0, 0), (0.36, 0), (0.36, 0.07), (0.07, 0.1), (0.05, 0.6), (0.05, 1.05), (0, 1.05)],
        "cone": [(0, 0), (0.38, 0), (0.36, 0.06), (0.06, 1.0), (0, 1.05)],
    }
    hood = [(0.62, 0.85), (0.36, 1.55), (0.34, 1.55), (0.6, 0.86), (0.62, 0.85)]
    return [
        Part(lathe(feet[shape], smooth=shape == "ball"), base, 0.25, metallic=0.55 if metal else 0.0, coat=0.4),
        Part(lathe(hood), shade, 0.9),
        Part(ball(0.12).moved(z=1.15), plain("#fff3c9"), 0.6),
    ]


def _legs(x: float, y: float, height: float, splay: float, thick: float = 0.05) -> Mesh:
    feet = [(a, b) for a in (-1, 1) for b in (-1, 1)]
    return join(
        *(
            tube([(a * (x + splay), b * (y + splay), thick), (a * x, b * y, height)], [thick * 0.7, thick], False)
            for a, b in feet
        )
    )


def chair(seat: Pattern, frame: Pattern, slats: int = 0, metal: bool = False) -> list[Part]:
    legs = _legs(0.4, 0.38, 0.9, 0.08)
    posts = join(*(tube([(x, 0.42, 0.9), (x, 0.55, 1.9)], 0.045, False) for x in (-0.4, 0.4)))
    parts = [
        Part(join(legs, posts), frame, 0.35, metallic=0.55 if metal else 0.0),
        Part(box(0.98, 0.95, 0.12, 0.05).moved(z=0.88), seat, 0.55),
    ]
    if slats:
        back = join(
            *(
                box(0.84, 0.05, 0.5 / slats, 0.02).moved(y=0.45 + 0.13 * z, z=0.95 + z)
                for z in np.linspace(0.25, 0.8, slats)
            )
        )
    else:
        back = box(0.95, 0.09, 0.62, 0.04).turned("x", -7).moved(y=0.5, z=1.3)
    return [*parts, Part(back, seat, 0.55)]


def stool(seat: Pattern, legs: Pattern) -> list[Part]:
    top = lathe([(0, 0.98), (0.5, 0.98), (0.54, 1.02), (0.54, 1.08), (0.5, 1.12), (0, 1.12)])
    feet = [np.radians(a) for a in (90, 210, 330)]
    wood_legs = join(
        *(
            tube(
                [(0.58 * np.cos(a), 0.58 * np.sin(a), 0.05), (0.32 * np.cos(a), 0.32 * np.sin(a), 1.0)],
                [0.04, 0.06],
                False,
            )
            for a in feet
        )
    )
    return [Part(top, seat, 0.4), Part(join(wood_legs, ring(0.44, 0.025).moved(z=0.4)), legs, 0.4)]


def table(top: Pattern, legs: Pattern, round_top: bool = True, metal: bool = False) -> list[Part]:
    slab = (
        lathe([(0, 0.92), (0.9, 0.92), (0.93, 0.96), (0.93, 0.99), (0.9, 1.02), (0, 1.02)])
        if round_top
        else box(2.0, 1.1, 0.1, 0.04).moved(z=0.92)
    )
    feet = _legs(0.45, 0.45, 0.94, 0.15) if round_top else _legs(0.85, 0.42, 0.94, 0.05, 0.06)
    return [Part(slab, top, 0.35, coat=0.2), Part(feet, legs, 0.3, metallic=0.55 if metal else 0.0)]


def bowl(outside: Pattern, inside: str, deep: bool = False) -> list[Part]:
    h = 0.62 if deep else 0.4
    outer = [(0, 0), (0.28, 0), (0.3, 0.05), (0.55, 0.15), (0.72, h), (0.715, h + 0.02)]
    inner = [(0.715, h + 0.02), (0.69, h), (0.52, 0.2), (0.25, 0.1), (0, 0.08)]
    return [
        Part(lathe(outer, smooth=True), outside, 0.25, coat=0.5),
        Part(lathe(inner, smooth=True), plain(inside), 0.2, coat=0.5),
    ]


def teapot(body: Pattern, trim: str) -> list[Part]:
    pot = lathe([(0, 0), (0.35, 0), (0.58, 0.35), (0.52, 0.65), (0.28, 0.82), (0.26, 0.84)], smooth=True)
    lid = lathe(
        [(0.3, 0.8), (0.26, 0.88), (0.1, 0.95), (0.05, 0.98), (0.1, 1.06), (0.06, 1.12), (0, 1.13)], smooth=True
    )
    spout = tube([(0.45, 0, 0.3), (0.72, 0, 0.4), (0.82, 0, 0.68), (0.95, 0, 0.82)], [0.14, 0.09, 0.06, 0.055])
    grip = tube([(-0.48, 0, 0.66), (-0.78, 0, 0.74), (-0.9, 0, 0.5), (-0.75, 0, 0.25), (-0.53, 0, 0.25)], 0.05)
    return [Part(pot, body, 0.2, coat=0.6), Part(join(lid, spout, grip), plain(trim), 0.2, coat=0.6)]


def toy_ball(pattern: Pattern, roughness: float = 0.3) -> list[Part]:
    return [Part(ball(0.5).turned("x", 25).moved(z=0.5), pattern, roughness, coat=0.3)]


def gift(paper: Pattern, ribbon: str, height: float = 0.7) -> list[Part]:
    bows = join(
        *(
            tube(
                [
                    (0, 0, height),
                    (0.22 * np.cos(a), 0.22 * np.sin(a), height + 0.24),
                    (0.4 * np.cos(a), 0.4 * np.sin(a), height + 0.12),
                    (0, 0, height + 0.02),
                ],
                0.045,
                flat=2.2,
            )
            for a in np.radians([20, 110, 200, 290])
        )
    )
    bands = join(box(0.14, 1.012, height + 0.012, 0.006), box(1.012, 0.14, height + 0.012, 0.006))
    return [Part(box(1, 1, height, 0.02, 90), paper, 0.35), Part(join(bands, bows), plain(ribbon), 0.3, coat=0.3)]


def headphones(shell: str, pad: str, metal: bool = False) -> list[Part]:
    turn = np.radians(np.linspace(-8, 188, 16))
    arc = tube(np.stack([0.62 * np.cos(turn), 0 * turn, 0.62 + 0.62 * np.sin(turn)], -1), 0.05, flat=2.4)
    cup = lathe([(0, 0.2), (0.2, 0.19), (0.27, 0.12), (0.28, 0.0)], smooth=True)
    soft = ring(0.2, 0.09)
    sides = [
        (cup.turned("y", 90 * s).moved(x=s * 0.62, z=0.5), soft.turned("y", 90 * s).moved(x=s * 0.58, z=0.5))
        for s in (-1, 1)
    ]
    return [
        Part(join(*(c for c, _ in sides)), plain(shell), 0.3, 0.5 if metal else 0.0, 0.5),
        Part(join(*(p for _, p in sides)), plain(pad), 0.8),
        Part(arc, plain(shell), 0.35, 0.5 if metal else 0.0),
    ]


def clock(face: str, rim: Pattern, square: bool = False, metal: bool = False) -> list[Part]:
    if square:
        case, dial = box(1.2, 0.22, 1.2, 0.08, 60), box(1.0, 0.02, 1.0, 0.009).moved(y=-0.12, z=0.1)
    else:
        case = lathe([(0, 0), (0.6, 0), (0.64, 0.05), (0.64, 0.2), (0.58, 0.22), (0.56, 0.16), (0, 0.16)])
        case = case.turned("x", 90).moved(z=0.64, y=0.1)
        dial = lathe([(0, 0), (0.56, 0)]).turned("x", 90).moved(z=0.64, y=-0.07)
    middle, front = (0.6, -0.14) if square else (0.64, -0.09)
    ink = "white" if face in {"black", "navy", "teal"} else "black"
    ticks = join(
        *(box(0.03, 0.015, 0.1, 0.005).moved(z=0.36).turned("y", 30 * i).moved(y=front, z=middle) for i in range(12))
    )
    hands = join(box(0.04, 0.015, 0.3, 0.006).turned("y", 305), box(0.03, 0.015, 0.42, 0.006).turned("y", 52)).moved(
        y=front - 0.01, z=middle
    )
    return [
        Part(case, rim, 0.3, 0.55 if metal else 0.0),
        Part(dial, plain(face), 0.7),
        Part(join(ticks, hands), plain(ink), 0.5),
    ]


def cactus(pot: Pattern, kind: str = "ball") -> list[Part]:
    vessel = lathe([(0, 0), (0.3, 0), (0.4, 0.5), (0.43, 0.5), (0.43, 0.6), (0.38, 0.6), (0.36, 0.52), (0, 0.52)])

    def green(points: Array, uv: Array) -> Array:
        return np.asarray(rgb("#4f8a4c") * (0.75 + 0.5 * noise(points, 6.0, 2))[:, None])

    if kind == "ball":
        plant = lathe(
            [(0.1, 0), (0.36, 0.16), (0.4, 0.38), (0.26, 0.62), (0.06, 0.7), (0, 0.69)],
            smooth=True,
            flutes=12,
            around=240,
        )
        plant = plant.moved(z=0.5)
    elif kind == "arms":
        plant = join(
            tube([(0, 0, 0.5), (0, 0, 1.5)], 0.15, False),
            tube([(0, 0, 0.85), (0.3, 0, 0.9), (0.32, 0, 1.25)], 0.09),
            tube([(0, 0, 1.0), (-0.28, 0, 1.05), (-0.3, 0, 1.3)], 0.085),
        )
    else:
        leaves = [(a, 25 + 14 * (i % 3)) for i, a in enumerate(range(0, 360, 30))]
        plant = join(
            *(
                ball(0.09, 0.035, 0.42).moved(z=0.38).turned("y", tilt).turned("z", a).moved(z=0.52)
                for a, tilt in leaves
            )
        )
    return [Part(vessel, pot, 0.5), Part(plant, green, 0.6)]


def jar(body: Pattern, lid: Pattern) -> list[Part]:
    pot = lathe([(0, 0), (0.42, 0), (0.46, 0.05), (0.46, 0.8), (0.4, 0.88)])
    cover = lathe([(0, 1.02), (0.4, 1.02), (0.43, 0.99), (0.43, 0.88), (0, 0.88)])
    return [Part(pot, body, 0.25, coat=0.5), Part(join(cover, ball(0.09).moved(z=1.08)), lid, 0.45)]


def cushion_on_edge(cloth: Pattern) -> list[Part]:
    return [Part(cushion(1.6, 0.6).turned("x", 72).moved(z=0.8), cloth, 0.9)]


def radio(case: Pattern, front: str) -> list[Part]:
    grille: Pattern = dots(front, "#2f3235", 16, 16, 0.28)
    face = box(0.72, 0.02, 0.56, 0.008, 100).moved(x=-0.24, y=-0.27, z=0.14)
    knob = lathe([(0, 0), (0.13, 0), (0.13, 0.08), (0.11, 0.1), (0, 0.1)]).turned("x", 90).moved(x=0.42, y=-0.26, z=0.3)
    dial = box(0.4, 0.02, 0.18, 0.008).moved(x=0.42, y=-0.27, z=0.5)
    grip = tube([(-0.5, 0, 0.82), (-0.46, 0, 1.02), (0.46, 0, 1.02), (0.5, 0, 0.82)], 0.035)
    return [
        Part(box(1.4, 0.52, 0.84, 0.1, 60), case, 0.35, coat=0.2),
        Part(face, grille, 0.6),
        Part(join(knob, grip), plain("silver"), 0.25, 0.9),
        Part(dial, plain("cream"), 0.5),
    ]


def suitcase(shell: str, trim: str) -> list[Part]:
    ribs: Pattern = stripes(shell, shell, 1)
    body = box(0.95, 0.42, 1.35, 0.12, 60).moved(z=0.12)
    ridges = join(*(box(0.035, 0.46, 1.1, 0.015, 16).moved(x=x, z=0.25) for x in np.linspace(-0.36, 0.36, 7)))
    wheels = join(*(ball(0.08).moved(x=x, y=y, z=0.08) for x in (-0.36, 0.36) for y in (-0.13, 0.13)))
    pull = tube([(-0.2, 0.12, 1.45), (-0.2, 0.12, 1.85), (0.2, 0.12, 1.85), (0.2, 0.12, 1.45)], 0.03, False)
    return [Part(join(body, ridges), ribs, 0.4, coat=0.3), Part(join(wheels, pull), plain(trim), 0.4)]


def stacker(*colours: str) -> list[Part]:
    peg = lathe([(0, 0), (0.5, 0), (0.52, 0.03), (0.5, 0.1), (0.1, 0.1), (0.09, 1.15), (0, 1.2)])
    rings = [
        Part(ring(0.4 - 0.055 * i, 0.115).moved(z=0.22 + 0.2 * i), plain(c), 0.3, coat=0.3)
        for i, c in enumerate(colours)
    ]
    top = 0.22 + 0.2 * len(colours)
    return [Part(peg, timber(BEECH), 0.5), *rings, Part(ball(0.13).moved(z=top + 0.06), plain(colours[0]), 0.3)]


def beanbag(cloth: str) -> list[Part]:
    heap = lathe([(0, 0), (0.75, 0.02), (0.88, 0.25), (0.7, 0.62), (0.3, 0.92), (0.06, 1.0), (0, 1.02)], smooth=True)
    return [Part(heap, woven(cloth, 22), 0.9)]


def parasol(*colours: str) -> list[Part]:
    roof = lathe([(1.0, 1.55), (0.6, 1.85), (0.0, 2.02), (0.6, 1.83), (0.98, 1.54)], flutes=8)
    pole = join(tube([(0, 0, 0.08), (0, 0, 2.1)], 0.035, False), lathe([(0, 0), (0.34, 0), (0.34, 0.08), (0.08, 0.12)]))
    return [Part(roof, wedges(*colours), 0.8), Part(pole, timber(BEECH), 0.5)]
