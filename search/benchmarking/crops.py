"""Many real descriptors from few pictures: random crops and flips, each through the network.

base.f16      (n, dim) little-endian float16: what is searched
queries.f16   (m, dim): crops of pictures that have none in the base
pictures.json what was asked for, and how many pictures are done: a killed run goes on from there
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from search.extraction.extractor import Extractor

BASE, QUERIES, STATE = "base.f16", "queries.f16", "pictures.json"
HELD_OUT = 50  # every so many pictures, one gives queries and nothing else
AT_ONCE = 16  # pictures
SMALLEST, LONGEST = 0.25, 4 / 3  # share of the picture's area, and shape, as for training at random crops

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Plan:
    """``crops`` of each picture, so that there are at least ``count`` of those that are not held out."""

    pictures: int
    crops: int
    dim: int
    fingerprint: str
    seed: int = 0

    @property
    def held_out(self) -> int:
        return -(-self.pictures // HELD_OUT)

    def rows(self, number: int) -> tuple[str, slice]:
        """The file and the rows of one picture's crops."""
        place = number // HELD_OUT if number % HELD_OUT == 0 else number - number // HELD_OUT - 1
        return (QUERIES if number % HELD_OUT == 0 else BASE), slice(place * self.crops, (place + 1) * self.crops)


def plan_of(pictures: int, count: int, extractor: Extractor, seed: int = 0) -> Plan:
    crops = -(-count // max(1, pictures - -(-pictures // HELD_OUT)))
    return Plan(pictures, crops, extractor.dim, extractor.fingerprint, seed)


def crop_boxes(width: int, height: int, count: int, seed: str) -> Iterator[tuple[Box, bool]]:
    """Boxes in pixels (left, top, right, bottom) and whether to flip. The same for the same seed."""
    rng = random.Random(seed)  # noqa: S311  (no secret)
    for _ in range(count):
        area, shape = rng.uniform(SMALLEST, 1.0) * width * height, rng.uniform(1 / LONGEST, LONGEST)
        w, h = min(width, (area * shape) ** 0.5), min(height, (area / shape) ** 0.5)
        left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
        yield (left, top, left + w, top + h), rng.random() < 0.5


def crops_of(path: Path, count: int, side: int, seed: str) -> NDArray[np.uint8]:
    """(count, side, side, 3)."""
    with PIL.Image.open(path) as opened:
        image = opened.convert("RGB")
    pixels = np.empty((count, side, side, 3), np.uint8)
    for place, (box, flip) in enumerate(crop_boxes(*image.size, count, seed)):
        crop = np.asarray(image.resize((side, side), PIL.Image.Resampling.BILINEAR, box=box))
        pixels[place] = crop[:, ::-1] if flip else crop
    return pixels


def make(
    pictures: Sequence[Path], plan: Plan, extractor: Extractor, side: int, folder: Path, report: Callable[[int], None]
) -> None:
    """Write or go on writing ``folder``. Raises ValueError where it holds another plan's files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: _file(folder / name, count * plan.crops, plan.dim) for name, count in _counts(plan).items()}
    done = _done(folder, plan)
    with closing(_Ahead(pictures, plan, side, done)) as ahead:
        for start in range(done, len(pictures), AT_ONCE):
            block = range(start, min(start + AT_ONCE, len(pictures)))
            descriptors = extractor.describe(np.concatenate([ahead.next() for _ in block]))
            for place, number in enumerate(block):
                name, rows = plan.rows(number)
                files[name][rows] = descriptors[place * plan.crops : (place + 1) * plan.crops]
            _note(folder, plan, block.stop)
            report(block.stop)


class _Ahead:
    """Crops of the coming pictures, cut in threads beside the network."""

    def __init__(self, pictures: Sequence[Path], plan: Plan, side: int, first: int) -> None:
        self._numbers = iter(range(first, len(pictures)))
        self._pictures, self._plan, self._side = pictures, plan, side
        self._pool, self._waiting = ThreadPoolExecutor(2), deque[Future[NDArray[np.uint8]]]()
        for _ in range(2 * AT_ONCE):
            self._submit()

    def next(self) -> NDArray[np.uint8]:
        self._submit()
        return self._waiting.popleft().result()

    def _submit(self) -> None:
        if (number := next(self._numbers, None)) is not None:
            name = f"{self._plan.seed} {number}"
            self._waiting.append(
                self._pool.submit(crops_of, self._pictures[number], self._plan.crops, self._side, name)
            )

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _counts(plan: Plan) -> dict[str, int]:
    return {BASE: plan.pictures - plan.held_out, QUERIES: plan.held_out}


def _file(path: Path, rows: int, dim: int) -> NDArray[np.float16]:
    mode = "r+" if path.exists() else "w+"
    return np.memmap(path, np.dtype("<f2"), mode, shape=(rows, dim))  # type: ignore[call-overload,no-any-return]


def _done(folder: Path, plan: Plan) -> int:
    try:
        state = json.loads((folder / STATE).read_text())
    except FileNotFoundError:
        return 0
    done = int(state.pop("done"))
    if state != asdict(plan):
        raise ValueError(f"{folder} holds descriptors made otherwise: {state}. Give an empty folder.")
    return done


def _note(folder: Path, plan: Plan, done: int) -> None:
    new = folder / f"{STATE}.new"
    new.write_text(json.dumps(asdict(plan) | {"done": done}))
    new.replace(folder / STATE)
