"""Rankings as people read them: every place with its picture and whether it is a hit, a miss or junk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from catalog.models import Image
from search.models import QueryResult

# grade -> (css, sign, meaning): told by colour and by sign
MARKS: dict[str, tuple[str, str, Promise]] = {
    "easy": ("hit", "✓", _("hit")),
    "hard": ("hit", "✓", _("hit (hard)")),
    "positive": ("hit", "✓", _("hit")),
    "junk": ("junk", "–", _("junk: left out of the ranking")),
    "distractor": ("distractor", "≈", _("distractor: a look-alike that counts as a miss")),
}
MISS = ("miss", "✗", _("miss"))
LEGEND = [MARKS["easy"], MISS, MARKS["distractor"], MARKS["junk"]]


@dataclass(frozen=True)
class Found:
    """One place of a ranking; ``image`` is None where the picture was deleted since, ``rank`` where it is junk."""

    rank: int | None
    image: Image | None
    score: float
    css: str
    sign: str
    meaning: Promise


def images_of(results: Iterable[QueryResult], hits: int) -> dict[int, Image]:
    """The pictures of the first ``hits`` places of each ranking, by id."""
    ids = {int(entry[0]) for result in results for entry in result.ranking[:hits]}
    return Image.objects.in_bulk(ids)


def judged(result: QueryResult, images: dict[int, Image], hits: int) -> list[Found]:
    """The first ``hits`` places, junk between them included: it has no rank."""
    found: list[Found] = []
    rank = 0
    for entry in result.ranking[:hits]:
        image_id, score, grade = (*entry, None)[:3]
        css, sign, meaning = MARKS.get(str(grade or ""), MISS)
        counts = css != "junk"
        rank += counts
        found.append(Found(rank if counts else None, images.get(int(image_id)), float(score), css, sign, meaning))
    return found
