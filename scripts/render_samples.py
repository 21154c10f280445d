#!/usr/bin/env python3
"""Render sample_catalog/ anew: ``python scripts/render_samples.py`` (needs the extra 'render').

Every picture is set by the product's place in the range, so two runs give the same shop.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.sampleshop.backdrops import PAPERS, ROOMS, STUDIO
from scripts.sampleshop.range import GOODS, Good
from scripts.sampleshop.stage import Backdrop, Shot, Studio

GALLERY_SHOTS = 4
QUALITY = 86
ATTRIBUTES = ("colour", "material", "shape", "pattern")


def shots(good: Good, seed: int) -> list[tuple[Backdrop, Shot]]:
    """Four for the gallery, from the tidy studio shot to the odd angle, then one or two visitors' photos."""
    rng = np.random.default_rng(seed)
    side, turn = float(rng.choice([-1, 1])), good.turn
    papers, rooms = rng.permutation(len(PAPERS)), rng.permutation(len(ROOMS))

    def shot(
        backdrop: Backdrop, yaw: float, low: float, high: float, zoom: float, **light: float
    ) -> tuple[Backdrop, Shot]:
        return backdrop, Shot(
            yaw=yaw + float(rng.uniform(-6, 6)),
            elevation=float(rng.uniform(low, high)),
            zoom=zoom * float(rng.uniform(0.95, 1.05)),
            shift=tuple(rng.uniform(-0.05, 0.05, 2) * (zoom < 0.95)),
            roll=float(rng.uniform(-1, 1)) * light.pop("tilt", 0.0),
            key_azimuth=float(rng.uniform(-75, 75)),
            key_elevation=float(rng.uniform(32, 62)),
            **light,
        )

    return [
        shot(STUDIO, -side * 0.3 * turn, 12, 18, 1.0),
        shot(PAPERS[papers[0]], side * 0.6 * turn, 18, 28, 1.02, warmth=0.3, key_size=2.0),
        shot(ROOMS[rooms[0]], -side * 0.85 * turn, 14, 24, 0.82, warmth=0.7),
        shot(ROOMS[rooms[1]], side * turn, 28, 40, 0.9, warmth=-0.5, exposure=0.9),
        shot(ROOMS[rooms[2]], side * 0.25 * turn, 16, 30, 0.85, warmth=0.5, tilt=5.0, exposure=1.05),
        shot(PAPERS[papers[1]], -side * 0.55 * turn, 10, 34, 0.72, warmth=-0.8, tilt=4.0, exposure=0.78, key_size=0.5),
    ][: 6 if seed % 2 else 5]


def name_of(good: Good, number: int) -> str:
    """The file of a shot: gallery pictures are numbered, queries by visitors have a q."""
    number += 1
    return f"{good.sku.lower()}-{number if number <= GALLERY_SHOTS else f'q{number - GALLERY_SHOTS}'}.jpg"


def gallery(good: Good) -> list[str]:
    return [name_of(good, number) for number in range(GALLERY_SHOTS)]


def render(out: Path, only: str, missing: bool) -> None:
    studio = Studio()
    work = [
        (i, good, n)
        for i, good in enumerate(GOODS)
        for n in range(len(shots(good, i)))
        if good.sku.startswith(tuple(only.split(",")))
    ]
    for i, good, number in tqdm(work, unit="picture"):
        backdrop, shot = shots(good, i)[number]
        path = out / ("database" if number < GALLERY_SHOTS else "query") / name_of(good, number)
        if missing and path.exists():
            continue
        pixels = studio.photograph(good.model(), backdrop, shot, seed=100 * i + number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=QUALITY, optimize=True, progressive=True)


def look_alikes(good: Good) -> list[Good]:
    """Other products that resemble it: the same shape of the same family, or the same colour in its aisle."""
    aisle = good.category.split("/")[0]
    return [
        other
        for other in GOODS
        if other is not good
        and (
            (other.family == good.family and other.shape == good.shape)
            or (other.colour == good.colour and other.category.split("/")[0] == aisle)
        )
    ]


def write_tables(out: Path) -> None:
    """products.csv: a row a product. ground_truth.csv: what is not listed is negative."""
    with (out / "products.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["sku", "title", "category", "price", "currency", "stock", *ATTRIBUTES, "images"])
        for good in GOODS:
            row = [good.sku, good.title, good.category, good.price, "EUR", good.stock]
            table.writerow([*row, *(getattr(good, name) for name in ATTRIBUTES), ";".join(gallery(good))])
    with (out / "ground_truth.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["query", "image", "grade"])
        for i, good in enumerate(GOODS):
            for number in range(GALLERY_SHOTS, len(shots(good, i))):
                query = name_of(good, number)
                *easy, odd = gallery(good)
                table.writerows([query, image, "easy"] for image in easy)
                table.writerow([query, odd, "hard"])
                table.writerows(
                    [query, image, "distractor"] for other in look_alikes(good) for image in gallery(other)[:2]
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "sample_catalog")
    parser.add_argument("--only", default="", help="first letters of the SKUs to render, separated by commas")
    parser.add_argument("--tables", action="store_true", help="write the tables only")
    parser.add_argument("--missing", action="store_true", help="leave the pictures that are there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write_tables(options.out)
    if not options.tables:
        render(options.out, options.only, options.missing)


if __name__ == "__main__":
    main()
