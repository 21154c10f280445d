"""A published ground truth onto a collection: its queries and labels as a benchmark's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction

from catalog.errors import LookalikeError, gettext_noop
from catalog.ground_truth import bump, labels_import
from catalog.importers.truth_lists import TruthList, TruthQuery
from catalog.models import Benchmark, Collection, Image, ImageRole, Label, Query, Relevance

BATCH = 1000
MOST_LABELS = 5_000_000
LISTED = 200  # of the missing pictures kept by name


class OtherRelevance(LookalikeError):
    code = "other_relevance"
    text = gettext_noop(
        "In the benchmark %(name)s, pictures of the same %(relevance)s are relevant: labels would not count."
    )
    cure = gettext_noop("Choose another name.")


class TooManyLabels(LookalikeError):
    code = "too_many_labels"
    text = gettext_noop("The classes make %(count)d labels, more than %(most)d.")
    cure = gettext_noop("Import the pictures with their class as category, and make a benchmark from the categories.")


class NoPictureFound(LookalikeError):
    code = "no_picture_found"
    text = gettext_noop(
        "None of the %(count)d pictures that the ground truth names is in %(collection)s, as %(example)s."
    )
    cure = gettext_noop("Import the pictures first, with their file names.")


@dataclass
class TruthReport:
    """What was done, and what could not be: ``missing`` says how many lines name each absent picture."""

    format: str
    benchmark: str
    name: str
    version: int = 0
    queries: int = 0
    queries_added: int = 0
    labels: int = 0
    labels_added: int = 0
    labels_changed: int = 0
    queries_missing: list[str] = field(default_factory=list)  # their picture is absent
    pictures_missing: int = 0
    labels_missing: int = 0  # lines without effect: of an absent query or picture
    missing: dict[str, int] = field(default_factory=dict)  # the first of them

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def some(names: list[str], shown: int = 10) -> str:
    """The first of them, and how many more."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" … (+{rest})" if rest > 0 else "")


def truth_import(collection: Collection, name: str, truth: TruthList) -> TruthReport:
    """Make or extend the benchmark ``name``. What names an absent picture is counted and listed, the rest imported.

    A picture is found by its path in the import or the end of it, with its suffix or without. Raises
    OtherRelevance, TooManyLabels, NoPictureFound.
    """
    if len(truth) > MOST_LABELS:
        raise TooManyLabels(count=len(truth), most=MOST_LABELS)
    pictures = _Pictures(collection, truth)
    if not pictures:
        raise NoPictureFound(
            count=len(pictures.wanted), collection=collection, example=next(iter(pictures.wanted), "-")
        )
    with transaction.atomic():
        benchmark, created = Benchmark.objects.get_or_create(collection=collection, name=name[:100])
        if benchmark.relevance != Relevance.LABELS:
            raise OtherRelevance(name=benchmark.name, relevance=benchmark.relevance)
        report = TruthReport(truth.format, str(benchmark), benchmark.name)
        changed = _queries_set(benchmark, truth.queries, pictures, report)
        missing: Counter[str] = Counter()
        done = labels_import(benchmark, _rows(truth, benchmark, pictures, missing, report), images=pictures.by_key)
        if changed and not created and not (done.added or done.changed):
            bump(benchmark)
    report.labels_added, report.labels_changed = done.added, done.changed
    report.version = benchmark.version
    report.queries = benchmark.queries.count()
    report.labels = Label.objects.filter(query__benchmark=benchmark).count()
    report.pictures_missing = len(missing)
    report.missing = dict(missing.most_common(LISTED))
    return report


class _Pictures:
    """Which rows a name of the files means."""

    def __init__(self, collection: Collection, truth: TruthList) -> None:
        self.wanted = {query.picture for query in truth.queries} | {label.picture for label in truth.rows}
        self.gallery: dict[str, list[int]] = {}
        self.queries: dict[str, list[int]] = {}
        rows = Image.objects.filter(collection=collection).order_by("id").values_list("id", "source", "role")
        for pk, source, role in rows.iterator(chunk_size=10_000):
            found = self.queries if role == ImageRole.QUERY else self.gallery
            for name in set(_names(source)) & self.wanted:
                found.setdefault(name, []).append(pk)
        self.by_key = {str(pk): pk for pks in self.gallery.values() for pk in pks}

    def __bool__(self) -> bool:
        return bool(self.gallery or self.queries)

    def searching(self, name: str) -> int | None:
        """A picture kept for queries before one of the gallery; the first of several."""
        found = self.queries.get(name) or self.gallery.get(name)
        return found[0] if found else None


def _names(source: str) -> Iterator[str]:
    """Every end of a path, with the suffix and without: a/b/c.jpg is b/c.jpg and c, too."""
    parts = source.split("/")
    for start in range(len(parts)):
        name = "/".join(parts[start:])
        yield name
        if suffix := PurePosixPath(name).suffix:
            yield name.removesuffix(suffix)


def _queries_set(benchmark: Benchmark, wanted: Iterable[TruthQuery], pictures: _Pictures, report: TruthReport) -> bool:
    """Add what is new, correct what has another picture or box by now; whether anything changed."""
    there = {query.name: query for query in benchmark.queries.all()}
    new, changed = [], []
    for query in wanted:
        image_id, box = pictures.searching(query.picture), list(query.box) if query.box else None
        known = there.get(query.name[:300])
        if image_id is None:
            if known is None:
                report.queries_missing.append(query.name)
        elif known is None:
            new.append(Query(benchmark=benchmark, name=query.name[:300], image_id=image_id, box=box))
        elif box and (known.image_id, known.box) != (image_id, box):  # a list without boxes corrects none
            known.image_id, known.box = image_id, box
            changed.append(known)
    Query.objects.bulk_create(new, batch_size=BATCH)
    Query.objects.bulk_update(changed, ["image", "box"], batch_size=BATCH)
    report.queries_added = len(new)
    return bool(new or changed)


def _rows(
    truth: TruthList, benchmark: Benchmark, pictures: _Pictures, missing: Counter[str], report: TruthReport
) -> Iterator[tuple[str, str, str]]:
    queries = set(benchmark.queries.values_list("name", flat=True))
    for label in truth.labels():
        found = pictures.gallery.get(label.picture, [])
        if not found:
            missing[label.picture] += 1
        if not found or label.query[:300] not in queries:
            report.labels_missing += 1
            continue
        for pk in found:
            yield label.query[:300], str(pk), label.grade
