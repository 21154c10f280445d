"""Indexes: how a collection is searched. Factory, parameters and rules are tried before they are saved."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from catalog.admin.base import NOTHING, SiteAdmin, admin_url, error_text, may, object_link
from catalog.admin.collections import count_of
from catalog.admin.filters import collection_filter
from catalog.errors import LookalikeError
from catalog.models import Benchmark, ImageRole
from search.admin.builds import timings_table
from search.admin.index_forms import SearchIndexForm
from search.admin.schedule import reindex_nightly
from search.admin.starting import start_build, start_evaluation
from search.builds import build_rollback
from search.models import Embedding, EvaluationRun, IndexBuild, SearchIndex


def remove_builds(index_ids: Iterable[int]) -> None:
    """Delete the files of all builds of deleted indexes."""
    for pk in index_ids:
        shutil.rmtree(Path(settings.INDEX_ROOT) / str(pk), ignore_errors=True)


class IndexStates(SiteAdmin):
    """What an index's row shows of its builds."""

    def get_queryset(self, request: HttpRequest) -> Any:
        beside = Embedding.objects.filter(
            image__collection=OuterRef("collection"),
            image__role=ImageRole.GALLERY,
            feature_model=OuterRef("feature_model"),
            vector__isnull=False,
            id__gt=Coalesce(OuterRef("active_build__watermark"), 0),
        )
        counted = beside.order_by().values("feature_model").annotate(n=Count("*")).values("n")
        return (
            super()
            .get_queryset(request)
            .select_related("collection", "feature_model", "active_build")
            .annotate(side_size=Coalesce(Subquery(counted), 0), build_count=count_of(IndexBuild.objects.all(), "index"))
        )

    @admin.display(description=_("active build"))
    def active_shown(self, row: Any) -> SafeString:
        build = row.active_build
        if build is None:
            return format_html('<span class="lk-state lk-state-queued">{}</span>', gettext("none: searched exactly"))
        return format_html("{} · {}", object_link(build, f"#{build.pk}"), gettext("%s pictures") % f"{build.count:,}")

    @admin.display(description=_("beside the build"), ordering="side_size")
    def side_shown(self, row: Any) -> SafeString | str:
        """Pictures added since the active build, searched exactly."""
        if not row.active_build or not row.side_size:
            return f"{row.side_size:,}"
        share = row.side_size / max(1, row.active_build.count)
        css = "lk-warn" if share >= row.rebuild_share else ""
        return format_html('<span class="{}">{} ({} %)</span>', css, f"{row.side_size:,}", f"{100 * share:.0f}")

    @admin.display(description=_("ann_recall@10"), ordering="active_build__ann_recall")
    def recall_shown(self, row: Any) -> str:
        recall = row.active_build.ann_recall if row.active_build else None
        return NOTHING if recall is None else f"{recall:.3f}"

    @admin.display(description=_("factory"), ordering="factory")
    def factory_shown(self, row: Any) -> str:
        built = row.active_build.factory if row.active_build else ""
        return row.factory or (gettext("%s (chosen by size)") % built if built else gettext("chosen by size"))

    @admin.display(description=_("last build"))
    def last_build(self, row: Any) -> SafeString | str:
        build = row.builds.order_by("-id").first()
        if build is None:
            return NOTHING
        return format_html(
            "{} {} {}", object_link(build, f"#{build.pk}"), build.get_state_display(), timings_table(build)
        )


@admin.register(SearchIndex)
class SearchIndexAdmin(IndexStates):
    form = SearchIndexForm
    fixed = ("collection",)  # its builds would stay behind
    list_display = (
        "__str__",
        "feature_model",
        "factory_shown",
        "active_shown",
        "side_shown",
        "recall_shown",
        "is_default",
    )
    list_filter = (collection_filter(), "feature_model", "is_default")
    search_fields = ("name", "collection__name", "collection__slug", "factory")
    autocomplete_fields = ("collection", "feature_model")
    readonly_fields = ("active_shown", "side_shown", "recall_shown", "last_build", "created")
    actions = ("build", "evaluate", "nightly", "roll_back")
    object_actions = ("build", "evaluate", "nightly", "roll_back")
    setup = (
        (None, {"fields": ("collection", "name", "feature_model", "is_default")}),
        (_("Coarse search"), {"fields": ("factory", "search_params", "rebuild_share")}),
        (_("Fine search and rules"), {"fields": ("fine_depth", "rules")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.setup, *(((_("State"), {"fields": self.readonly_fields}),) if obj else ()))

    def save_model(self, request: HttpRequest, obj: SearchIndex, form: Any, change: bool) -> None:
        if obj.is_default:
            others = SearchIndex.objects.filter(collection=obj.collection, is_default=True).exclude(pk=obj.pk)
            others.update(is_default=False)
        super().save_model(request, obj, form, change)
        if change and {"feature_model", "factory"} & set(form.changed_data):
            text = gettext("The active build stays as it was made. Build the index for this change to take effect.")
            self.message_user(request, text, messages.WARNING)

    def delete_model(self, request: HttpRequest, obj: SearchIndex) -> None:
        pks = [obj.pk]
        super().delete_model(request, obj)
        transaction.on_commit(lambda: remove_builds(pks))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        pks = list(queryset.values_list("pk", flat=True))
        super().delete_queryset(request, queryset)
        transaction.on_commit(lambda: remove_builds(pks))

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        yield gettext("Builds"), admin_url(IndexBuild, "changelist", index__id__exact=row.pk)
        yield gettext("Evaluation runs"), admin_url(EvaluationRun, "changelist", index__id__exact=row.pk)
        if may(request, "add", EvaluationRun):
            yield gettext("Evaluate…"), admin_url(EvaluationRun, "add", index=row.pk)

    def hidden_actions(self, request: HttpRequest, row: Any) -> Iterable[str]:
        return ("roll_back",) if row.build_count < 2 else ()

    def has_build_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", IndexBuild)

    def has_evaluate_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", EvaluationRun)

    def has_schedule_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", PeriodicTask)

    @admin.action(description=_("Build"), permissions=["build"])
    def build(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for index in queryset:
            start_build(self, request, index)

    @admin.action(description=_("Run its benchmarks"), permissions=["evaluate"])
    def evaluate(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for index in queryset:
            benchmarks = Benchmark.objects.filter(collection=index.collection_id)
            for benchmark in benchmarks:
                start_evaluation(self, request, benchmark, index)
            if not benchmarks:
                link = object_link(index.collection, gettext("Make one"))
                self.message_user(
                    request, format_html(gettext("{} has no benchmark. {}."), index.collection, link), messages.WARNING
                )

    @admin.action(description=_("Reindex nightly"), permissions=["schedule"])
    def nightly(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for index in queryset:
            task, made = reindex_nightly(index)
            text = gettext("Scheduled: {}.") if made else gettext("Was scheduled already: {}.")
            self.message_user(request, format_html(text, object_link(task)))

    @admin.action(description=_("Roll back to the build before"), permissions=["change"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        question = gettext("Answer searches from the build before the active one?")
        if page := self.confirm(request, queryset, question, gettext("Pictures added since stay findable.")):
            return page
        for index in queryset:
            try:
                build = build_rollback(index)
            except LookalikeError as error:
                self.message_user(request, f"{index}: {error_text(error)}", messages.ERROR)
            else:
                self.message_user(request, format_html(gettext("Active again: {}."), object_link(build)))
        return None
