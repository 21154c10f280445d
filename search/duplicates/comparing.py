"""The comparing of a scan: every content with its nearest by hash and by descriptor, a chunk at a time.

Pictures are not chained: every member of a group matches the group's representative, its first picture. Where A and B
match and B and C, but not A and C, C waits: when A and B are decided on, the next scan asks about B and C.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from django.db import transaction
from django.db.models import F

from catalog.models import Image
from search.duplicates.aligning import agreement
from search.duplicates.contents import Contents
from search.duplicates.decided import Decided, Pair, pair_of
from search.duplicates.descriptor_search import DescriptorSearch
from search.duplicates.hash_search import HashSearch
from search.duplicates.hashing import SmallCopies
from search.duplicates.open_groups import OpenGroup, OpenGroups
from search.duplicates.rule import Rule
from search.models import DuplicateScan

COMPARING = "comparing"
CHUNK = 256


@dataclass(frozen=True)
class Near:
    """A content that is proposed to be the same as another one."""

    row: int
    distance: int
    score: float | None

    @property
    def order(self) -> tuple[float, int, int]:
        return -(self.score or 0.0), self.distance, self.row


class Comparing:
    def __init__(self, scan: DuplicateScan, contents: Contents) -> None:
        self.scan, self.contents = scan, contents
        self.rule = Rule(scan.max_hash_distance, scan.min_score)
        self.groups = OpenGroups(scan.collection, contents)
        self.decided = Decided(scan.collection)
        self.hashes = HashSearch(contents.hashes)
        self.descriptors = DescriptorSearch(scan.collection, scan.feature_model, np.sort(contents.copies))
        self.small = SmallCopies()
        self.same = lru_cache(100_000)(self._same)

    def chunk(self, start: int) -> int:
        """Compare one chunk from row ``start`` on and write what was found; the row after its last."""
        end = min(start + CHUNK, len(self.contents))
        near = {row: found for row, found in enumerate(self._near(start, end), start) if found}
        shas = self._shas({*range(start, end), *(other.row for found in near.values() for other in found)})
        decided = self.decided.among(shas.values())
        dismissed = 0
        for row in range(start, end):
            kept = [n for n in near.get(row, ()) if pair_of(shas[row], shas[n.row]) not in decided]
            dismissed += sum(n.row > row for n in near.get(row, ())) - sum(n.row > row for n in kept)
            self._place(row, sorted(kept, key=lambda n: n.order), decided, shas)
        self._write(end, dismissed)
        return end

    def _place(self, row: int, near: list[Near], decided: set[Pair], shas: dict[int, str]) -> None:
        if self.groups.of(row) is not None:
            self.groups.complete(row)
        else:
            self._join(row, near, decided, shas)
        if self.groups.of(row) is None and self._has_new_copies(row, decided, shas):
            self.groups.found(row)
        if self.groups.of(row) is None or self.groups.led_by(row) is not None:
            self._gather(row, near, decided, shas)

    def _join(self, row: int, near: list[Near], decided: set[Pair], shas: dict[int, str]) -> None:
        """Into the group of the nearest representative that shows the same."""
        for other in near:
            group = self.groups.led_by(other.row)
            if group is not None and self._may_join(row, group, decided, shas) and self.same(row, other.row):
                self.groups.join(group, row, other.score, other.distance)
                return

    def _gather(self, row: int, near: list[Near], decided: set[Pair], shas: dict[int, str]) -> None:
        """Those in no group yet that show the same as this one, which represents them."""
        for other in near:
            if self.groups.of(other.row) is not None or not self.same(row, other.row):
                continue
            group = self.groups.led_by(row) or self.groups.found(row)
            if self._may_join(other.row, group, decided, shas):
                self.groups.join(group, other.row, other.score, other.distance)

    def _may_join(self, row: int, group: OpenGroup, decided: set[Pair], shas: dict[int, str]) -> bool:
        """Not beside a picture that somebody said it is no duplicate of."""
        if not decided:
            return True
        inside = dict(Image.objects.filter(pk__in=group.images).values_list("pk", "sha256"))
        pairs = self.decided.among([shas[row], *inside.values()])
        return not any(pair_of(shas[row], sha) in pairs for sha in inside.values())

    def _has_new_copies(self, row: int, decided: set[Pair], shas: dict[int, str]) -> bool:
        return (shas[row], shas[row]) not in decided and bool(self.contents.copies_of(row))

    def _same(self, first: int, second: int) -> bool:
        one = self.small.of(int(self.contents.first[first]))
        other = self.small.of(int(self.contents.first[second]))
        return one is not None and other is not None and self.rule.confirms(agreement(one, other))

    def _near(self, start: int, end: int) -> list[list[Near]]:
        """For each row what the rule proposes, each with both measures."""
        by_hash = self.hashes.nearest(start, end, self.rule.max_hash_distance)
        by_score = self.descriptors.nearest(self.contents.first[start:end], self.rule.min_score)
        return [
            self._measured(row, [other for other, _ in hits], by_score.get(int(self.contents.first[row]), []))
            for row, hits in enumerate(by_hash, start)
        ]

    def _measured(self, row: int, by_hash: list[int], by_score: list[tuple[int, float]]) -> list[Near]:
        rows = self.contents.row_of(np.array([key for key, _ in by_score], np.int64))
        scores = {int(other): score for other, (_, score) in zip(rows, by_score, strict=True) if other >= 0}
        unscored = [other for other in by_hash if other not in scores]
        if unscored:
            keys = {int(self.contents.first[other]): other for other in unscored}
            stored = self.descriptors.scores(int(self.contents.first[row]), list(keys))
            scores.update({keys[key]: score for key, score in stored.items()})
        everyone = dict.fromkeys([*by_hash, *scores])
        return [Near(other, self._distance(row, other), scores.get(other)) for other in everyone]

    def _distance(self, row: int, other: int) -> int:
        differing = self.contents.hashes[row] ^ self.contents.hashes[other]
        return int(np.bitwise_count(differing).sum())

    def _shas(self, rows: Iterable[int]) -> dict[int, str]:
        """SHA-256 of each content; empty for one deleted meanwhile."""
        listed = sorted(rows)
        ids = [int(self.contents.first[row]) for row in listed]
        shas = dict(Image.objects.filter(pk__in=ids).values_list("pk", "sha256"))
        return {row: shas.get(key, "") for row, key in zip(listed, ids, strict=True)}

    def _write(self, end: int, dismissed: int) -> None:
        with transaction.atomic():
            found = self.groups.save(self.scan)
            DuplicateScan.objects.filter(pk=self.scan.pk).update(
                found=F("found") + found,
                dismissed=F("dismissed") + dismissed,
                done=end,
                total=len(self.contents),
                stage=COMPARING,
            )
