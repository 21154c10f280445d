"""The work of one evaluation run: embed, rank, judge, keep."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Exists, OuterRef
from numpy.typing import NDArray

from catalog.images import PictureError
from catalog.models import Image, Query
from search.deep_ranking import ExactTop, collapsed, deep_ranking, ruled
from search.embedding import descriptor_of, embed_pending
from search.evaluation import Ranking, Truth, parse_metrics, protocol_named
from search.evaluation.evaluate import judge, score
from search.evaluation.metrics import average_precision, precision_at_recall
from search.expansion import BadExpansion, Expansion, expand
from search.facts import facts_by_id
from search.ground_truth import GroundTruth, Judgement
from search.indexes import set_threads
from search.models import Embedding, EvaluationRun, QueryResult, SearchIndex
from search.serving import Live
from search.side import embeddings_of, stream
from search.source_version import version
from search.types import Descriptors, Ids, Scores
from search.vectors import from_bytes

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

GROUP = 4096  # queries compared with all descriptors in one pass over them, for ann_recall
CHUNK = 256  # queries ranked at once, fewer where rankings are long
CELLS = 4_000_000  # places of all rankings of a chunk: about 100 MB
DEEPEST = 65_536  # places of a ranking; a positive behind them counts as not returned
HEAD = 100  # places kept for people to look at
NOTHING = np.empty(0, np.int64), np.empty(0, np.float32), None


class Work:
    """Holds one state of the index from beginning to end."""

    def __init__(self, run: EvaluationRun, on_progress: Progress | None) -> None:
        self.run, self.on_progress = run, on_progress
        self.metrics = parse_metrics(run.metrics)
        self.exact_k = max((m.k or 0 for m in self.metrics if m.name.startswith("ann_recall@")), default=0)

    def go(self) -> None:
        """Score every query that has no result yet. Raises JobCancelled, and what extraction raises."""
        self._embed()
        set_threads(settings.FAISS_THREADS or os.cpu_count() or 1)
        self.state = Live(self.run.index_id).state()  # of its own: just embedded pictures are in it
        self.feature_model = self.state.index.feature_model
        self.expansion = _expansion(self.state.index)
        protocol = protocol_named(self.run.parameters["protocol"])
        self.truth = GroundTruth(self.run.benchmark, protocol)
        self._pin()
        rules = self.state.pipeline.rules if self.run.with_rules else ()
        self.pipeline = replace(self.state.pipeline, rules=rules)
        self.by_product = any(rule.name == "one_per_product" for rule in rules)
        for group in _slices(self._todo(), GROUP):
            self._group(group)

    def _report(self, done: int, total: int, stage: str) -> None:
        self.run.progress(done, total, stage)
        if self.on_progress:
            self.on_progress(done, total)

    def _embed(self) -> None:
        """Embed what waits. Where everything is embedded no network is opened: its weights may be elsewhere."""
        index = self.run.index
        stored = Embedding.objects.filter(image=OuterRef("pk"), feature_model=index.feature_model_id)
        waiting = Image.objects.filter(~Exists(stored), collection=index.collection_id)
        while waiting.exists():
            if not embed_pending(
                index.collection,
                index.feature_model,
                on_progress=lambda done, total: self._report(done, total, "embedding"),
            ):
                time.sleep(0.5)  # another process has the rest in hand
                self._report(self.run.done, self.run.total, "embedding")

    def _pin(self) -> None:
        """Write down what is measured; if results are there that measured something else, drop them."""
        pins = {
            "build_id": self.state.build.pk if self.state.build else None,
            "fingerprint": self.feature_model.fingerprint,
            "label_version": self.run.benchmark.version,
            "parameters": self._parameters(),
        }
        if any(getattr(self.run, name) != value for name, value in pins.items()):
            self.run.query_results.all().delete()
            for name, value in pins.items():
                setattr(self.run, name, value)
            self.run.save(update_fields=list(pins))

    def _parameters(self) -> dict[str, Any]:
        index, build = self.state.index, self.state.build
        return {
            "protocol": self.run.parameters["protocol"],
            "engine": build.engine if build else index.engine,
            "preset": index.preset,
            "factory": build.factory if build else "exact",
            "search_params": dict(self.state.pipeline.search_params),
            "fine_depth": index.fine_depth,
            "rules_depth": index.rules_depth,
            "expansion": self.expansion.to_dict(),
            "rules": index.rules if self.run.with_rules else [],
            "gallery": len(self.truth.gallery),
            "gallery_last_id": int(self.truth.gallery[-1]) if len(self.truth.gallery) else 0,
            "deepest": DEEPEST,
            "version": version(),
        }

    def _todo(self) -> list[int]:
        done = self.run.query_results.values_list("query_id", flat=True)
        queries = self.run.benchmark.queries.order_by("id").values_list("id", flat=True)
        kept = set(done)
        self.total, self.done = len(queries), len(kept)
        self._report(self.done, self.total, "ranking")
        return [key for key in queries if key not in kept]

    def _group(self, keys: Sequence[int]) -> None:
        rows = self.run.benchmark.queries.select_related("image__product").filter(pk__in=keys).order_by("id")
        queries = list(rows)
        x, readable = self._descriptors(queries)
        x = self._expanded(queries, x)
        places = min(len(self.state) or 1, DEEPEST)
        size = max(1, min(CHUNK, CELLS // places))
        exact = self._exact(x, self._most_ignored(queries, size)) if self.exact_k else None
        for start in range(0, len(queries), size):
            part = slice(start, start + size)
            self._chunk(queries[part], x[part], readable[part], None if exact is None else exact[part])

    def _descriptors(self, queries: Sequence[Query]) -> tuple[Descriptors, list[bool]]:
        """(n, dim), and which rows are real: a picture that cannot be read finds nothing."""
        whole = [query.image_id for query in queries if query.box is None]
        vectors = Embedding.objects.filter(
            image__in=whole, feature_model=self.feature_model, vector__isnull=False
        ).values_list("image_id", "vector")
        stored = {image_id: bytes(vector) for image_id, vector in vectors if vector is not None}
        x = np.zeros((len(queries), self.state.side.dim), np.float32)
        readable = [False] * len(queries)
        for row, query in enumerate(queries):
            if query.box is None and query.image_id in stored:
                x[row], readable[row] = from_bytes(stored[query.image_id], x.shape[1]), True
            elif query.box is not None:
                readable[row] = self._boxed(query, x[row])
        return x, readable

    def _expanded(self, queries: Sequence[Query], x: Descriptors) -> Descriptors:
        """As a visitor's search does; the query itself and its copies have no vote. What is junk is not told."""
        if not self.expansion:
            return x
        own = self.truth.own(queries)
        return expand(
            self.pipeline, x, self.expansion, [np.array(sorted(own[query.pk]), np.int64) for query in queries]
        )

    def _boxed(self, query: Query, row: Descriptors) -> bool:
        left, top, width, height = (round(value) for value in query.box or ())
        try:
            row[:] = descriptor_of(query.image, self.feature_model, (left, top, width, height))
        except PictureError:
            return False
        finally:
            self._report(self.done, self.total, "extracting boxes")
        return True

    def _most_ignored(self, queries: Sequence[Query], size: int) -> int:
        parts = (self.truth.of(queries[start : start + size]) for start in range(0, len(queries), size))
        return max(len(judgement.truth.ignored) for part in parts for judgement in part)

    def _exact(self, x: Descriptors, ignored: int) -> Ids:
        """The exact first K and what may leave it, from the rows themselves: nothing of the index is trusted."""
        top = ExactTop(x, self.exact_k + ignored)
        for _, ids, descriptors in stream(embeddings_of(self.state.index), x.shape[1]):
            top.add(ids, descriptors)
            self._report(self.done, self.total, "exact search")
        return top.ids

    def _chunk(self, queries: Sequence[Query], x: Descriptors, readable: Sequence[bool], exact: Ids | None) -> None:
        judgements = self.truth.of(queries)
        rows = [row for row, judgement in enumerate(judgements) if judgement.truth.relevant and readable[row]]
        leaving = max((len(judgements[row].truth.ignored) for row in rows), default=0)
        depth = max(self.run.depth, self.exact_k) if self.run.depth else len(self.state)
        found: dict[int, tuple[Ids, Scores, Ids | None]] = {}
        if rows:
            k = min(depth + leaving, DEEPEST, len(self.state))
            ids, scores = deep_ranking(self.pipeline, x[rows], k, self.pipeline.fine_depth + leaving)
            found = {
                row: (ids[place], scores[place], None if exact is None else exact[row])
                for place, row in enumerate(rows)
            }
        results = [self._result(query, judgements[row], *found.get(row, NOTHING)) for row, query in enumerate(queries)]
        QueryResult.objects.bulk_create(results, batch_size=200, ignore_conflicts=True)
        self.done += len(results)
        self._report(self.done, self.total, "ranking")

    def _result(self, query: Query, judgement: Judgement, ids: Ids, scores: Scores, exact: Ids | None) -> QueryResult:
        truth = judgement.truth
        if not truth.relevant:
            return QueryResult(run=self.run, query=query)  # skipped: no scores
        there = np.isin(ids, self.truth.gallery) & ~np.isin(ids, list(judgement.own))
        ids, scores = with_junk = ids[there], scores[there]
        counted = ~np.isin(ids, truth.ignored)
        ids, scores = ids[counted], scores[counted]
        before_rules = ids
        if self.pipeline.rules:
            ids, scores = ruled(self.pipeline, ids, scores, facts_by_id(ids.tolist()))
        if self.run.depth:
            ids, scores = ids[: self.run.depth], scores[: self.run.depth]
        outcome = judge(query.name, *self._units(ids, truth))
        exact = None if exact is None else exact[(exact >= 0) & ~np.isin(exact, truth.ignored)]
        outcome = replace(outcome, ids=before_rules, exact=exact)
        head = _head(ids, scores) if self.pipeline.rules else _head(*with_junk, counted, len(ids))
        return QueryResult(
            run=self.run,
            query=query,
            average_precision=average_precision(outcome.hits, outcome.relevant),
            scores=score(self.metrics, outcome),
            relevant=outcome.relevant,
            curve=[round(value, 6) for value in precision_at_recall(outcome.hits, outcome.relevant)],
            ranking=[
                [image_id, round(value, 6), grade]
                for (image_id, value), grade in zip(head, judgement.graded(np.array([i for i, _ in head])), strict=True)
            ],
        )

    def _units(self, ids: Ids, truth: Truth) -> tuple[Ranking, Truth]:
        """Pictures, or products where a rule shows each product once: collapsed first, scored then."""
        if not self.by_product:
            return Ranking(ids), truth
        products = self.truth.products
        return Ranking(collapsed(ids, products)), Truth(np.unique(collapsed(truth.positives, products)))


def _head(
    ids: Ids, scores: Scores, counted: NDArray[np.bool_] | None = None, places: int = HEAD
) -> list[tuple[int, float]]:
    """The first HEAD places, of ``places``, with the junk that stands between them, to be shown and not counted."""
    end = min(HEAD, places)
    if counted is not None:
        there = np.flatnonzero(counted)[:end]
        end = int(there[-1]) + 1 if len(there) else 0
    return list(zip(ids[:end].tolist(), scores[:end].tolist(), strict=True))


def _expansion(index: SearchIndex) -> Expansion:
    try:
        return Expansion.from_dict(index.expansion)
    except BadExpansion as error:  # a search leaves it out, so an evaluation does
        logger.error("the query expansion of index %s is left out: %s", index, error)
        return Expansion.none()


def _slices(values: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
