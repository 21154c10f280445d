"""Two runs of one benchmark beside each other: what changed, by how much, and whether it could be chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from catalog.errors import LookalikeError, gettext_noop
from catalog.jobs import JobState
from catalog.models import Query
from search.evaluation import Metric, parse_metric
from search.evaluation.comparison import LEVEL, RESAMPLES, Comparison, compare
from search.judged import Found, images_of, judged
from search.models import EvaluationRun, QueryResult

HITS = 8
CHANGED = 20  # queries shown with both rankings


class NotComparable(LookalikeError):
    code = "not_comparable"
    text = gettext_noop("The runs %(a)s and %(b)s measured different benchmarks: %(first)s and %(second)s.")
    cure = gettext_noop("Choose two runs of the same benchmark.")
    status = 409


class OtherLabels(NotComparable):
    text = gettext_noop("The labels changed between the runs %(a)s and %(b)s: version %(first)s and %(second)s.")
    cure = gettext_noop("Run the older one again, and compare then.")


class OtherProtocol(NotComparable):
    text = gettext_noop("The runs %(a)s and %(b)s count other labels as hits: protocol %(first)s and %(second)s.")
    cure = gettext_noop("Run one of them again with the protocol of the other.")


class OtherUnits(NotComparable):
    text = gettext_noop("Of the runs %(a)s and %(b)s one counts pictures, one products: %(first)s and %(second)s.")
    cure = gettext_noop("Run both with the rule one_per_product, or both without it.")


class NotMeasured(NotComparable):
    text = gettext_noop("The run %(run)s is not done: %(state)s.")
    cure = gettext_noop("Wait for it, or run it again.")


class NoSuchScore(NotComparable):
    code = "no_such_score"
    text = gettext_noop("The runs %(a)s and %(b)s did not both measure %(metric)s.")
    cure = gettext_noop("Both have: %(known)s.")
    status = 400


@dataclass(frozen=True)
class Change:
    """A query that scores differently, with the head of both rankings."""

    query: Query
    first: float
    second: float
    difference: float
    rankings: tuple[list[Found], list[Found]]


@dataclass(frozen=True)
class RunComparison:
    """``b`` less ``a``, by query; a positive difference speaks for ``b``."""

    a: EvaluationRun
    b: EvaluationRun
    metric: Metric
    figures: Comparison[int]
    scores: tuple[dict[int, float | None], dict[int, float | None]]

    @cached_property
    def changes(self) -> list[Change]:
        """The queries that changed most, the largest change first."""
        keys = self.figures.changed_most(CHANGED)
        sides = [
            {row.query_id: row for row in QueryResult.objects.filter(run=run, query__in=keys)}
            for run in (self.a, self.b)
        ]
        images = images_of((row for side in sides for row in side.values()), HITS)
        queries = Query.objects.select_related("image").in_bulk(keys)
        return [self._change(queries[key], sides[0][key], sides[1][key], images) for key in keys if key in queries]

    def _change(self, query: Query, first: QueryResult, second: QueryResult, images: dict[int, Any]) -> Change:
        values = [side[query.pk] or 0.0 for side in self.scores]
        rankings = judged(first, images, HITS), judged(second, images, HITS)
        return Change(query, values[0], values[1], self.figures.differences[query.pk], rankings)

    @property
    def is_significant(self) -> bool:
        return self.figures.p_value is not None and self.figures.p_value < 1 - LEVEL

    @property
    def pins(self) -> list[tuple[str, object, object]]:
        """What differs between the two, so what the difference may come from."""
        first, second = _pins(self.a), _pins(self.b)
        names = [*first, *(name for name in second if name not in first)]
        return [(name, first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)]

    def to_dict(self) -> dict[str, Any]:
        figures = self.figures
        names = dict(Query.objects.filter(pk__in=[*figures.differences]).values_list("pk", "name"))
        return {
            "a": self.a.pk,
            "b": self.b.pk,
            "benchmark": self.a.benchmark.name,
            "metric": self.metric.name,
            "queries": len(figures.differences),
            "mean_a": figures.first,
            "mean_b": figures.second,
            "difference": figures.difference,
            "interval": None if figures.low is None else [figures.low, figures.high],
            "p_value": figures.p_value,
            "resamples": RESAMPLES,
            "better": figures.better,
            "worse": figures.worse,
            "same": figures.same,
            "pins": {name: [first, second] for name, first, second in self.pins},
            "differences": [
                {"query": names.get(key, str(key)), "difference": value} for key, value in figures.differences.items()
            ],
        }


def compare_runs(a: EvaluationRun, b: EvaluationRun, metric: str = "") -> RunComparison:
    """Compare two finished runs. ``metric``: such as mAP@10; without one mAP, else the first that both measured.

    Raises NotComparable, NoSuchScore, UnknownMetric.
    """
    _check(a, b)
    chosen = _metric(a, b, metric)
    sides = _scores(a, chosen), _scores(b, chosen)
    return RunComparison(a, b, chosen, compare(*sides), sides)


def common_metrics(a: EvaluationRun, b: EvaluationRun) -> list[str]:
    return [name for name in a.metrics if name in b.metrics]


def _check(a: EvaluationRun, b: EvaluationRun) -> None:
    for run in (a, b):
        if run.state != JobState.DONE:
            raise NotMeasured(run=run.pk, state=run.state)
    same = {"a": a.pk, "b": b.pk}
    if a.benchmark_id != b.benchmark_id:
        raise NotComparable(first=a.benchmark, second=b.benchmark, **same)
    if a.label_version != b.label_version:
        raise OtherLabels(first=a.label_version, second=b.label_version, **same)
    first, second = (run.parameters.get("protocol") for run in (a, b))
    if first != second:
        raise OtherProtocol(first=first, second=second, **same)
    if _unit(a) != _unit(b):
        raise OtherUnits(first=_unit(a), second=_unit(b), **same)


def _unit(run: EvaluationRun) -> str:
    """What a place of the ranking is: a rule that shows each product once makes products of pictures."""
    rules = run.parameters.get("rules") or []
    return "products" if any(rule.get("rule") == "one_per_product" for rule in rules) else "pictures"


def _metric(a: EvaluationRun, b: EvaluationRun, wanted: str) -> Metric:
    known = common_metrics(a, b)
    names = {parse_metric(name).per_query: name for name in known}
    if not wanted:
        wanted = "mAP" if "mAP" in known else next(iter(known), "mAP")
    metric = parse_metric(wanted)
    if metric.per_query not in names:
        raise NoSuchScore(a=a.pk, b=b.pk, metric=wanted, known=", ".join(known) or "–")
    return parse_metric(names[metric.per_query])


def _scores(run: EvaluationRun, metric: Metric) -> dict[int, float | None]:
    rows = run.query_results.order_by("query_id").values_list("query_id", "scores")
    return {query_id: scores.get(metric.per_query) for query_id, scores in rows.iterator(chunk_size=2000)}


def _pins(run: EvaluationRun) -> dict[str, object]:
    return {
        "index": str(run.index),
        "build": run.build_id,
        "feature_model": run.index.feature_model.name,
        "fingerprint": run.fingerprint[:12],
        "depth": run.depth,
        "with_rules": run.with_rules,
        **run.parameters,
    }
