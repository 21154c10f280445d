"""The outcome of an evaluation: per-query scores, their means, and how they are written down."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TextIO, TypeVar

from search.evaluation.metrics import Metric

Key = TypeVar("Key", bound=Hashable)
CSV_COLUMNS = ("query", "result", "rank", "score")


@dataclass
class Report(Generic[Key]):
    """Scores of each query by per-query name (AP, recall@10), and the queries without positives."""

    metrics: list[Metric]
    scores: dict[Key, dict[str, float | None]] = field(default_factory=dict)
    skipped: list[Key] = field(default_factory=list)

    def add(self, key: Key, scores: dict[str, float | None] | None) -> None:
        """Take one query's scores; none: it had no positives."""
        if scores is None:
            self.skipped.append(key)
        else:
            self.scores[key] = scores

    @property
    def means(self) -> dict[str, float | None]:
        """Each metric's mean over the scored queries that have it; none where there is no such query."""
        return {metric.name: mean(row.get(metric.per_query) for row in self.scores.values()) for metric in self.metrics}

    def to_json(self, indent: int | None = None) -> str:
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "metrics": self.means,
            "queries_scored": len(self.scores),
            "queries_skipped": len(self.skipped),
            "queries": {str(key): row for key, row in self.scores.items()},
            "skipped": [str(key) for key in self.skipped],
        }


def mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are there, whatever their order: the sum is exact."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def write_csv(file: TextIO, rows: Iterable[tuple[str, str, int, float]]) -> int:
    """The table ``query,result,rank,score``; returns how many rows were written."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    count = 0
    for query, result, rank, score in rows:
        writer.writerow((query, result, rank, f"{score:.6f}"))
        count += 1
    return count


def text_table(means: dict[str, float | None]) -> str:
    """Metric and value, one a line, in columns."""
    width = max((len(name) for name in means), default=0)
    return "\n".join(f"{name:<{width}}  {'-' if value is None else f'{value:.4f}'}" for name, value in means.items())
