"""The queries of an evaluation run with the pictures found, worst first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import F, QuerySet
from django.db.models.fields.json import KeyTransform
from django.utils.functional import Promise

from catalog.models import Image, Query
from search.judged import LEGEND, Found, images_of, judged
from search.models import QueryResult

PAGE = 20
HITS = 12
AP = "AP"


@dataclass(frozen=True)
class Row:
    query: Query
    scores: list[float | None]
    ranking: list[Found]


@dataclass(frozen=True)
class Column:
    """A score to sort by: ``sort`` is what its link asks for next."""

    name: str
    sort: str
    arrow: str


@dataclass(frozen=True)
class ResultsPage:
    rows: list[Row]
    columns: list[Column]
    page: Page[QueryResult]
    sort: str

    @property
    def legend(self) -> list[tuple[str, str, Promise]]:
        return LEGEND

    @property
    def pages(self) -> Iterable[int | str]:
        return self.page.paginator.get_elided_page_range(self.page.number, on_each_side=2, on_ends=1)


def results_page(run_id: int, asked: Mapping[str, str]) -> ResultsPage:
    """``asked``: page, and sort as a score's name, '-' before it for the best first."""
    results = QueryResult.objects.filter(run=run_id).select_related("query__image")
    names = _score_names(results)
    sort = asked.get("sort", AP)
    page = Paginator(_sorted(results, sort, names), PAGE).get_page(asked.get("p"))
    images = images_of(page.object_list, HITS)
    rows = [_row(result, names, images) for result in page.object_list]
    return ResultsPage(rows, [_column(name, sort) for name in names], page, sort)


def _score_names(results: QuerySet[QueryResult]) -> list[str]:
    first = results.exclude(scores={}).order_by("id").first()
    return [AP, *(name for name in first.scores if name != AP)] if first else []


def _sorted(results: QuerySet[QueryResult], sort: str, names: list[str]) -> QuerySet[QueryResult]:
    name = sort.removeprefix("-")
    if name != AP and name not in names:
        name = AP
    key = F("average_precision") if name == AP else KeyTransform(name, "scores")
    ranked = results.annotate(sort_key=key)
    order = F("sort_key").desc(nulls_last=True) if sort.startswith("-") else F("sort_key").asc(nulls_last=True)
    return ranked.order_by(order, "id")


def _column(name: str, sort: str) -> Column:
    if sort.removeprefix("-") != name:
        return Column(name, name, "")
    return Column(name, name, "↓") if sort.startswith("-") else Column(name, f"-{name}", "↑")


def _row(result: QueryResult, names: list[str], images: dict[int, Image]) -> Row:
    ranking = judged(result, images, HITS)
    scores = [result.average_precision if name == AP else result.scores.get(name) for name in names]
    return Row(result.query, scores, ranking)
