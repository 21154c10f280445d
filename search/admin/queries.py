"""What visitors asked: the log with its percentiles, and the pictures kept for a while."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, ReadOnlyAdmin, object_link, table
from catalog.admin.filters import UsedRowsFilter, collection_filter
from search.admin.figures import latency
from search.models import SearchLog, UploadedQuery
from search.uploads import drop_unused


@admin.register(SearchLog)
class SearchLogAdmin(ReadOnlyAdmin):
    list_display = ("when", "index", "source", "hits", "best_shown", "total_ms", "split")
    list_filter = ("source", ("index", UsedRowsFilter), collection_filter("index__collection"))
    list_select_related = ("index__collection",)
    date_hierarchy = "created"
    show_full_result_count = False
    fields = ("created", "index_shown", "source", "hits", "best_shown", "timings")
    change_list_template = "admin/lookalike/searchlog_list.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"latency": latency(), **(extra_context or {})})

    @admin.display(description=_("index"))
    def index_shown(self, row: SearchLog) -> SafeString:
        return object_link(row.index)

    @admin.display(description=_("best score"), ordering="best_score")
    def best_shown(self, row: SearchLog) -> str:
        return NOTHING if row.best_score is None else f"{row.best_score:.3f}"

    @admin.display(description=_("ms"))
    def total_ms(self, row: SearchLog) -> str:
        total = row.timings_ms.get("total")
        return NOTHING if total is None else f"{total:.1f}"

    @admin.display(description=_("of which"))
    def split(self, row: SearchLog) -> SafeString:
        parts = [
            f"{name} {ms:.1f}"
            for name, ms in row.timings_ms.items()
            if name == "cached" or (name != "total" and ms >= 0.05)
        ]
        return format_html('<small class="quiet">{}</small>', " · ".join(parts))

    @admin.display(description=_("milliseconds"))
    def timings(self, row: SearchLog) -> SafeString:
        return table((name, f"{ms:.2f}") for name, ms in row.timings_ms.items())


@admin.register(UploadedQuery)
class UploadedQueryAdmin(ReadOnlyAdmin):
    list_display = ("picture", "id", "collection", "pixels", "when")
    list_display_links = ("id",)
    list_filter = (collection_filter(), "created")
    list_select_related = ("collection",)
    ordering = ("-created",)
    fields = ("picture", "collection", "pixels", "sha256", "created")

    def delete_model(self, request: HttpRequest, obj: UploadedQuery) -> None:
        names = [name for name in (obj.file.name, obj.preview.name) if name]
        super().delete_model(request, obj)
        transaction.on_commit(lambda: drop_unused(names))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    @admin.display(description=_("picture"))
    def picture(self, row: UploadedQuery) -> SafeString:
        page = f"{reverse('web:search', args=[row.collection.slug])}?query={row.pk}"
        preview = reverse("web:preview", args=[row.pk])
        return format_html('<a class="lk-thumb" href="{}"><img src="{}" alt="" loading="lazy"></a>', page, preview)

    @admin.display(description=_("pixels"))
    def pixels(self, row: UploadedQuery) -> str:
        return f"{row.width} × {row.height}"
