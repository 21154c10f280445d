"""What the page of a group shows, and what its buttons do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.utils.translation import gettext

from catalog.admin.base import thumbnail_url
from catalog.admin.wording import size
from catalog.models import Image
from search.duplicates.best import best_of
from search.duplicates.decisions import bereft_products, group_dismiss, group_keep, group_merge, group_reopen
from search.models import DuplicateGroup, DuplicateMember
from search.models.duplicates import DuplicateState

IN_BROWSERS = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"}
COMPARED_FOR_BEST = 12  # files opened for it; of a larger group those with the most pixels


@dataclass(frozen=True)
class Shown:
    """A picture of the group. ``number``: the key that chooses it."""

    number: int
    member: DuplicateMember
    is_best: bool
    is_chosen: bool

    @property
    def image(self) -> Image:
        return self.member.image

    @property
    def size(self) -> str:
        return size(self.image.size)

    @property
    def thumbnail(self) -> str:
        return thumbnail_url(self.image)

    @property
    def large(self) -> str:
        return self.image.file.url if self.image.format in IN_BROWSERS else thumbnail_url(self.image)

    @property
    def is_measure(self) -> bool:
        """Whether the others were compared with this one."""
        return self.member.hash_distance is None


@dataclass(frozen=True)
class Review:
    group: DuplicateGroup
    pictures: list[Shown]
    confirming: Shown | None  # the one to keep, when it is asked whether the others may go
    bereft: list[str]  # products that would be left without a picture
    following: DuplicateGroup | None
    previous: DuplicateGroup | None
    open_count: int

    @property
    def is_open(self) -> bool:
        return self.group.state == DuplicateState.OPEN

    @property
    def chosen(self) -> Shown | None:
        return next((shown for shown in self.pictures if shown.is_chosen), None)

    @property
    def may_reopen(self) -> bool:
        return self.group.state in (DuplicateState.KEPT, DuplicateState.DISMISSED)


def review(group: DuplicateGroup, confirming: str = "") -> Review:
    members = list(group.members.select_related("image__product").order_by("id"))
    best = _best([member.image for member in members])
    chosen = int(confirming) if confirming.isdigit() else best
    pictures = [
        Shown(number, member, member.image_id == best, member.image_id == chosen)
        for number, member in enumerate(members, start=1)
    ]
    asked = next((shown for shown in pictures if shown.is_chosen), None) if confirming else None
    others = [shown.image for shown in pictures if not shown.is_chosen]
    bereft = bereft_products(asked.image, others) if asked else []
    return Review(group, pictures, asked, bereft, next_group(group), _previous(group), _open(group).count())


def decide(group: DuplicateGroup, given: Mapping[str, str], user: Any) -> str:
    """Do what a button says; what to tell about it. Raises the errors of search.duplicates.decisions."""
    decision = given.get("decision", "")
    if decision == "merge":
        keep = given.get("keep", "")
        count = group.members.count() - 1
        group_merge(group, int(keep) if keep.isdigit() else 0, user, across_products=bool(given.get("across_products")))
        return gettext("Merged: %d deleted.") % count
    if decision == "reopen":
        group_reopen(group)
        return gettext("Decide again.")
    if decision == "keep":
        group_keep(group, user)
        return gettext("Kept. These are not asked about again.")
    group_dismiss(group, user)
    return gettext("Not duplicates. These are not asked about again.")


def next_group(group: DuplicateGroup) -> DuplicateGroup | None:
    """The next open group of the collection; from the last one on to the first."""
    rows = _open(group).exclude(pk=group.pk)
    found: DuplicateGroup | None = rows.filter(pk__gt=group.pk).first() or rows.first()
    return found


def _previous(group: DuplicateGroup) -> DuplicateGroup | None:
    rows = _open(group).exclude(pk=group.pk).order_by("-pk")
    found: DuplicateGroup | None = rows.filter(pk__lt=group.pk).first() or rows.first()
    return found


def _open(group: DuplicateGroup) -> Any:
    rows = DuplicateGroup.objects.filter(collection=group.collection_id, state=DuplicateState.OPEN)
    return rows.annotate(size=Count("members")).filter(size__gte=2).order_by("pk")


def _best(images: list[Image]) -> int | None:
    largest = sorted(images, key=lambda image: -image.width * image.height)[:COMPARED_FOR_BEST]
    found = best_of(largest)
    return None if found is None else found.pk
