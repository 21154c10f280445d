"""The ground truth of a benchmark's queries, from label rows or from categories and products."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from catalog.models import Benchmark, Image, ImageRole, Label, Query, Relevance
from catalog.patients import patients_of
from search.evaluation import Grade, Protocol, Truth, truth_of
from search.types import Ids


@dataclass(frozen=True)
class Judgement:
    """A query's truth, and the grade of any picture as a person reads it."""

    truth: Truth
    grades: Mapping[int, str]
    given: str  # the grade of a positive that has no row of its own
    own: frozenset[int] = frozenset()  # the query's own picture, its copies and patient, where they leave the ranking

    def graded(self, ids: Ids) -> list[str]:
        """The grade of each picture of a ranking; junk is what the protocol leaves out, whatever its label."""
        positive, ignored = (np.isin(ids, part).tolist() for part in (self.truth.positives, self.truth.ignored))
        return [
            Grade.JUNK.value
            if is_ignored
            else self.grades.get(image_id) or (self.given if is_positive else Grade.NEGATIVE.value)
            for image_id, is_positive, is_ignored in zip(ids.tolist(), positive, ignored, strict=True)
        ]


class GroundTruth:
    """Relevance of a benchmark under a protocol.

    Category and product relevance need no rows: every gallery picture of the query's category (product) is
    an easy positive. They follow the catalog, so their version is the benchmark's alone.
    """

    def __init__(self, benchmark: Benchmark, protocol: Protocol) -> None:
        self.benchmark, self.protocol = benchmark, protocol
        self._groups: dict[str | int, Ids] = {}
        gallery = Image.objects.filter(collection=benchmark.collection_id, role=ImageRole.GALLERY)
        rows = gallery.order_by("id").values_list("id", "product_id", "product__category")
        self.products: dict[int, int] = {}
        groups: dict[str | int, list[int]] = defaultdict(list)
        ids: list[int] = []
        for image_id, product_id, category in rows.iterator(chunk_size=10_000):
            ids.append(image_id)
            if product_id is not None:
                self.products[image_id] = product_id
            group = category if benchmark.relevance == Relevance.CATEGORY else product_id
            if benchmark.relevance != Relevance.LABELS and group:
                groups[group].append(image_id)
        self.gallery: Ids = np.array(ids, np.int64)  # rising
        self.patients = patients_of(benchmark.collection_id) if benchmark.exclude_same_patient else {}
        self._of_patient: dict[str, set[int]] = defaultdict(set)
        for image_id, patient in self.patients.items():
            self._of_patient[patient].add(image_id)
        self._groups = {group: np.array(members, np.int64) for group, members in groups.items()}

    def of(self, queries: Sequence[Query]) -> list[Judgement]:
        """The judgement of each query, whose image and product are loaded."""
        own = self.own(queries)
        if self.benchmark.relevance == Relevance.LABELS:
            return self._from_labels(queries, own)
        return [self._from_group(query, own[query.pk]) for query in queries]

    def own(self, queries: Sequence[Query]) -> dict[int, set[int]]:
        """The query's own picture, the pictures of the same bytes and of the same patient, by query id.

        None where they stay: a patient's pictures do so where the benchmark says so, or none came as DICOM.
        """
        if self.protocol.keeps_query:
            return {query.pk: self._same_patient(query) for query in queries}
        hashes = {query.image.sha256 for query in queries}
        same: dict[str, set[int]] = defaultdict(set)
        copies = Image.objects.filter(collection=self.benchmark.collection_id, sha256__in=hashes)
        for image_id, sha256 in copies.values_list("id", "sha256"):
            same[sha256].add(image_id)
        return {query.pk: same[query.image.sha256] | {query.image_id} | self._same_patient(query) for query in queries}

    def _same_patient(self, query: Query) -> set[int]:
        patient = self.patients.get(query.image_id)
        return set(self._of_patient[patient]) if patient else set()

    def _from_labels(self, queries: Sequence[Query], own: Mapping[int, set[int]]) -> list[Judgement]:
        grades: dict[int, dict[int, str]] = {query.pk: {} for query in queries}
        labels = Label.objects.filter(query__in=list(grades)).values_list("query_id", "image_id", "grade")
        for query_id, image_id, grade in labels.iterator(chunk_size=10_000):
            grades[query_id][image_id] = grade
        return [self._from_grades(grades[query.pk], own[query.pk]) for query in queries]

    def _from_grades(self, grades: Mapping[int, str], own: set[int]) -> Judgement:
        return Judgement(truth_of(grades, self.protocol, own), grades, Grade.EASY.value, frozenset(own))

    def _from_group(self, query: Query, own: set[int]) -> Judgement:
        product = query.image.product
        group: str | int | None = None
        if product is not None:
            group = product.category if self.benchmark.relevance == Relevance.CATEGORY else product.pk
        itself = np.array(sorted(own), np.int64)
        members = self._groups.get(group or "", np.empty(0, np.int64))
        if Grade.EASY not in self.protocol.positive:
            members = members[:0]
        truth = Truth(np.setdiff1d(members, itself, assume_unique=True), itself)
        return Judgement(truth, {}, Grade.EASY.value, frozenset(own))
