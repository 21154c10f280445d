"""The groups of a collection that wait for a decision, as a scan adds to them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from django.db.models import Count, Q

from catalog.models import Collection, Image
from search.duplicates.contents import Contents
from search.models import DuplicateGroup, DuplicateMember, DuplicateScan
from search.models.duplicates import DuplicateKind, DuplicateState

REPRESENTATIVE = Q(members__score__isnull=True, members__hash_distance__isnull=True)

Measured = tuple[float | None, int | None]  # score and hash distance to the representative


@dataclass
class OpenGroup:
    """``images``: those in it, also those not written yet, which are in ``new``. The first is the representative."""

    representative: int  # row of the contents
    kind: str = DuplicateKind.EXACT
    score: float | None = None
    pk: int | None = None
    images: list[int] = field(default_factory=list)
    new: dict[int, Measured] = field(default_factory=dict)

    def add(self, image_id: int, score: float | None, distance: int | None) -> None:
        if image_id not in self.images:
            self.images.append(image_id)
            self.new[image_id] = (score, distance)


class OpenGroups:
    """By content: ``of`` is the group a content is in, ``led_by`` the one whose representative it is."""

    def __init__(self, collection: Collection, contents: Contents) -> None:
        self._collection, self._contents = collection, contents
        self._of: dict[int, OpenGroup] = {}
        self._changed: list[OpenGroup] = []
        for group in _stored(collection):
            self._take(group)

    def of(self, row: int) -> OpenGroup | None:
        return self._of.get(row)

    def led_by(self, row: int) -> OpenGroup | None:
        group = self._of.get(row)
        return group if group is not None and group.representative == row else None

    def found(self, row: int) -> OpenGroup:
        """A new group of a content and its copies."""
        group = OpenGroup(row)
        group.add(int(self._contents.first[row]), None, None)
        self._of[row] = group
        self._copies(group, row)
        return group

    def join(self, group: OpenGroup, row: int, score: float | None, distance: int | None) -> None:
        """Put a content, with its copies, into a group whose representative it matches."""
        group.kind = DuplicateKind.NEAR
        group.score = score if group.score is None or score is None else min(group.score, score)
        group.add(int(self._contents.first[row]), score, distance)
        self._of[row] = group
        self._copies(group, row, score, distance)

    def complete(self, row: int) -> None:
        """Take in copies that were added since."""
        if group := self._of.get(row):
            self._copies(group, row)

    def save(self, scan: DuplicateScan) -> int:
        """Write what is new; how many groups are. Inside the caller's transaction."""
        wanted = [key for group in self._changed for key in group.new]
        there = set(Image.objects.filter(pk__in=wanted).values_list("pk", flat=True))
        created = sum(self._save(group, scan, there) for group in self._changed)
        self._changed.clear()
        return created

    def _copies(self, group: OpenGroup, row: int, score: float | None = 1.0, distance: int | None = 0) -> None:
        for key in self._contents.copies_of(row):
            group.add(key, score, distance)
        if group not in self._changed:
            self._changed.append(group)

    def _save(self, group: OpenGroup, scan: DuplicateScan, there: set[int]) -> int:
        new = {key: measured for key, measured in group.new.items() if key in there}
        created = group.pk is None
        if not new or (created and len(new) < 2):
            return 0
        if group.pk is None:
            row = DuplicateGroup.objects.create(
                collection=self._collection, scan=scan, kind=group.kind, score=group.score
            )
            group.pk = row.pk
        pk = int(group.pk)
        DuplicateGroup.objects.filter(pk=pk).update(kind=group.kind, score=group.score)
        DuplicateMember.objects.bulk_create(
            [
                DuplicateMember(group_id=pk, image_id=key, score=score, hash_distance=distance)
                for key, (score, distance) in new.items()
            ],
            ignore_conflicts=True,
        )
        group.new.clear()
        return int(created)

    def _take(self, group: DuplicateGroup) -> None:
        members = list(group.members.all())
        ids = np.array([member.image_id for member in members], np.int64)
        rows = self._rows(ids)
        leader = next((place for place, member in enumerate(members) if member.hash_distance is None), None)
        if leader is None or rows[leader] < 0:
            return
        taken = OpenGroup(int(rows[leader]), group.kind, group.score, group.pk, ids.tolist())
        for row in rows:
            if row >= 0:
                self._of.setdefault(int(row), taken)

    def _rows(self, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        rows = self._contents.row_of(ids)
        for place in np.flatnonzero(rows < 0):
            copy = np.flatnonzero(self._contents.copies == ids[place])
            rows[place] = self._contents.owner[copy[0]] if len(copy) else -1
        return rows


def _stored(collection: Collection) -> list[DuplicateGroup]:
    groups = DuplicateGroup.objects.filter(collection=collection, state=DuplicateState.OPEN)
    return list(groups.prefetch_related("members"))


def prune(collection: Collection) -> int:
    """Drop open groups that lost their pictures: fewer than two are left, or the one the others were measured by.

    What is left of the latter is found again by the next scan, if it belongs together without that picture.
    """
    groups = DuplicateGroup.objects.filter(collection=collection, state=DuplicateState.OPEN)
    counted = groups.annotate(size=Count("members"), leaders=Count("members", filter=REPRESENTATIVE))
    stale = list(counted.filter(Q(size__lt=2) | Q(leaders=0)).values_list("pk", flat=True))
    DuplicateGroup.objects.filter(pk__in=stale).delete()
    return len(stale)
