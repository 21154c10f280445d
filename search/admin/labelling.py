"""Benchmarks, with a page to label their queries on what the collection's indexes find."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext, ngettext

from catalog.admin.base import admin_url, error_text, may
from catalog.admin.benchmarks import BenchmarkAdmin
from catalog.errors import LookalikeError
from catalog.models import Benchmark, Grade, Label, Query, Relevance
from search.labelling import (
    DEEPEST,
    DEPTH,
    GRADES,
    check_labels_count,
    labels_save,
    next_query,
    pool,
    progress,
)
from search.models import SearchIndex

FIELD = "grade-"  # of a picture's radio buttons: grade-17
NONE = "none"


class SearchBenchmarkAdmin(BenchmarkAdmin):
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.label_view)
        return [path("<int:pk>/label/", view, name="catalog_benchmark_label"), *super().get_urls()]

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        if row.relevance == Relevance.LABELS and row.queries.exists() and _may_label(request):
            yield gettext("Label"), admin_url(row, "label", row.pk)
        yield from super().tools(request, row)

    def label_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """``?query=7``: that one, else the one with the fewest labels. Saving goes on to the next."""
        if not _may_label(request):
            raise PermissionDenied
        benchmark = Benchmark.objects.select_related("collection").filter(pk=pk).first()
        if benchmark is None:
            raise Http404
        try:
            check_labels_count(benchmark)
        except LookalikeError as error:
            self.refuse(request, error)
            return redirect(admin_url(benchmark, "change", benchmark.pk))
        query = _query(benchmark, request.GET.get("query", ""))
        if query is None:
            self.message_user(request, gettext("This benchmark has no such query."), messages.ERROR)
            return redirect(admin_url(benchmark, "change", benchmark.pk))
        depth = _depth(request.GET.get("depth", ""))
        if request.method == "POST":
            return self._save(request, benchmark, query, depth)
        return TemplateResponse(request, "admin/lookalike/label.html", self._context(request, benchmark, query, depth))

    def _context(self, request: HttpRequest, benchmark: Benchmark, query: Query, depth: int) -> dict[str, Any]:
        indexes = SearchIndex.objects.filter(collection=benchmark.collection_id).order_by("id")
        after = next_query(benchmark, query)
        return {
            **self.admin_site.each_context(request),
            "title": gettext("Label"),
            "opts": Benchmark._meta,
            "benchmark": benchmark,
            "query": query,
            "box": _box(query),
            "pool": pool(query, indexes, depth),
            "progress": progress(benchmark),
            "grades": [(grade.value, str(key), grade.label) for key, grade in enumerate(GRADES, start=1)],
            "depth": depth,
            "field": FIELD,
            "none": NONE,
            "next": _address(benchmark, after, depth) if after else "",
        }

    def _save(self, request: HttpRequest, benchmark: Benchmark, query: Query, depth: int) -> HttpResponse:
        try:
            changed = labels_save(query, _given(request))
        except (LookalikeError, ValueError) as error:
            text = error_text(error) if isinstance(error, LookalikeError) else gettext("That is no grade.")
            self.message_user(request, text, messages.ERROR)
            return redirect(_address(benchmark, query, depth))
        text = ngettext("%d label was saved.", "%d labels were saved.", changed) % changed
        self.message_user(request, text, messages.SUCCESS)
        stays = "stay" in request.POST
        return redirect(_address(benchmark, query if stays else next_query(benchmark, query) or query, depth))


def _may_label(request: HttpRequest) -> bool:
    return may(request, "add", Label) and may(request, "change", Label)


def _query(benchmark: Benchmark, number: str) -> Query | None:
    if not number:
        return next_query(benchmark)
    rows = benchmark.queries.select_related("image", "benchmark__collection")
    return rows.filter(pk=number).first() if number.isdecimal() and len(number) < 19 else None


def _depth(text: str) -> int:
    return min(DEEPEST, max(1, int(text))) if text.isdecimal() and len(text) < 9 else DEPTH


def _address(benchmark: Benchmark, query: Query, depth: int) -> str:
    more = {} if depth == DEPTH else {"depth": depth}
    return admin_url(benchmark, "label", benchmark.pk, query=query.pk, **more)


def _given(request: HttpRequest) -> dict[int, str]:
    """Grades by picture. ``rest``: what was left without one, and is in the pool, is negative."""
    rest = Grade.NEGATIVE.value if request.POST.get("rest") else ""
    grades: dict[int, str] = {}
    for name, value in request.POST.items():
        number = name.removeprefix(FIELD)
        if name.startswith(FIELD) and number.isdecimal() and len(number) < 19:
            grades[int(number)] = rest if value == NONE else str(value)
    return grades


def _box(query: Query) -> str:
    """The box in percent of the picture, as a style."""
    if not query.box:
        return ""
    image, (x, y, w, h) = query.image, query.box
    sides = (100 * x / image.width, 100 * y / image.height, 100 * w / image.width, 100 * h / image.height)
    return "left:{:.2f}%;top:{:.2f}%;width:{:.2f}%;height:{:.2f}%".format(*sides)


admin.site.unregister(Benchmark)
admin.site.register(Benchmark, SearchBenchmarkAdmin)
