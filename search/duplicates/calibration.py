"""Choosing the thresholds: real pictures, what is done to them, and the others most like them. No Django models.

Positives: a picture and its distortion. Negatives: a picture and its nearest others of the same folder, by hash and by
every descriptor: the look-alikes that a scan would propose, not any two pictures, which would flatter every rule.
Thresholds are chosen on half of the pictures and measured on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from catalog.images import THUMBNAIL_SIDE, decode, thumbnail
from search.duplicates.aligning import Small, agreement
from search.duplicates.distortions import DISTORTIONS
from search.duplicates.phash import hamming, perceptual_hash
from search.duplicates.rule import Rule
from search.extraction.extractor import Extractor
from search.types import Descriptors

LOOK_ALIKE = "look-alike"
NEAREST = 3  # look-alikes of each picture, by each measure
BATCH = 32
NEVER, ANYTHING = 2.0, -1.0  # a score none reaches, an agreement all have
LOSS = 0.01  # of the recall, that fewer proposals to look at may cost

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pair:
    """``kind``: a distortion, or LOOK_ALIKE. ``half``: 0 to choose on, 1 to measure on. ``scores``: by extractor."""

    kind: str
    half: int
    distance: int
    agreement: float
    scores: Mapping[str, float]


@dataclass
class Seen:
    """Pictures as a scan sees them."""

    hashes: list[bytes] = field(default_factory=list)
    small: list[Small] = field(default_factory=list)
    pixels: list[Image.Image] = field(default_factory=list)  # of the batch
    descriptors: dict[str, list[Descriptors]] = field(default_factory=dict)

    def add(self, data: bytes, extractors: Mapping[str, Extractor]) -> None:
        """From the thumbnail that the site would store of these bytes; the descriptor from the picture itself."""
        pixels = decode(data, min_side=THUMBNAIL_SIDE).pixels
        stored = decode(thumbnail(pixels)).pixels
        self.hashes.append(perceptual_hash(stored))
        self.small.append(Small.of(stored))
        self.pixels.append(pixels)
        if len(self.pixels) == BATCH:
            self.flush(extractors)

    def flush(self, extractors: Mapping[str, Extractor]) -> None:
        for name, extractor in extractors.items():
            self.descriptors.setdefault(name, []).append(extractor.extract(self.pixels))
        self.pixels.clear()


def measure(
    files: Sequence[Path], originals: int, extractors: Mapping[str, Extractor], on_progress: Progress, seed: int = 0
) -> list[Pair]:
    """The pairs of one folder: ``originals`` of the files are distorted and have look-alikes looked for in all."""
    rng = np.random.default_rng(seed)
    chosen = [files[place] for place in rng.permutation(len(files))]
    seen, kinds = Seen(), list[tuple[int, str]]()
    for place, path in enumerate(chosen):
        data = path.read_bytes()
        for kind, changed in (("", data), *(_distorted(data, rng) if place < originals else ())):
            seen.add(changed, extractors)
            kinds.append((place, kind))
        on_progress(path.parent.name, place + 1, len(chosen))
    seen.flush(extractors)
    x = {name: np.concatenate(parts) for name, parts in seen.descriptors.items()}
    first = {place: row for row, (place, kind) in enumerate(kinds) if not kind}
    positives = [(first[place], row, kind) for row, (place, kind) in enumerate(kinds) if kind]
    negatives = [(a, b, LOOK_ALIKE) for a, b in sorted(_look_alikes(seen, x, list(first.values()), originals))]
    return [_pair(seen, x, a, b, kind, kinds[a][0] % 2) for a, b, kind in (*positives, *negatives)]


def _distorted(data: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    pixels = decode(data).pixels
    for kind, distort in DISTORTIONS.items():
        yield kind, distort(pixels, rng)


def _look_alikes(seen: Seen, x: Mapping[str, Descriptors], rows: list[int], originals: int) -> set[tuple[int, int]]:
    every = np.array(rows)
    bits = np.unpackbits(np.array([list(seen.hashes[row]) for row in rows], np.uint8), axis=1).astype(np.int16)
    found: set[tuple[int, int]] = set()
    for place in range(min(originals, len(rows))):
        nearness = [
            -np.abs(bits - bits[place]).sum(1),
            *(vectors[every] @ vectors[rows[place]] for vectors in x.values()),
        ]
        for closeness in nearness:
            closeness = closeness.astype(np.float64)
            closeness[place] = -np.inf
            found |= {(rows[place], int(every[other])) for other in np.argsort(-closeness, kind="stable")[:NEAREST]}
    return found


def _pair(seen: Seen, x: Mapping[str, Descriptors], a: int, b: int, kind: str, half: int) -> Pair:
    scores = {name: float(vectors[a] @ vectors[b]) for name, vectors in x.items()}
    return Pair(kind, half, hamming(seen.hashes[a], seen.hashes[b]), agreement(seen.small[a], seen.small[b]), scores)


@dataclass(frozen=True)
class Figures:
    """Shares: of distorted pictures found, of look-alikes taken for duplicates, of look-alikes that were looked at."""

    recall: float
    false_positives: float
    proposed: float
    positives: int
    negatives: int


def figures(pairs: Sequence[Pair], rule: Rule, extractor: str, kind: str | None = None) -> Figures:
    """``kind``: of one distortion only."""
    positives = [pair for pair in pairs if (pair.kind == kind if kind else pair.kind != LOOK_ALIKE)]
    negatives = [pair for pair in pairs if pair.kind == LOOK_ALIKE]
    return Figures(
        _share(positives, lambda pair: _found(pair, rule, extractor)),
        _share(negatives, lambda pair: _found(pair, rule, extractor)),
        _share(negatives, lambda pair: rule.proposes(pair.distance, pair.scores[extractor])),
        len(positives),
        len(negatives),
    )


def _found(pair: Pair, rule: Rule, extractor: str) -> bool:
    return rule.proposes(pair.distance, pair.scores[extractor]) and rule.confirms(pair.agreement)


def _share(pairs: Sequence[Pair], test: Callable[[Pair], bool]) -> float:
    return sum(map(test, pairs)) / len(pairs) if pairs else 0.0


def choose(pairs: Sequence[Pair], extractor: str, false_positives: float) -> Rule:
    """The rule that finds most with at most this share of look-alikes; of near equals the one that looks at fewest."""
    grid = product(range(2, 17, 2), range(60, 99, 2), range(60, 96, 5))
    rules = [Rule(distance, score / 100, share / 100) for distance, score, share in grid]
    return _best(rules, pairs, extractor, false_positives)


def choose_alone(pairs: Sequence[Pair], extractor: str, false_positives: float) -> tuple[Rule, Rule]:
    """What the hash alone and the score alone can do, without a look at the pixels: to compare with."""
    by_hash = [Rule(distance, NEVER, ANYTHING) for distance in range(33)]
    by_score = [Rule(-1, score / 1000, ANYTHING) for score in range(600, 1001, 2)]
    return (
        _best(by_hash, pairs, extractor, false_positives),
        _best(by_score, pairs, extractor, false_positives),
    )


def _best(rules: Sequence[Rule], pairs: Sequence[Pair], extractor: str, false_positives: float) -> Rule:
    tried = [(rule, figures(pairs, rule, extractor)) for rule in rules]
    allowed = [(rule, got) for rule, got in tried if got.false_positives <= false_positives]
    most = max((got.recall for _, got in allowed), default=0.0)
    near = [(rule, got) for rule, got in allowed if got.recall >= most - LOSS]
    return min(near, key=lambda one: (one[1].proposed, -one[1].recall), default=(rules[0], None))[0]
