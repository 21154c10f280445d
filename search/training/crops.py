"""Pictures kept decoded in memory, and crops of them under strong augmentation, the same for teacher and student.

A batch is a function of (seed, step) alone, so training goes on after a kill as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.images import PictureError, decode
from search.extraction.preprocess import Pixels

Step = TypeVar("Step")
Made = TypeVar("Made")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
KEPT_SIDE = 224  # pixels of the short side that are kept in memory


def files_under(folders: Sequence[Path]) -> list[Path]:
    """Every picture file, in an order that does not depend on the file system."""
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def read_all(files: Sequence[Path], threads: int = 4) -> tuple[list[Pixels], list[Path]]:
    """Decoded pictures (h, w, 3) and their files; what cannot be read is left out."""
    kept: list[Pixels] = []
    names: list[Path] = []
    with ThreadPoolExecutor(threads) as pool:
        for file, pixels in zip(files, pool.map(_read, files), strict=True):
            if pixels is not None:
                kept.append(pixels)
                names.append(file)
    return kept, names


def _read(path: Path) -> Pixels | None:
    try:
        picture = decode(path.read_bytes(), min_side=KEPT_SIDE)
    except (PictureError, OSError):
        return None
    image = picture.pixels
    if min(image.size) > KEPT_SIDE:
        scale = KEPT_SIDE / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8)


@dataclass(frozen=True)
class Augmentation:
    """Shares are of pictures, ``area`` and ``ratio`` ranges of the crop, ``jitter`` the largest relative change."""

    area: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (0.7, 1.43)
    jitter: float = 0.3
    grey: float = 0.05
    paste: float = 0.25  # gets a rectangle of another picture: CutMix without labels


class Crops:
    """Random batches of ``size`` crops. ``batch(step, side)`` -> uint8 (size, side, side, 3)."""

    def __init__(
        self, pictures: Sequence[Pixels], size: int, seed: int, how: Augmentation | None = None, threads: int = 2
    ) -> None:
        self._pictures, self._size, self._seed = pictures, size, seed
        self._how = how or Augmentation()
        self._pool = ThreadPoolExecutor(threads)

    def batch(self, step: int, side: int) -> Pixels:
        rng = np.random.default_rng([self._seed, step])
        chosen = self._order(step)
        plans = [self._plan(self._pictures[at].shape[:2], rng) for at in chosen]
        crops = self._pool.map(lambda at, plan: _crop(self._pictures[at], plan, side), chosen, plans)
        pixels = np.stack(list(crops))
        return _pasted(_jittered(pixels, self._how, rng), self._how.paste, rng)

    def _order(self, step: int) -> list[int]:
        """Every picture once before any comes again."""
        places = np.arange(step * self._size, (step + 1) * self._size)
        rounds, at = places // len(self._pictures), places % len(self._pictures)
        orders = {
            turn: np.random.default_rng([self._seed, 7, turn]).permutation(len(self._pictures))
            for turn in set(rounds.tolist())
        }
        return [int(orders[turn][place]) for turn, place in zip(rounds.tolist(), at.tolist(), strict=True)]

    def _round(self, turn: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, 7, turn]).permutation(len(self._pictures))

    def _plan(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[float, float, float, float, bool]:
        """Box (left, top, right, bottom), area and ratio at random (Szegedy et al., 2015), and whether mirrored."""
        high, wide = shape
        area = high * wide * rng.uniform(*self._how.area)
        ratio = np.exp(rng.uniform(*np.log(self._how.ratio)))
        w, h = min(wide, np.sqrt(area * ratio)), min(high, np.sqrt(area / ratio))
        left, top = rng.uniform(0, wide - w), rng.uniform(0, high - h)
        return left, top, left + w, top + h, bool(rng.random() < 0.5)


def ahead(make: Callable[[Step], Made], steps: Sequence[Step], depth: int = 2) -> Iterator[Made]:
    """What ``make`` gives for each step, made in a thread of its own while the caller works on earlier ones."""
    with ThreadPoolExecutor(1) as maker:
        waiting = [maker.submit(make, step) for step in steps[:depth]]
        try:
            for at in range(len(steps)):
                yield waiting.pop(0).result()
                if at + depth < len(steps):
                    waiting.append(maker.submit(make, steps[at + depth]))
        finally:
            for future in waiting:
                future.cancel()


def _crop(pixels: Pixels, plan: tuple[float, float, float, float, bool], side: int) -> Pixels:
    left, top, right, bottom, mirrored = plan
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR, (left, top, right, bottom))
    found = np.asarray(image, np.uint8)
    return found[:, ::-1] if mirrored else found


def _jittered(pixels: Pixels, how: Augmentation, rng: np.random.Generator) -> Pixels:
    """Brightness, contrast and the strength of each channel, by a straight line a channel; some become grey."""
    n = len(pixels)
    gain = rng.uniform(1 - how.jitter, 1 + how.jitter, (n, 1)) * rng.uniform(
        1 - how.jitter / 3, 1 + how.jitter / 3, (n, 3)
    )
    shift = rng.uniform(-how.jitter, how.jitter, (n, 1)) * 64
    centre = pixels.mean(axis=(1, 2))
    for at in range(n):
        lut = (np.arange(256)[:, None] - centre[at]) * gain[at] + centre[at] + shift[at]
        table = np.clip(lut, 0, 255).astype(np.uint8)
        for channel in range(3):
            pixels[at, ..., channel] = table[:, channel][pixels[at, ..., channel]]
    grey = rng.random(n) < how.grey
    if grey.any():
        pixels[grey] = (pixels[grey] @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint8)
    return pixels


def _pasted(pixels: Pixels, part: float, rng: np.random.Generator) -> Pixels:
    """Yun et al., CutMix, ICCV 2019: a rectangle of the batch's next picture."""
    n, side = pixels.shape[:2]
    source = pixels.copy()
    for at in np.flatnonzero(rng.random(n) < part):
        h, w = (rng.uniform(0.25, 0.7, 2) * side).astype(int)
        y, x = rng.integers(0, side - h + 1), rng.integers(0, side - w + 1)
        pixels[at, y : y + h, x : x + w] = source[(at + 1) % n, y : y + h, x : x + w]
    return pixels
