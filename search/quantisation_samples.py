"""Which pictures of a collection 8 bits are calibrated, judged and measured on, apart from each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Benchmark, Collection, Image, ImageRole
from search.training.errors import TooFewLabels
from search.training.samples import Labels, Samples
from search.training_labels import BENCHMARK, CATEGORY, PRODUCT, UnknownLabels, samples_of
from search.types import Ids

AUTO = "auto"
LEAST = 24  # pictures in the collection
PER_CLASS = 20  # pictures of a class that are measured on: a thousand of one class would say little


class TooFewPictures(LookalikeError):
    code = "too_few_pictures"
    text = gettext_noop("%(collection)s has %(count)d gallery pictures: too few to calibrate 8 bits on.")
    cure = gettext_noop("Add pictures: %(least)d at least, some hundreds for figures that mean something.")
    status = 409


@dataclass(frozen=True)
class Chosen:
    """Picture ids. ``classes`` and ``contents`` lie at ``place[id]``; ``labels`` is empty where there are none.

    ``overlap``: the collection was too small to measure on other pictures than it was calibrated on.
    """

    collection: str
    calibrate: list[int]
    judge: list[int]
    measure: list[int]
    labels: str = ""
    classes: Labels = field(default_factory=lambda: np.empty(0, np.int64))
    contents: Labels = field(default_factory=lambda: np.empty(0, np.int64))
    place: dict[int, int] = field(default_factory=dict)
    overlap: bool = False


def choose(collection: Collection, labels: str, calibrate: int, judge: int, measure: int, seed: int) -> Chosen:
    """The same pictures for the same collection and seed. Raises TooFewPictures, UnknownLabels, TooFewLabels."""
    gallery = Image.objects.filter(collection=collection, role=ImageRole.GALLERY).order_by("id")
    ids: Ids = np.fromiter(gallery.values_list("id", flat=True).iterator(chunk_size=5000), np.int64)
    if len(ids) < LEAST:
        raise TooFewPictures(collection=collection.slug, count=len(ids), least=LEAST)
    rng = np.random.default_rng(seed)
    name, samples = _labelled(collection, labels)
    wanted = (
        rng.permutation(ids)[:measure] if samples is None else samples.ids[_of_whole_classes(samples, measure, rng)]
    )
    rest = rng.permutation(np.setdiff1d(ids, wanted))
    overlap = len(rest) < min(calibrate + judge, len(ids) // 4)
    if overlap:
        rest = rng.permutation(ids)
    calibrate = min(calibrate, max(1, 2 * len(rest) // 3))
    slug = collection.slug
    parts = slug, rest[:calibrate].tolist(), rest[calibrate : calibrate + judge].tolist(), wanted.tolist()
    if samples is None:
        return Chosen(*parts, overlap=overlap)
    place = {int(image_id): at for at, image_id in enumerate(samples.ids)}
    return Chosen(*parts, name, samples.labels, samples.contents, place, overlap)


def _labelled(collection: Collection, labels: str) -> tuple[str, Samples | None]:
    """The labels asked for, or with "auto" the first that there are: a benchmark's, products, categories."""
    if not labels:
        return "", None
    if labels != AUTO:
        return labels, samples_of(collection, labels, with_queries=True)
    benchmarks = Benchmark.objects.filter(collection=collection).order_by("id").values_list("name", flat=True)
    for name in (*(f"{BENCHMARK}:{name}" for name in benchmarks), PRODUCT, CATEGORY):
        try:
            return name, samples_of(collection, name, with_queries=True)
        except (TooFewLabels, UnknownLabels):
            continue
    return "", None


def _of_whole_classes(samples: Samples, measure: int, rng: np.random.Generator) -> Labels:
    """Places of up to ``measure`` pictures, class after class: each is measured with others like it."""
    found: list[Labels] = []
    left = measure
    for label in rng.permutation(len(samples.classes)).tolist():
        if left < 2:
            break
        places = rng.permutation(np.flatnonzero(samples.labels == label))[: min(PER_CLASS, left)]
        found.append(places)
        left -= len(places)
    return np.sort(np.concatenate(found))
