"""Which attributes of products become heads, and how pictures are split between fitting, tuning and measuring."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.types import Descriptors, Ids

Texts: TypeAlias = tuple[str, ...]  # values of one attribute of one product; () where it states none

FEWEST_PRODUCTS = 8  # of a value, to be one of a head's
FEWEST_TO_FIT = 3  # of those, among the products it is fitted on
LONGEST_NAME, LONGEST = 100, 200  # characters of an attribute's name, and of a value
MOST_VALUES = 200  # of a head, the most frequent ones
LEAST_COVERAGE = 0.3  # share of the products that state the attribute
LEAST_KNOWN = 0.5  # share of those whose values are frequent enough: less is free text
FIT, TUNE, MEASURE = 0, 1, 2
SHARES = (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class LeftOut:
    """``why``: numbers, mixed, few_values, coverage, free_text, or no_better."""

    attribute: str
    why: str


@dataclass(frozen=True)
class Sample:
    """Pictures with what their products state, n of each.

    ``products`` and ``contents``: equal numbers are the same product, the same bytes. ``stated``: by attribute.
    """

    x: Descriptors
    products: Ids
    contents: Ids
    stated: Mapping[str, Sequence[Texts]]

    def weights(self) -> NDArray[np.float64]:
        """(n,): each product counts once, however many pictures it has."""
        _, place, counts = np.unique(self.products, return_inverse=True, return_counts=True)
        return np.asarray(1 / counts[place], np.float64)


@dataclass(frozen=True)
class Chosen:
    """An attribute that becomes a head: ``values``, the most frequent first."""

    attribute: str
    exclusive: bool
    values: Texts
    products: int  # that state it


def texts(value: object) -> Texts | None:
    """What a product states as the values of an attribute: (); None where it is no text."""
    if value is None or value == "" or value == []:
        return ()
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(dict.fromkeys(part for part in value if part))
    return None


def choose(attribute: str, values: Iterable[object]) -> Chosen | LeftOut:
    """``values``: of every product, None where it states nothing."""
    found = [texts(value) for value in values]
    stated = [given for given in found if given]
    odd = sum(given is None for given in found)
    if len(attribute) > LONGEST_NAME:
        return LeftOut(attribute, "free_text")
    if odd > len(stated):
        return LeftOut(attribute, "numbers")
    if stated and odd > 0.05 * len(stated):
        return LeftOut(attribute, "mixed")
    counts = Counter(value for given in stated for value in given)
    if counts and sum(map(_is_number, counts)) > len(counts) / 2:
        return LeftOut(attribute, "numbers")
    kept = [(value, count) for value, count in counts.items() if count >= FEWEST_PRODUCTS and len(value) <= LONGEST]
    known = tuple(value for value, _ in sorted(kept, key=lambda pair: (-pair[1], pair[0]))[:MOST_VALUES])
    return _judged(attribute, found, stated, known)


def _judged(attribute: str, found: list[Texts | None], stated: list[Texts], known: Texts) -> Chosen | LeftOut:
    frequent = set(known)
    covered = sum(bool(frequent.intersection(given)) for given in stated)
    if len(stated) < LEAST_COVERAGE * len(found):
        return LeftOut(attribute, "coverage")
    if len(stated) >= 2 * FEWEST_PRODUCTS and covered < LEAST_KNOWN * len(stated):
        return LeftOut(attribute, "free_text")
    if len(known) < 2:
        return LeftOut(attribute, "few_values")
    return Chosen(attribute, all(len(given) == 1 for given in stated), known, len(stated))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def targets(chosen: Chosen, stated: Sequence[Texts]) -> NDArray[np.float32]:
    """(n, c), 1 where the row has the value. Exclusive ones get a last column for all values that are none of them."""
    place = {value: column for column, value in enumerate(chosen.values)}
    found = np.zeros((len(stated), len(place) + chosen.exclusive), np.float32)
    for row, given in enumerate(stated):
        for value in given:
            column = place.get(value, len(place))
            if column < found.shape[1]:
                found[row, column] = 1
    return found


def split(keys: Sequence[str], products: Ids, contents: Ids, seed: int) -> NDArray[np.int64]:
    """FIT, TUNE or MEASURE for each picture (n,).

    A product's pictures are all in one part, and so are products that share a picture: a copy on the other side would
    be no test. ``keys``: of each picture's product; with ``seed`` they decide the order in which parts are filled.
    """
    groups = _joined(products, contents)
    of_group: dict[int, str] = {}
    for group, key in zip(groups.tolist(), keys, strict=True):
        of_group[group] = min(key, of_group.get(group, key))
    order = sorted(of_group, key=lambda group: hashlib.sha256(f"{seed}:{of_group[group]}".encode()).digest())
    cuts = np.rint(np.cumsum(SHARES) * len(order))
    part = {group: int(np.searchsorted(cuts, place, side="right")) for place, group in enumerate(order)}
    return np.array([part[group] for group in groups.tolist()], np.int64)


def _joined(products: Ids, contents: Ids) -> Ids:
    """The lowest product that each picture's product is tied to by equal pictures."""
    _, product = np.unique(products, return_inverse=True)
    _, content = np.unique(contents, return_inverse=True)
    group = np.arange(product.max(initial=-1) + 1)
    while True:
        lowest = np.full(content.max(initial=-1) + 1, len(group))
        np.minimum.at(lowest, content, group[product])
        new = group.copy()
        np.minimum.at(new, product, lowest[content])
        if (new == group).all():
            return np.asarray(group[product], np.int64)
        group = new
