"""Ground truth: benchmarks, their queries and labels. A change of labels bumps ``Benchmark.version``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import (
    ModelForm,
    SiteAdmin,
    TabularInline,
    admin_url,
    list_link,
    may,
    thumbnail,
)
from catalog.admin.collections import count_of
from catalog.admin.filters import UsedRowsFilter, collection_filter
from catalog.admin.forms import JSONTextField
from catalog.admin.truth_form import TruthForm, told
from catalog.models import Benchmark, Label, Query

LABELS_INLINE = 200  # more than this would pass Django's limit on form fields; they have their own list


def bump_versions(benchmark_ids: Iterable[int]) -> None:
    """Say that labels changed: runs measured before are of another version."""
    Benchmark.objects.filter(pk__in=set(benchmark_ids)).update(version=F("version") + 1)


class BenchmarkAdmin(SiteAdmin):
    change_list_template = "admin/lookalike/benchmark_list.html"
    fixed = ("collection",)  # its queries would stay behind
    list_display = ("name", "collection", "relevance", "queries_total", "labels_total", "version")
    list_filter = (collection_filter(), "relevance")
    list_select_related = ("collection",)
    search_fields = ("name", "collection__name", "collection__slug")
    autocomplete_fields = ("collection",)
    readonly_fields = ("version", "created")
    fields = ("collection", "name", "relevance", "exclude_same_patient", "version", "created")

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .select_related("collection")
            .annotate(
                query_count=count_of(Query.objects.all(), "benchmark"),
                label_count=count_of(Label.objects.all(), "query__benchmark"),
            )
        )

    def save_model(self, request: HttpRequest, obj: Benchmark, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and {"relevance", "exclude_same_patient"} & set(form.changed_data):
            bump_versions([obj.pk])

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        yield gettext("Queries"), admin_url(Query, "changelist", benchmark__id__exact=row.pk)
        yield gettext("Labels"), admin_url(Label, "changelist", query__benchmark__id__exact=row.pk)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.truth_view)
        return [path("import/", view, name="catalog_benchmark_import"), *super().get_urls()]

    def truth_view(self, request: HttpRequest) -> HttpResponse:
        """Upload a ground truth; what is missing in the collection is told."""
        if not (self.has_add_permission(request) and may(request, "add", Label)):
            raise PermissionDenied
        form = TruthForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            for text, level in told(form.report):
                self.message_user(request, text, level)
            found = Benchmark.objects.get(collection=form.cleaned_data["collection"], name=form.report.name)
            return redirect(admin_url(found, "change", found.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Import ground truth"),
            "opts": Benchmark._meta,
            "form": form,
        }
        return TemplateResponse(request, "admin/lookalike/ground_truth.html", context)

    @admin.display(description=_("queries"), ordering="query_count")
    def queries_total(self, row: Any) -> SafeString:
        return list_link(Query, f"{row.query_count:,}", benchmark__id__exact=row.pk)

    @admin.display(description=_("labels"), ordering="label_count")
    def labels_total(self, row: Any) -> SafeString:
        return list_link(Label, f"{row.label_count:,}", query__benchmark__id__exact=row.pk)


class LabelInline(TabularInline):
    model = Label
    fields = ("preview", "image", "grade")
    readonly_fields = ("preview",)
    autocomplete_fields = ("image",)
    extra = 1

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("image")

    @admin.display(description=_("picture"))
    def preview(self, label: Label) -> SafeString | str:
        return thumbnail(label.image) if label.pk else ""


class QueryForm(ModelForm):
    box = JSONTextField(
        label=capfirst(_("box")),
        help_text=_("[x, y, width, height] in pixels."),
        widget=forms.TextInput(attrs={"placeholder": "[0, 0, 100, 80]"}),
    )

    class Meta:
        model = Query
        fields = ("benchmark", "name", "image", "box")

    def clean_box(self) -> list[int] | None:
        box = self.cleaned_data["box"]
        if box in (None, "", []):
            return None
        whole = isinstance(box, list) and len(box) == 4 and all(type(n) is int for n in box)
        if not whole or min(box[0], box[1]) < 0 or min(box[2], box[3]) < 1:
            raise ValidationError(gettext("A box is four whole numbers: [x, y, width, height]."))
        return box  # type: ignore[no-any-return]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        benchmark, image, box = cleaned.get("benchmark"), cleaned.get("image"), cleaned.get("box")
        if benchmark and image and benchmark.collection_id != image.collection_id:
            self.add_error("image", gettext("This picture is in another collection than the benchmark."))
        if image and box and (box[0] >= image.width or box[1] >= image.height):
            self.add_error("box", gettext("The box lies outside the picture (%d × %d).") % (image.width, image.height))
        return cleaned


@admin.register(Query)
class QueryAdmin(SiteAdmin):
    form = QueryForm
    list_display = ("preview", "name", "benchmark", "box", "labels_total")
    list_display_links = ("name",)
    list_filter = (("benchmark", UsedRowsFilter), collection_filter("benchmark__collection"))
    search_fields = ("name", "benchmark__name")
    autocomplete_fields = ("benchmark", "image")
    readonly_fields = ("large_preview", "labels_total")
    inlines = (LabelInline,)

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("benchmark__collection", "image")
        return rows.annotate(label_count=count_of(Label.objects.all(), "query"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("large_preview", *QueryForm.Meta.fields, "labels_total") if obj else QueryForm.Meta.fields

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj and obj.labels.count() > LABELS_INLINE else self.inlines

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.has_changed() or any(formset.has_changed() for formset in formsets):
            bump_versions([form.instance.benchmark_id])

    def delete_model(self, request: HttpRequest, obj: Query) -> None:
        super().delete_model(request, obj)
        bump_versions([obj.benchmark_id])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        benchmarks = list(queryset.order_by().values_list("benchmark", flat=True).distinct())
        super().delete_queryset(request, queryset)
        bump_versions(benchmarks)

    @admin.display(description=_("picture"))
    def preview(self, query: Query) -> SafeString:
        return thumbnail(query.image)

    @admin.display(description=_("picture"))
    def large_preview(self, query: Query) -> SafeString:
        """With the box drawn in it, in percent of the picture."""
        image, box = query.image, query.box
        if not box:
            return thumbnail(image, large=True)
        left, top = 100 * box[0] / image.width, 100 * box[1] / image.height
        wide, high = 100 * box[2] / image.width, 100 * box[3] / image.height
        style = f"left:{left:.2f}%;top:{top:.2f}%;width:{wide:.2f}%;height:{high:.2f}%"
        return format_html('<span class="lk-boxed">{}<i style="{}"></i></span>', thumbnail(image, large=True), style)

    @admin.display(description=_("labels"), ordering="label_count")
    def labels_total(self, query: Any) -> SafeString:
        return list_link(Label, f"{query.label_count:,}", query__id__exact=query.pk)


@admin.register(Label)
class LabelAdmin(SiteAdmin):
    list_display = ("query_picture", "query", "picture", "image", "grade")
    list_display_links = ("image",)
    list_editable = ("grade",)
    list_filter = ("grade", ("query__benchmark", UsedRowsFilter))
    list_select_related = ("query__image", "image")
    search_fields = ("query__name", "image__source")
    autocomplete_fields = ("query", "image")
    list_per_page = 100

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        return lookup in {"query__id__exact", "query__benchmark__id__exact"} or super().lookup_allowed(
            lookup, value, request
        )

    def save_model(self, request: HttpRequest, obj: Label, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        bump_versions([obj.query.benchmark_id])

    def delete_model(self, request: HttpRequest, obj: Label) -> None:
        benchmark = obj.query.benchmark_id
        super().delete_model(request, obj)
        bump_versions([benchmark])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        benchmarks = list(queryset.order_by().values_list("query__benchmark", flat=True).distinct())
        super().delete_queryset(request, queryset)
        bump_versions(benchmarks)

    @admin.display(description=_("query picture"))
    def query_picture(self, label: Label) -> SafeString:
        return thumbnail(label.query.image)

    @admin.display(description=_("picture"))
    def picture(self, label: Label) -> SafeString:
        return thumbnail(label.image)


admin.site.register(Benchmark, BenchmarkAdmin)
