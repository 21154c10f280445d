"""A collection's own labels as samples to train on: products, categories, an attribute, or a benchmark's labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Benchmark, Collection, Grade, Image, ImageRole, Label, Query, Relevance
from search.training.samples import Samples, check, usable

PRODUCT, CATEGORY, ATTRIBUTE, BENCHMARK = "product", "category", "attribute", "benchmark"
PATIENT = "dicom__series__study__patient"
CURE = (
    "Label by something else, label more pictures, or train on queries too (--with-queries) if nothing is measured "
    "on them."
)


class UnknownLabels(LookalikeError):
    code = "unknown_labels"
    text = gettext_noop("%(collection)s has no labels '%(labels)s'.")
    cure = gettext_noop("Known: %(known)s.")


@dataclass(frozen=True)
class Row:
    """What is known of a picture. ``patient`` is a pseudonym, empty where it did not come as DICOM."""

    id: int
    sha256: str
    product: int | None
    sku: str
    category: str
    attributes: dict[str, Any]
    patient: str


def label_choices(collection: Collection) -> list[str]:
    """What may be asked of ``samples_of``: with the names of attributes that products carry, and of benchmarks."""
    names: Counter[str] = Counter()
    rows = collection.products.values_list("attributes", flat=True)
    for attributes in rows.iterator(chunk_size=2000):
        names.update(attributes if isinstance(attributes, dict) else ())
    benchmarks = Benchmark.objects.filter(collection=collection).values_list("name", flat=True)
    attributes = [f"{ATTRIBUTE}:{name}" for name, _ in names.most_common()]
    return [PRODUCT, CATEGORY, *attributes, *(f"{BENCHMARK}:{name}" for name in benchmarks)]


def samples_of(collection: Collection, labels: str, *, with_queries: bool = False, per_class: int = 2) -> Samples:
    """The collection's labelled pictures in the order of their ids. Raises UnknownLabels, TooFewLabels.

    Query pictures, the queries of benchmarks and all pictures of the same bytes are left out unless
    ``with_queries``. ``notes`` of the result tells how many were left out, and why.
    """
    kind, _, name = labels.partition(":")
    named = _namer(collection, kind, name, labels)
    asked = set() if with_queries else _asked(collection)
    notes: Counter[str] = Counter()
    rows: list[Row] = []
    names: list[str] = []
    for row in _rows(collection):
        found = named(row)
        if row.sha256 in asked:
            notes["queries"] += 1
        elif not found:
            notes["unlabelled"] += 1
        else:
            rows.append(row)
            names.append(found)
    whole = kind in (PRODUCT, BENCHMARK)
    made = _samples(rows, names, whole=whole)
    check(made, per_class, CURE)
    kept = usable(made)
    notes["alone in their class"] = len(made) - len(kept)
    return Samples(
        kept.ids, kept.labels, kept.classes, kept.groups, kept.contents, whole, {k: n for k, n in notes.items() if n}
    )


def _rows(collection: Collection) -> Iterator[Row]:
    rows = Image.objects.filter(collection=collection).order_by("id")
    columns = ("id", "sha256", "product_id", "product__sku", "product__category", "product__attributes", PATIENT)
    for pk, sha256, product, sku, category, attributes, patient in rows.values_list(*columns).iterator(chunk_size=5000):
        given = attributes if isinstance(attributes, dict) else {}
        yield Row(pk, sha256, product, sku or "", category or "", given, patient or "")


def _asked(collection: Collection) -> set[str]:
    """SHA-256 of what a benchmark asks, or may ask, with."""
    queries = Query.objects.filter(benchmark__collection=collection).values_list("image__sha256", flat=True)
    pictures = Image.objects.filter(collection=collection, role=ImageRole.QUERY).values_list("sha256", flat=True)
    return {*queries, *pictures}


def _namer(collection: Collection, kind: str, name: str, labels: str) -> Any:
    """A function row -> the name of its class; empty for none."""
    if kind == BENCHMARK and name:
        benchmark = Benchmark.objects.filter(collection=collection, name=name).first()
        if benchmark is not None:
            return _of_benchmark(benchmark)
    if kind == ATTRIBUTE and name:
        return lambda row: _scalar(row.attributes.get(name))
    if not name and kind == PRODUCT:
        return lambda row: row.sku
    if not name and kind == CATEGORY:
        return lambda row: row.category
    raise UnknownLabels(collection=collection.slug, labels=labels, known=", ".join(label_choices(collection)))


def _scalar(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _of_benchmark(benchmark: Benchmark) -> Any:
    if benchmark.relevance == Relevance.PRODUCT:
        return lambda row: row.sku
    if benchmark.relevance == Relevance.CATEGORY:
        return lambda row: row.category
    classes = _connected(benchmark)
    return lambda row: classes.get(row.id, "")


def _connected(benchmark: Benchmark) -> dict[int, str]:
    """Picture id -> name of its class: pictures that are relevant to one query are alike, and so on from there."""
    linked: dict[int, list[int]] = defaultdict(list)
    names: dict[int, str] = {}
    positive = Label.objects.filter(query__benchmark=benchmark, grade__in=(Grade.EASY, Grade.HARD))
    for name, asking, found in positive.order_by("id").values_list("query__name", "query__image_id", "image_id"):
        linked[asking].append(found)
        linked[found].append(asking)
        names[asking] = min(name, names.get(asking, name))
    classes: dict[int, str] = {}
    for first in sorted(names, key=lambda pk: names[pk]):
        if first not in classes:
            classes.update(dict.fromkeys(_reached(first, linked), names[first]))
    return classes


def _reached(first: int, linked: dict[int, list[int]]) -> set[int]:
    found, waiting = {first}, [first]
    while waiting:
        for other in linked[waiting.pop()]:
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _samples(rows: list[Row], names: list[str], *, whole: bool) -> Samples:
    classes = sorted(set(names))
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name] for name in names], np.int64)
    products: dict[str, set[int | None]] = defaultdict(set)
    for row, name in zip(rows, names, strict=True):
        products[name].add(row.product)
    groups = [_group(row, whole or len(products[name]) == 1) for row, name in zip(rows, names, strict=True)]
    contents = [row.patient or row.sha256 for row in rows]
    ids = np.array([row.id for row in rows], np.int64)
    return Samples(ids, labels, classes, _numbered(groups), _numbered(contents), whole)


def _group(row: Row, single: bool) -> str:
    """What stays together when some is held out: a patient, a product, or copies of one picture.

    A product that is a whole class of its own (``single``) can only be divided by picture.
    """
    if row.patient:
        return f"patient {row.patient}"
    return row.sha256 if single or row.product is None else f"product {row.product}"


def _numbered(values: Iterable[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)
