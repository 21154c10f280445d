"""A run as a report: what was pinned, the curve, the classes, the worst queries; as data and as one HTML file."""

from __future__ import annotations

import base64
import io
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from django.core.files.storage import default_storage
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from PIL import Image as PillowImage

from catalog.models import Grade, Image, Label, Query
from search.evaluation.plot import points
from search.evaluation.report import mean
from search.judged import LEGEND, Found, images_of, judged
from search.models import EvaluationRun, QueryResult

WORST = 50  # queries of a file, each with its first hits as pictures: about 2 MB
HITS = 10
SIDE = 96  # pixels of a picture in a file
CLASS_COLUMNS = ("AP", "recall@10")
_NUMBERED = re.compile(r"[_\W]*\d+$")


@dataclass(frozen=True)
class ClassRow:
    """The mean scores of a class's queries, in the order of ``RunReport.class_columns``."""

    name: str
    queries: int
    values: list[float | None]


@dataclass(frozen=True)
class QueryRow:
    query: Query
    relevant: int
    scores: list[tuple[str, float | None]]
    ranking: list[Found]


class RunReport:
    """Read from the rows when it is asked for; a run of 10,000 queries takes about a second."""

    def __init__(self, run: EvaluationRun) -> None:
        self.run = run

    @cached_property
    def _rows(self) -> list[tuple[str, dict[str, float | None], list[float]]]:
        """Class, scores and curve of each scored query."""
        rows = self.run.query_results.exclude(scores={}).order_by("query_id")
        values = list(rows.values_list("query_id", "query__image__product__category", "query__name", "scores", "curve"))
        found = {} if all(category for _id, category, *_rest in values) else self._found_categories
        return [
            (category or found.get(query_id) or class_of(name), scores, curve)
            for query_id, category, name, scores, curve in values
        ]

    @cached_property
    def _found_categories(self) -> dict[int, str]:
        """Of queries that are labelled, the category that most of their positives have."""
        labels = Label.objects.filter(query__benchmark=self.run.benchmark_id, grade__in=(Grade.EASY, Grade.HARD))
        pairs = labels.exclude(image__product__category="").values_list("query_id", "image__product__category")
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        for query_id, category in pairs.order_by().iterator(chunk_size=10_000):
            if category:
                counts[query_id][category] += 1
        return {query_id: min(c, key=lambda name: (-c[name], name)) for query_id, c in counts.items()}

    @cached_property
    def curve(self) -> list[float]:
        """Mean interpolated precision at recall 0, 0.1 … 1; empty for a run made before curves were kept."""
        curves = [curve for _class, _scores, curve in self._rows if curve]
        return [sum(column) / len(curves) for column in zip(*curves, strict=True)]

    @property
    def curve_points(self) -> str:
        return points(self.curve)

    @cached_property
    def class_columns(self) -> list[str]:
        known = self._rows[0][1] if self._rows else {}
        wanted = [name for name in CLASS_COLUMNS if name in known]
        recall = [name for name in known if name.startswith("recall@")]
        return wanted if "recall@10" in wanted or not recall else [*wanted, recall[-1]]

    @cached_property
    def classes(self) -> list[ClassRow]:
        """The worst class first; none where all queries are of one class, or each of its own."""
        groups: dict[str, list[dict[str, float | None]]] = defaultdict(list)
        for name, scores, _curve in self._rows:
            groups[name].append(scores)
        if not 1 < len(groups) < len(self._rows):
            return []
        rows = [
            ClassRow(name, len(group), [mean(scores.get(column) for scores in group) for column in self.class_columns])
            for name, group in groups.items()
        ]
        return sorted(
            rows, key=lambda row: (row.values[0] if row.values and row.values[0] is not None else 2, row.name)
        )

    def class_scores(self) -> dict[str, dict[str, float | None]]:
        """By class: how many queries, and each mean under its metric's per-query name."""
        return {
            row.name: {"queries": row.queries, **dict(zip(self.class_columns, row.values, strict=True))}
            for row in self.classes
        }

    @cached_property
    def worst(self) -> list[QueryRow]:
        """The queries with the lowest AP, with their pictures; those without positives are not among them."""
        results = self.run.query_results.exclude(scores={}).select_related("query__image")
        chosen = list(results.order_by(F("average_precision").asc(nulls_last=True), "id")[:WORST])
        images = images_of(chosen, HITS)
        return [_query_row(result, images) for result in chosen]

    @property
    def legend(self) -> list[tuple[str, str, Promise]]:
        return LEGEND

    @property
    def pins(self) -> list[tuple[Promise, object]]:
        """What the figures belong to: the same values, the same figures."""
        run = self.run
        parameters = dict(run.parameters)
        version = parameters.pop("version", "")
        return [
            (_("benchmark"), run.benchmark),
            (_("label version"), run.label_version),
            (_("index"), run.index),
            (_("build"), run.build_id or _("none: exact search")),
            (_("feature model"), run.index.feature_model.name),
            (_("fingerprint"), run.fingerprint),
            (_("depth"), run.depth or _("the whole gallery")),
            (_("business rules"), _("yes") if run.with_rules else _("no")),
            *((name, shown(value)) for name, value in parameters.items()),
            (_("version"), version or "–"),
            (_("measured"), timezone.localtime(run.finished).strftime("%Y-%m-%d %H:%M %Z") if run.finished else "–"),
        ]


def _worst_first(row: ClassRow) -> tuple[float, str]:
    value = row.values[0] if row.values else None
    return math.inf if value is None else value, row.name


def class_of(name: str) -> str:
    """Of a query without any category: its name without the number behind it (all_souls_3: all_souls)."""
    return _NUMBERED.sub("", PurePosixPath(name).stem) or name


def report_html(run: EvaluationRun) -> str:
    """One file that needs no other: pictures and drawing inside, light and dark, for screen and paper."""
    return render_to_string("admin/lookalike/report.html", {"report": RunReport(run)})


def data_uri(image: Image | None) -> str:
    """A small JPEG of a picture as an address; empty where its file is gone."""
    if image is None:
        return ""
    try:
        with default_storage.open(str((image.thumbnail or image.file).name)) as file, PillowImage.open(file) as picture:
            small = picture.convert("RGB")
            small.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=72, optimize=True)
    except OSError:
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _query_row(result: QueryResult, images: dict[int, Image]) -> QueryRow:
    return QueryRow(result.query, result.relevant, list(result.scores.items()), judged(result, images, HITS))


def shown(value: Any) -> str:
    """A pinned value as people read it."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value in ("", None) else str(value)
