"""What was decided before, by content: so that it holds for a picture that is deleted and imported again."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from catalog.models import Collection
from search.models import DecidedPair

Pair = tuple[str, str]  # two SHA-256, the lower first
CHUNK = 5000


def pair_of(first: str, second: str) -> Pair:
    return (first, second) if first <= second else (second, first)


class Decided:
    """Looked up a chunk at a time: a catalog may have decided on hundreds of thousands of pairs."""

    def __init__(self, collection: Collection) -> None:
        self._pairs = DecidedPair.objects.filter(collection=collection)
        self._any = self._pairs.exists()

    def among(self, contents: Iterable[str]) -> set[Pair]:
        """The decided pairs of which one is among these contents and the other too."""
        known = set(contents) if self._any else set()
        listed = sorted(known)
        found: set[Pair] = set()
        for start in range(0, len(listed), CHUNK):
            rows = self._pairs.filter(first_sha256__in=listed[start : start + CHUNK])
            found.update(pair for pair in rows.values_list("first_sha256", "second_sha256") if pair[1] in known)
        return found


def decide_all(collection: Collection, contents: Iterable[str]) -> None:
    """Note that every two of these were decided on; a content that occurs twice, that its copies were too."""
    listed = sorted(contents)
    pairs = {pair_of(*pair) for pair in combinations(listed, 2)}
    DecidedPair.objects.bulk_create(
        [DecidedPair(collection=collection, first_sha256=a, second_sha256=b) for a, b in sorted(pairs)],
        batch_size=500,
        ignore_conflicts=True,
    )


def undecide_all(collection: Collection, contents: Iterable[str]) -> None:
    listed = set(contents)
    DecidedPair.objects.filter(collection=collection, first_sha256__in=listed, second_sha256__in=listed).delete()
