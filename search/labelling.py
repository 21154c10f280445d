"""Labelling a benchmark's queries on pooled results: what several indexes find first, without saying which.

Depth-k pooling as in TREC (K. Sparck Jones, C. van Rijsbergen, 1975; E. Voorhees, D. Harman, TREC, 2005): only what
some index shows early is judged, so one that finds other pictures is judged too low until its own are pooled.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q

from catalog.errors import LookalikeError, gettext_noop
from catalog.ground_truth import bump
from catalog.images import PictureError
from catalog.models import Benchmark, Grade, Image, ImageRole, Label, Query, Relevance
from search.deep_ranking import deep_ranking
from search.embedding import descriptor_of
from search.extraction.errors import ExtractionError
from search.models import SearchIndex
from search.serving import live

DEPTH, DEEPEST = 20, 200
GRADES = (Grade.EASY, Grade.HARD, Grade.JUNK, Grade.NEGATIVE)  # in the order of the keys 1 to 4


class LabelsDoNotCount(LookalikeError):
    code = "labels_do_not_count"
    text = gettext_noop(
        "In the benchmark %(name)s, pictures of the same %(relevance)s are relevant: labels would not count."
    )
    cure = gettext_noop("Make a benchmark whose relevance is its labels.")
    status = 409


class NotInGallery(LookalikeError):
    code = "not_in_gallery"
    text = gettext_noop("%(count)d of the pictures are not in the gallery of the query's collection.")
    cure = gettext_noop("Load the page again: a picture was deleted meanwhile.")
    status = 409


@dataclass(frozen=True)
class Pooled:
    """A picture to judge, with the grade that it has; None: not labelled."""

    image: Image
    grade: str | None


@dataclass(frozen=True)
class Pool:
    """What is to be judged for a query. ``silent``: indexes that could not search for it."""

    query: Query
    pictures: list[Pooled]
    indexes: int
    silent: int

    @property
    def labelled(self) -> int:
        return sum(picture.grade is not None for picture in self.pictures)


@dataclass(frozen=True)
class Progress:
    """Queries with at least one label, all queries, and all labels of a benchmark."""

    begun: int
    queries: int
    labels: int


def check_labels_count(benchmark: Benchmark) -> None:
    """Raises LabelsDoNotCount where relevance follows the catalog."""
    if benchmark.relevance != Relevance.LABELS:
        raise LabelsDoNotCount(name=benchmark.name, relevance=benchmark.relevance)


def pool(query: Query, indexes: Iterable[SearchIndex], depth: int = DEPTH) -> Pool:
    """The union of each index's first ``depth`` pictures, then what else is labelled.

    In an order that says neither rank nor index, the same each time. The query itself and its copies are left out.
    """
    own = {query.image_id} | set(_copies(query))
    found: set[int] = set()
    count = silent = 0
    for index in indexes:
        count += 1
        try:
            found |= set(_first(query, index, depth, own))
        except (PictureError, ExtractionError):
            silent += 1
    grades = dict(query.labels.values_list("image_id", "grade"))
    gallery = Image.objects.filter(collection=query.benchmark.collection_id, role=ImageRole.GALLERY)
    images = gallery.in_bulk(found | grades.keys() - own)
    order = sorted(images.keys() & found)
    random.Random(query.pk).shuffle(order)  # noqa: S311  (an order, not a secret)
    order += sorted(images.keys() - found)
    return Pool(query, [Pooled(images[pk], grades.get(pk)) for pk in order], count, silent)


def labels_save(query: Query, grades: Mapping[int, str]) -> int:
    """Set the grade of pictures by id, "" takes it away. Returns how many changed; any change is one new version.

    Raises LabelsDoNotCount, NotInGallery, ValueError for an unknown grade.
    """
    check_labels_count(query.benchmark)
    wanted = {pk: Grade(grade) if grade else None for pk, grade in grades.items()}
    gallery = Image.objects.filter(collection=query.benchmark.collection_id, role=ImageRole.GALLERY)
    if missing := len(wanted) - gallery.filter(pk__in=wanted).count():
        raise NotInGallery(count=missing)
    with transaction.atomic():
        there = {label.image_id: label for label in query.labels.select_for_update().filter(image__in=wanted)}
        changed = 0
        for pk, grade in wanted.items():
            changed += _set(query, pk, grade, there.get(pk))
        if changed:
            bump(query.benchmark)
    return changed


def next_query(benchmark: Benchmark, after: Query | None = None) -> Query | None:
    """In turn, the fewest labels first; after the last of them the first again."""
    rows = benchmark.queries.annotate(label_count=Count("labels")).order_by("label_count", "id")
    rows = rows.select_related("image", "benchmark__collection")
    if after is None:
        return rows.first()
    rows = rows.exclude(pk=after.pk)
    count = after.labels.count()
    behind = rows.filter(Q(label_count=count, pk__gt=after.pk) | Q(label_count__gt=count))
    fewer = rows.filter(label_count__lt=count).first()
    return fewer or behind.first() or rows.first()


def progress(benchmark: Benchmark) -> Progress:
    labels = Label.objects.filter(query__benchmark=benchmark)
    begun = labels.order_by().values("query").distinct().count()
    return Progress(begun, benchmark.queries.count(), labels.count())


def _copies(query: Query) -> list[int]:
    same = Image.objects.filter(collection=query.benchmark.collection_id, sha256=query.image.sha256)
    return list(same.values_list("id", flat=True))


def _first(query: Query, index: SearchIndex, depth: int, own: set[int]) -> list[int]:
    """The first pictures that ``index`` finds, before business rules."""
    state = live(index).state()
    if not len(state):
        return []
    box = None
    if query.box:
        left, top, width, height = (round(value) for value in query.box)
        box = left, top, width, height
    x = descriptor_of(query.image, state.index.feature_model, box)[None]
    deeper = depth + len(own)
    ids = deep_ranking(state.pipeline, x, deeper, max(deeper, state.pipeline.fine_depth))[0][0]
    return [pk for pk in ids[:deeper].tolist() if pk >= 0 and pk not in own][:depth]


def _set(query: Query, image_id: int, grade: Grade | None, label: Label | None) -> bool:
    if grade is None:
        if label is not None:
            label.delete()
        return label is not None
    if label is None:
        Label.objects.create(query=query, image_id=image_id, grade=grade)
        return True
    if label.grade == grade:
        return False
    label.grade = grade
    label.save(update_fields=["grade"])
    return True
