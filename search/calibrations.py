"""Calibrations of indexes: sampled, fitted, stored in their rows, and read back."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence

import numpy as np
from django.conf import settings
from django.db.models import Max, Min
from django.utils import timezone

from catalog.errors import LookalikeError, gettext_noop
from catalog.images import PictureError
from catalog.jobs import JobState
from catalog.models import Benchmark, Query
from search.calibration import LABELS, Calibration, Numbers, TooFewLabels, TooFewPictures, fit_labels, fit_statistics
from search.deep_ranking import deep_ranking
from search.embedding import descriptor_of
from search.evaluation import Truth, protocol_named
from search.expansion import Expansion, expanded
from search.ground_truth import GroundTruth
from search.indexes import set_threads
from search.models import IndexBuild, SearchIndex
from search.ranking import Pipeline
from search.serving import Live
from search.side import embeddings_of, stream
from search.types import Descriptors, Ids

logger = logging.getLogger(__name__)

__all__ = [
    "OtherCollection",
    "TooFewLabels",
    "TooFewPictures",
    "calibrate",
    "calibration_of",
    "recalibrate_after_build",
]

Judged = tuple[Numbers, Numbers, Ids]

SEED = 4
MOST_QUERIES = 500  # of a benchmark, or of the collection itself
HITS = 100  # of each query: what visitors look at
BLOCK = 64  # queries at once
GALLERY = 10_000  # pictures that the collection is judged by
PIECE = 25  # embeddings read in a row where the collection is larger than that
SAME = 0.9995  # the same picture twice: half-precision numbers differ by so much


class OtherCollection(LookalikeError):
    code = "other_collection"
    text = gettext_noop("The benchmark %(benchmark)s is of another collection than the index %(index)s.")
    cure = gettext_noop("Choose a benchmark of the same collection.")


def calibration_of(index: SearchIndex) -> Calibration | None:
    """The stored calibration; None where there is none, or where it is of other descriptors than today's."""
    stored = index.calibration
    if not stored or stored.get("fingerprint") != index.feature_model.fingerprint:
        return None
    try:
        return Calibration.from_dict(stored)
    except (KeyError, TypeError, ValueError) as error:
        logger.error("the calibration of index %s is left out: %r", index, error)
        return None


def calibrate(index: SearchIndex, benchmark: Benchmark | None = None) -> Calibration:
    """Fit on a benchmark's labels, else estimate from the scores in the collection, and keep it in the index's row.

    Raises TooFewLabels, TooFewPictures, OtherCollection, and what describing a query's box raises.
    """
    calibration = _statistics(index) if benchmark is None else _labels(index, benchmark)
    index.calibration = calibration.to_dict() | {
        "fingerprint": index.feature_model.fingerprint,
        "made": timezone.now().isoformat(timespec="seconds"),
        "benchmark": benchmark.name if benchmark else "",
        "label_version": benchmark.version if benchmark else None,
    }
    SearchIndex.objects.filter(pk=index.pk).update(calibration=index.calibration)
    return calibration


def recalibrate_after_build(build: IndexBuild) -> None:
    """Estimate anew what scores mean, unless labels say it. Quick, and raises nothing: a build has succeeded."""
    if build.state != JobState.DONE:
        return
    try:
        index = SearchIndex.objects.select_related("feature_model").get(pk=build.index_id)
        known = calibration_of(index)
        if known is None or known.kind != LABELS:
            calibrate(index)
    except TooFewPictures as error:
        logger.info("index %s is not calibrated: %s", build.index_id, error)
    except Exception:
        logger.exception("index %s could not be calibrated", build.index_id)


def _statistics(index: SearchIndex) -> Calibration:
    x = _sample(index)
    random = np.random.default_rng(SEED)
    queries = random.permutation(len(x))[:MOST_QUERIES]
    scores = x[queries] @ x.T
    scores[np.arange(len(queries)), queries] = np.nan  # itself
    pairs = scores[~np.isnan(scores)]
    return fit_statistics(pairs[pairs < SAME].astype(np.float64))


