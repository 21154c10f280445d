"""Ground truth in bulk: labels from rows of text, and benchmarks made from classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction
from django.db.models import F, Q, QuerySet

from catalog.errors import LookalikeError, gettext_noop
from catalog.importers.errors import BadValue, UnknownPicture, UnknownQuery
from catalog.models import Benchmark, Collection, Grade, Image, ImageRole, Label, Query, Relevance

BATCH = 1000
ALIASES = {"positive": Grade.EASY, "good": Grade.EASY, "ok": Grade.HARD}


class NothingToLabel(LookalikeError):
    code = "nothing_to_label"
    text = gettext_noop("The collection has no picture that could be a query: none with a %(class)s.")
    cure = gettext_noop("Import pictures with one first.")


class HasLabels(LookalikeError):
    code = "has_labels"
    text = gettext_noop("The benchmark %(name)s has labels of its own, which classes would replace.")
    cure = gettext_noop("Choose another name.")


@dataclass
class LabelsReport:
    """What labels_import did; ``bad`` holds (place of the row from 0, what it named, why)."""

    added: int = 0
    changed: int = 0
    known: int = 0
    bad: list[tuple[int, str, LookalikeError]] = field(default_factory=list)


def labels_import(
    benchmark: Benchmark, rows: Iterable[tuple[str, str, str]], *, images: Mapping[str, int] | None = None
) -> LabelsReport:
    """Set labels from rows (query's name, picture's name, grade); the last row on a pair counts.

    ``images`` says which gallery picture a name means; a name that is not in it, or every name without
    it, is looked up as a picture's source or a product's SKU (then all its pictures). Bad rows are
    reported, the others imported. Raises ``Benchmark.version`` by one if anything changed.
    """
    report = LabelsReport()
    queries = dict(benchmark.queries.values_list("name", "id"))
    numbered = iter(enumerate(rows))
    bumped = False
    while batch := list(islice(numbered, BATCH)):
        found = _pictures(benchmark.collection, {image for _, (_, image, _) in batch}, images or {})
        pairs = _pairs(batch, queries, found, report)
        with transaction.atomic():
            _labels_set(pairs, report)
            if not bumped and (report.added or report.changed):
                bumped = True
                bump(benchmark)
    return report


def bump(benchmark: Benchmark) -> None:
    """Say that the ground truth changed: runs measured before are of another version."""
    Benchmark.objects.filter(pk=benchmark.pk).update(version=F("version") + 1)
    benchmark.refresh_from_db(fields=["version"])


def _pictures(collection: Collection, names: set[str], given: Mapping[str, int]) -> dict[str, list[int]]:
    found = {name: [given[name]] for name in names if name in given}
    rest = names - found.keys()
    gallery = Image.objects.filter(collection=collection, role=ImageRole.GALLERY)
    for attribute in ("source", "product__sku") if rest else ():
        named: dict[str, list[int]] = {}
        for name, pk in gallery.filter(**{f"{attribute}__in": rest - found.keys()}).values_list(attribute, "id"):
            named.setdefault(name, []).append(pk)
        found.update(named)
    return found


def _pairs(
    batch: list[tuple[int, tuple[str, str, str]]],
    queries: Mapping[str, int],
    found: Mapping[str, list[int]],
    report: LabelsReport,
) -> dict[tuple[int, int], Grade]:
    pairs: dict[tuple[int, int], Grade] = {}
    for place, (query, image, text) in batch:
        grade = grade_of(text)
        if grade is None:
            expected = ", ".join(Grade.values)
            report.bad.append((place, query, BadValue(column="grade", value=repr(text[:80]), expected=expected)))
        elif query not in queries:
            report.bad.append((place, query, UnknownQuery(name=query[:200])))
        elif image not in found:
            report.bad.append((place, image, UnknownPicture(name=image[:200])))
        else:
            pairs.update({(queries[query], pk): grade for pk in found[image]})
    return pairs


def grade_of(text: str) -> Grade | None:
    """A grade by its name or by what Oxford5k and the guide call it (good, ok, positive)."""
    text = text.strip().lower()
    return ALIASES.get(text) or (Grade(text) if text in Grade.values else None)


def _labels_set(pairs: Mapping[tuple[int, int], Grade], report: LabelsReport) -> None:
    query_ids, image_ids = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    labels = Label.objects.filter(query_id__in=query_ids, image_id__in=image_ids)
    there = {(label.query_id, label.image_id): label for label in labels}
    new = [Label(query_id=q, image_id=i, grade=grade) for (q, i), grade in pairs.items() if (q, i) not in there]
    changed = [label for pair, label in there.items() if pair in pairs and label.grade != pairs[pair]]
    for label in changed:
        label.grade = pairs[label.query_id, label.image_id]
    Label.objects.bulk_create(new, batch_size=BATCH)
    Label.objects.bulk_update(changed, ["grade"], batch_size=BATCH)
    report.added += len(new)
    report.changed += len(changed)
    report.known += len(pairs) - len(new) - len(changed)


def benchmark_from_classes(
    collection: Collection,
    name: str,
    relevance: Relevance | str = Relevance.CATEGORY,
    query_role: ImageRole | str = ImageRole.GALLERY,
) -> Benchmark:
    """A benchmark without labels: relevant is what shares the query's category or product.

    Each picture of ``query_role`` that has such a class becomes a query: the gallery's own pictures are
    measured leave-one-out, ``query`` pictures against the gallery. Run again, it adds what is new.
    Raises NothingToLabel, HasLabels.
    """
    pictures = _with_class(collection, relevance, query_role)
    with transaction.atomic():
        benchmark, created = Benchmark.objects.get_or_create(
            collection=collection, name=name, defaults={"relevance": relevance}
        )
        is_changed = _set_relevance(benchmark, Relevance(relevance))
        taken = set(benchmark.queries.values_list("name", flat=True))
        missing = pictures.exclude(queries__benchmark=benchmark).values_list("id", "source", "sha256")
        new = list(_queries(benchmark, missing.iterator(), taken))
        if not taken:
            raise NothingToLabel(**{"class": str(relevance)})
        Query.objects.bulk_create(new, batch_size=BATCH)
        if not created and (new or is_changed):
            bump(benchmark)
    return benchmark


def _set_relevance(benchmark: Benchmark, relevance: Relevance) -> bool:
    if benchmark.relevance == relevance:
        return False
    if Label.objects.filter(query__benchmark=benchmark).exists():
        raise HasLabels(name=benchmark.name)
    benchmark.relevance = relevance
    benchmark.save(update_fields=["relevance"])
    return True


def _with_class(collection: Collection, relevance: Relevance | str, role: ImageRole | str) -> QuerySet[Image]:
    pictures = Image.objects.filter(collection=collection, role=role, product__isnull=False).order_by("id")
    return pictures.exclude(Q(product__category="")) if relevance == Relevance.CATEGORY else pictures


def _queries(benchmark: Benchmark, rows: Iterable[tuple[int, str, str]], taken: set[str]) -> Iterator[Query]:
    for pk, source, sha256 in rows:
        name = (source or sha256)[-280:]
        if name in taken:
            name = f"{name} #{pk}"
        taken.add(name)
        yield Query(benchmark=benchmark, name=name, image_id=pk)
