"""An evaluation run as the files of TREC: run.txt, qrels.txt, and documents.tsv for what they call pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Image
from search.deep_ranking import collapsed
from search.evaluation import Grade, protocol_named
from search.evaluation.trec import RELEVANCE, write_qrels, write_run
from search.ground_truth import GroundTruth, Judgement
from search.models import EvaluationRun, QueryResult
from search.types import Ids

CHUNK = 256
AT_ONCE = 10_000
Judged = tuple[QueryResult, Judgement]


class TruthChanged(LookalikeError):
    code = "truth_changed"
    text = gettext_noop("What is relevant to %(query)s changed since run %(run)s measured.")
    cure = gettext_noop("Run the evaluation again, and export that.")
    status = 409


def export_trec(run: EvaluationRun, folder: Path) -> int:
    """Write the three files into ``folder``; how many queries there are.

    The rankings are the heads that a run keeps, a hundred places, without junk and without the query itself, in our
    order. Queries without positives are left out, as they are of every mean. A document is a picture's id; where a
    rule shows each product once, p and the product's id. Raises TruthChanged, OSError.
    """
    if run.label_version != run.benchmark.version:
        raise TruthChanged(query=run.benchmark, run=run.pk)
    units = _Units(run)
    used: set[int] = set()
    count = 0
    with (
        (folder / "run.txt").open("w", encoding="ascii") as ran,
        (folder / "qrels.txt").open("w", encoding="ascii") as true,
    ):
        for result, judgement in _judged(run, units):
            ids = np.array([entry[0] for entry in result.ranking if entry[2] != Grade.JUNK], np.int64)
            relevance = units.relevance(judgement, ids)
            write_run(ran, result.query.name, units.documents(ids), f"run-{run.pk}")
            write_qrels(true, result.query.name, relevance)
            used |= {*ids.tolist(), *judgement.truth.positives.tolist(), *judgement.grades}
            count += 1
    _write_documents(folder / "documents.tsv", units, sorted(used))
    return count


def _file(path: Path) -> TextIO:
    return path.open("w", encoding="ascii", newline="\n")


class _Units:
    """What stands at a place of the ranking: a picture, or a product."""

    def __init__(self, run: EvaluationRun) -> None:
        self.truth = GroundTruth(run.benchmark, protocol_named(run.parameters["protocol"]))
        rules = run.parameters.get("rules") or []
        self.by_product = any(rule.get("rule") == "one_per_product" for rule in rules)

    def keys(self, ids: Ids) -> list[int]:
        keys: list[int] = (collapsed(ids, self.truth.products) if self.by_product else ids).tolist()
        return keys

    def documents(self, ids: Ids) -> list[str]:
        """Names, each once, in order. A lone picture keeps its own id among products."""
        if not self.by_product:
            return [str(key) for key in ids.tolist()]
        names = [f"p{key}" if key >= 0 else str(-1 - key) for key in self.keys(ids)]
        return list(dict.fromkeys(names))

    def relevance(self, judgement: Judgement, ids: Ids) -> dict[str, int]:
        """By document: 2 easy, 1 hard, 0 seen and not relevant, -1 left out. A positive counts before all else."""
        truth, found = judgement.truth, dict[str, int]()
        graded = np.fromiter(judgement.grades, np.int64, len(judgement.grades))
        for group, value in ((ids, 0), (graded, 0), (truth.ignored, -1), (truth.positives, None)):
            for image_id, document in zip(group.tolist(), map(self._one, group), strict=True):
                grade = judgement.grades.get(image_id, judgement.given)
                level = RELEVANCE[grade] if value is None else value
                found[document] = max(found.get(document, level), level) if value is None else level
        return found

    def _one(self, image_id: np.int64) -> str:
        return self.documents(np.array([image_id], np.int64))[0]

    def relevant(self, judgement: Judgement) -> int:
        return len(set(self.keys(judgement.truth.positives)))


def _judged(run: EvaluationRun, units: _Units) -> Iterator[Judged]:
    results = run.query_results.exclude(scores={}).select_related("query__image__product").order_by("query_id")
    chunk: list[QueryResult] = []
    for result in results.iterator(chunk_size=CHUNK):
        chunk.append(result)
        if len(chunk) == CHUNK:
            yield from _checked(run, units, chunk)
            chunk = []
    yield from _checked(run, units, chunk)


def _checked(run: EvaluationRun, units: _Units, chunk: Sequence[QueryResult]) -> Iterator[Judged]:
    for result, judgement in zip(chunk, units.truth.of([result.query for result in chunk]), strict=True):
        if result.relevant != units.relevant(judgement):
            raise TruthChanged(query=result.query.name, run=run.pk)
        yield result, judgement


def _write_documents(path: Path, units: _Units, ids: Sequence[int]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("document", "picture", "sku"))
        for start in range(0, len(ids), AT_ONCE):
            rows = Image.objects.filter(pk__in=ids[start : start + AT_ONCE]).select_related("product").order_by("id")
            for image in rows:
                name = units.documents(np.array([image.pk], np.int64))[0]
                writer.writerow((name, str(image), image.product.sku if image.product else ""))