def _sample(index: SearchIndex) -> Descriptors:
    """At most about GALLERY descriptors (n, dim): all of them, else short runs of rows from all over."""
    rows, dim = embeddings_of(index), index.feature_model.dim
    if rows.count() > GALLERY:
        ends = rows.aggregate(first=Min("id"), last=Max("id"))
        starts = np.random.default_rng(SEED).integers(ends["first"], ends["last"] + 1, GALLERY // PIECE)
        ids: set[int] = set()
        for start in starts.tolist():
            ids.update(rows.filter(id__gte=start).order_by("id").values_list("id", flat=True)[:PIECE])
        rows = rows.filter(id__in=ids)
    chunks = [x for _, _, x in stream(rows, dim)]
    return np.concatenate(chunks) if chunks else np.empty((0, dim), np.float32)


def _labels(index: SearchIndex, benchmark: Benchmark) -> Calibration:
    """On the first hits of the benchmark's queries: their own pictures left out, and what is graded junk."""
    if benchmark.collection_id != index.collection_id:
        raise OtherCollection(benchmark=benchmark, index=index)
    pipeline = Live(index.pk).state().pipeline
    set_threads(settings.FAISS_THREADS or os.cpu_count() or 1)
    truth, expansion = GroundTruth(benchmark, protocol_named("medium")), Expansion.from_dict(index.expansion)
    found: list[Judged] = []
    for block in _blocks(benchmark):
        queries, x = _described(block, index)
        own = truth.own(queries)  # these have no vote; what is junk is not told to a search
        x, lengths = expanded(pipeline, x, expansion, [np.array(sorted(own[q.pk]), np.int64) for q in queries])
        found += _judged(pipeline, queries, x, lengths, [judgement.truth for judgement in truth.of(queries)])
    if not found:
        raise TooFewLabels(queries=0, relevant=0, hits=0)
    scores, relevant, whose = (np.concatenate(part) for part in zip(*found, strict=True))
    return fit_labels(scores, relevant, whose)


def _judged(
    pipeline: Pipeline, queries: Sequence[Query], x: Descriptors, lengths: Numbers, truths: Sequence[Truth]
) -> Iterator[Judged]:
    """The first hits of each query that has positives: mean scores, relevance and the query's id."""
    if not queries:
        return
    depth = HITS + max(len(truth.ignored) for truth in truths)
    ids, scores = deep_ranking(pipeline, x, depth, depth)
    for row, truth in enumerate(truths):
        if truth.relevant:
            kept = np.flatnonzero((ids[row] >= 0) & ~np.isin(ids[row], truth.ignored))[:HITS]
            relevant = np.isin(ids[row, kept], truth.positives).astype(np.float64)
            mean = scores[row, kept].astype(np.float64) * lengths[row]
            yield mean, relevant, np.full(len(kept), queries[row].pk, np.int64)


def _blocks(benchmark: Benchmark) -> Iterator[list[Query]]:
    """At most MOST_QUERIES queries, drawn with a fixed seed."""
    keys = np.fromiter(benchmark.queries.order_by("id").values_list("id", flat=True), np.int64)
    drawn = np.random.default_rng(SEED).permutation(keys)[:MOST_QUERIES]
    for start in range(0, len(drawn), BLOCK):
        part = drawn[start : start + BLOCK].tolist()
        yield list(benchmark.queries.select_related("image__product").filter(pk__in=part).order_by("id"))


def _described(queries: Sequence[Query], index: SearchIndex) -> tuple[list[Query], Descriptors]:
    """Those whose pictures can be read, and their descriptors (n, dim)."""
    kept, rows = [], []
    for query in queries:
        box = tuple(round(side) for side in query.box) if query.box is not None else None
        try:
            rows.append(descriptor_of(query.image, index.feature_model, box))
        except PictureError:
            continue
        kept.append(query)
    return kept, np.stack(rows) if rows else np.empty((0, index.feature_model.dim), np.float32)
