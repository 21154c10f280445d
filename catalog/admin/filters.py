"""Filters of the lists that stay short however many rows there are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.models import Product

CATEGORIES_SHOWN = 40
ROWS_SHOWN = 200


class CollectionFilter(admin.RelatedFieldListFilter):
    """Collections by name, shown even where there is one only."""

    def has_output(self) -> bool:
        return bool(self.lookup_choices)


class UsedRowsFilter(admin.RelatedFieldListFilter):
    """Indexes or benchmarks that rows of the list point to; their names hold their collection's, so it is joined."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        used = model_admin.model._default_manager.order_by().values(self.field_path)
        rows = field.remote_field.model._default_manager.filter(pk__in=used).select_related("collection")
        return [(row.pk, str(row)) for row in rows[:ROWS_SHOWN]]


def collection_filter(path: str = "collection") -> Any:
    """``list_filter`` entry for the collection at the end of ``path``."""
    return (path, CollectionFilter)


class CategoryFilter(admin.SimpleListFilter):
    """The commonest categories, of the chosen collection where one is chosen."""

    title = _("category")
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        products = Product.objects.exclude(category="")
        chosen = request.GET.get("collection__id__exact") or request.GET.get("collection") or ""
        if chosen.isdigit():
            products = products.filter(collection=int(chosen))
        rows = products.order_by().values_list("category").annotate(n=Count("pk")).order_by("-n", "category")
        return [(category, f"{category} ({n:,})") for category, n in rows[:CATEGORIES_SHOWN]]

    def has_output(self) -> bool:
        return bool(self.lookup_choices) or self.value() is not None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() is None else queryset.filter(category=self.value())


class StockFilter(admin.SimpleListFilter):
    title = _("stock")
    parameter_name = "in_stock"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        return [("yes", gettext("in stock")), ("no", gettext("sold out")), ("unknown", gettext("not known"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen: dict[str, dict[str, Any]] = {
            "yes": {"stock__gt": 0},
            "no": {"stock": 0},
            "unknown": {"stock__isnull": True},
        }
        return queryset.filter(**chosen.get(self.value() or "", {}))
