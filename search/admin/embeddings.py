"""Embeddings: looked at to see why a picture could not be embedded."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ReadOnlyAdmin, thumbnail
from catalog.admin.filters import collection_filter
from search.models import Embedding


class FailedFilter(admin.SimpleListFilter):
    title = _("failed")
    parameter_name = "failed"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        return [("yes", gettext("Yes")), ("no", gettext("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() is None else queryset.filter(vector__isnull=self.value() == "yes")


@admin.register(Embedding)
class EmbeddingAdmin(ReadOnlyAdmin):
    """To see why a picture could not be embedded."""

    list_display = ("preview", "image", "feature_model", "state_shown", "when")
    list_display_links = ("image",)
    list_filter = (FailedFilter, "feature_model", collection_filter("image__collection"))
    list_select_related = ("image", "feature_model")
    fields = ("preview", "image", "feature_model", "state_shown", "created")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("vector")

    @admin.display(description=_("picture"))
    def preview(self, row: Embedding) -> SafeString:
        return thumbnail(row.image)

    @admin.display(description=_("state"))
    def state_shown(self, row: Embedding) -> SafeString:
        name, text = ("failed", row.error) if row.error else ("done", gettext("embedded"))
        return format_html('<span class="lk-state lk-state-{}">{}</span>', name, text)
