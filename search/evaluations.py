"""Evaluation runs: a benchmark measured on an index, every query kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from catalog.errors import JobCancelled, LookalikeError, gettext_noop
from catalog.jobs import JobState
from catalog.locks import try_lock
from catalog.models import Benchmark, Image
from search.evaluation import MEDIUM, Grade, parse_metrics, protocol_named
from search.evaluation.report import mean
from search.evaluation_run import Progress, Work
from search.models import EvaluationRun, SearchIndex
from search.models.evaluation import default_metrics
from search.ranking import rules_from

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)


class OtherCollection(LookalikeError):
    code = "other_collection"
    text = gettext_noop("The benchmark %(benchmark)s and the index %(index)s are of different collections.")
    cure = gettext_noop("Choose an index of the benchmark's collection.")


class NoQueries(LookalikeError):
    code = "no_queries"
    text = gettext_noop("The benchmark %(benchmark)s has no queries.")
    cure = gettext_noop("Import its ground truth, or make a benchmark from the categories.")


def evaluation_create(
    benchmark: Benchmark,
    index: SearchIndex,
    *,
    metrics: Iterable[str] | None = None,
    depth: int = 0,
    with_rules: bool = False,
    protocol: str = MEDIUM.name,
    user: User | None = None,
) -> EvaluationRun:
    """A queued run; enqueue ``search.evaluation_run`` with its key. ``depth`` 0 ranks the whole gallery.

    Raises OtherCollection, NoQueries, UnknownMetric, UnknownProtocol, BadRule.
    """
    if benchmark.collection_id != index.collection_id:
        raise OtherCollection(benchmark=benchmark, index=index)
    if not benchmark.queries.exists():
        raise NoQueries(benchmark=benchmark)
    names = [metric.name for metric in parse_metrics(metrics or default_metrics())]
    if with_rules:
        rules_from(index.rules)
    return EvaluationRun.objects.create(
        benchmark=benchmark,
        index=index,
        build=index.active_build,
        metrics=names,
        depth=depth,
        with_rules=with_rules,
        fingerprint=index.feature_model.fingerprint,
        parameters={"protocol": protocol_named(protocol).name},
        label_version=benchmark.version,
        created_by=user,
        total=benchmark.queries.count(),
    )


def evaluation_run(run_id: int, on_progress: Progress | None = None) -> EvaluationRun:
    """Do a queued run, or go on with one whose worker died: queries already scored are kept.

    ``on_progress`` is given queries done and in all. What the run measured is on its row: build,
    fingerprint, search parameters and label version. If any of them changed since a killed worker scored
    its part, the run starts over, so that one figure never mixes two states.
    """
    run = EvaluationRun.objects.get(pk=run_id)
    with try_lock(f"evaluation-{run.pk}") as mine:  # dies with its process, unlike the row's state
        if mine and run.claim():
            _run(run, on_progress)
    return run


def _run(run: EvaluationRun, on_progress: Progress | None) -> None:
    try:
        Work(run, on_progress).go()
        _summarise(run)
    except JobCancelled:
        run.finish(JobState.CANCELLED)
    except LookalikeError as error:
        run.finish(JobState.FAILED, str(error))
    except Exception as error:
        log.exception("evaluation run %s failed", run.pk)
        run.finish(JobState.FAILED, f"{type(error).__name__}: {error}")
    else:
        run.finish()


def csv_rows(run: EvaluationRun) -> Iterator[tuple[str, str, int, float]]:
    """Query, result, rank and score of the rankings' kept heads (the first hundred places)."""
    results = run.query_results.order_by("query_id").values_list("query__name", "ranking")
    for name, ranking in results.iterator(chunk_size=500):
        ranking = [entry for entry in ranking if entry[2] != Grade.JUNK]
        names = {image.pk: str(image) for image in Image.objects.filter(pk__in=[entry[0] for entry in ranking])}
        for rank, (image_id, score, _grade) in enumerate(ranking, start=1):
            yield name, names.get(image_id, str(image_id)), rank, score


def evaluation_report(run: EvaluationRun) -> dict[str, Any]:
    """A run as plain values: what was measured, on what, and each query's scores."""
    rows = run.query_results.order_by("query_id").values_list("query__name", "scores")
    return {
        "run": run.pk,
        "state": run.state,
        "error": run.error,
        "benchmark": str(run.benchmark),
        "label_version": run.label_version,
        "index": str(run.index),
        "build": run.build_id,
        "feature_model": run.index.feature_model.name,
        "fingerprint": run.fingerprint,
        "parameters": run.parameters,
        "depth": run.depth,
        "with_rules": run.with_rules,
        "metrics": run.results,
        "queries_scored": run.queries_scored,
        "queries_skipped": run.queries_skipped,
        "queries": {name: scores for name, scores in rows if scores},
        "skipped": [name for name, scores in rows if not scores],
    }


def _summarise(run: EvaluationRun) -> None:
    metrics = parse_metrics(run.metrics)
    values: dict[str, list[float | None]] = {metric.name: [] for metric in metrics}
    scored = skipped = 0
    for scores in run.query_results.values_list("scores", flat=True).iterator(chunk_size=2000):
        if not scores:
            skipped += 1
            continue
        scored += 1
        for metric in metrics:
            values[metric.name].append(scores.get(metric.per_query))
    run.results = {name: mean(column) for name, column in values.items()}
    run.queries_scored, run.queries_skipped, run.done = scored, skipped, scored + skipped
    run.save(update_fields=["results", "queries_scored", "queries_skipped"])
