"""Collections. The search side adds what it knows of them: embedded share, index, look-alike actions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import SiteAdmin, admin_url, error_text, list_link, may, object_link
from catalog.errors import LookalikeError
from catalog.models import Benchmark, Collection, Image, ImportJob, Label, Product, Query, Relevance
from catalog.services import benchmark_from_classes

Deleted = tuple[list[Any], dict[str, int], set[str], list[Any]]  # rows, counts, lacking permissions, protected


def count_of(rows: QuerySet[Any], key: str) -> Coalesce:
    """How many of ``rows`` point to each row of the outer query, as a sub-query (a join would multiply counts)."""
    counted = rows.filter(**{key: OuterRef("pk")}).order_by().values(key).annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counted), 0)


class CollectionAdmin(SiteAdmin):
    list_display: Any = ("name", "products_total", "pictures_total", "is_public", "when")
    list_filter = ("is_public",)
    search_fields = ("name", "slug", "description")
    prepopulated_fields = {"slug": ("name",)}
    autocomplete_fields = ("members",)
    fieldsets = (
        (None, {"fields": ("name", "slug", "description")}),
        (_("Who may search it"), {"fields": ("is_public", "members")}),
    )
    actions: Any = ("make_benchmark",)
    object_actions: Any = ("make_benchmark",)
    # what goes with a collection, counted instead of listed: a page cannot list a million pictures
    cascade: tuple[tuple[type[Model], str], ...] = (
        (Product, "collection"),
        (Image, "collection"),
        (Benchmark, "collection"),
        (Query, "benchmark__collection"),
        (Label, "query__benchmark__collection"),
        (ImportJob, "collection"),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .annotate(
                product_count=count_of(Product.objects.all(), "collection"),
                picture_count=count_of(Image.objects.all(), "collection"),
            )
        )

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        if may(request, "add", ImportJob):
            yield gettext("Import"), admin_url(ImportJob, "add", collection=row.pk)
        yield gettext("Products"), admin_url(Product, "changelist", collection__id__exact=row.pk)
        yield gettext("Pictures"), admin_url(Image, "changelist", collection__id__exact=row.pk)

    def has_benchmark_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", Benchmark)

    @admin.display(description=_("products"), ordering="product_count")
    def products_total(self, row: Any) -> SafeString:
        return list_link(Product, f"{row.product_count:,}", collection__id__exact=row.pk)

    @admin.display(description=_("pictures"), ordering="picture_count")
    def pictures_total(self, row: Any) -> SafeString:
        return list_link(Image, f"{row.picture_count:,}", collection__id__exact=row.pk)

    @admin.action(description=_("Make a benchmark of its categories"), permissions=["benchmark"])
    def make_benchmark(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for collection in queryset:
            try:
                benchmark = benchmark_from_classes(collection, self._free_name(collection), Relevance.CATEGORY)
            except LookalikeError as error:
                self.message_user(request, f"{collection}: {error_text(error)}", messages.ERROR)
            else:
                text = gettext("Made {} with {} queries.")
                self.message_user(request, format_html(text, object_link(benchmark), benchmark.queries.count()))

    def _free_name(self, collection: Collection) -> str:
        taken = set(collection.benchmarks.values_list("name", flat=True))
        names = ("categories" if n == 1 else f"categories {n}" for n in range(1, len(taken) + 2))
        return next(name for name in names if name not in taken)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Deleted:
        pks = [row.pk for row in objs]
        counted = {model: model._default_manager.filter(**{f"{key}__in": pks}).count() for model, key in self.cascade}
        counted = {Collection: len(pks), **counted}
        shown = {str(model._meta.verbose_name_plural): count for model, count in counted.items() if count}
        lacking = {str(m._meta.verbose_name) for m, count in counted.items() if count and not may(request, "delete", m)}
        return [str(row) for row in objs], shown, lacking, []


admin.site.register(Collection, CollectionAdmin)
