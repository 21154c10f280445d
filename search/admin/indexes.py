"""Indexes: how a collection is searched. Factory, parameters and rules are tried before they are saved."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms.widgets import Script
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from catalog.admin.base import admin_url, error_text, may, object_link
from catalog.admin.filters import collection_filter
from catalog.errors import LookalikeError
from catalog.models import Benchmark
from search.admin.index_forms import SearchIndexForm
from search.admin.index_states import IndexStates
from search.admin.index_views import IndexViews
from search.admin.schedule import reindex_nightly
from search.admin.scores import Calibrating
from search.admin.starting import start_build, start_evaluation
from search.builds import build_rollback
from search.models import EvaluationRun, IndexBuild, SearchIndex

# A change of these shows in the next build only
NEEDS_A_BUILD = {"feature_model", "engine", "preset", "factory", "dba_neighbours"}


def remove_builds(index_ids: Iterable[int]) -> None:
    """Delete the files of all builds of deleted indexes."""
    for pk in index_ids:
        shutil.rmtree(Path(settings.INDEX_ROOT) / str(pk), ignore_errors=True)


@admin.register(SearchIndex)
class SearchIndexAdmin(IndexViews, IndexStates, Calibrating):
    class Media:
        js = (Script("lookalike/admin_rules.js", defer=True), Script("lookalike/admin_index.js", defer=True))

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
    change_form_template = "admin/lookalike/index_change.html"
    state = ("active_shown", "side_shown", "recall_shown", "memory_shown", "cache_shown", "last_build", "created")
    readonly_fields = (*state, "calibration_shown", "tuning_shown")
    actions = ("build", "evaluate", "calibrate", "nightly", "roll_back")
    object_actions = ("build", "evaluate", "calibrate", "nightly", "roll_back")
    setup = (
        (None, {"fields": ("collection", "name", "feature_model", "is_default")}),
        (_("Coarse search"), {"fields": ("engine", "preset", "factory", "search_params", "rebuild_share")}),
        (_("Fine search"), {"fields": ("fine_depth",)}),
        (_("Expansion"), {"fields": ("expansion_method", "expansion_k", "expansion_alpha", "dba_neighbours")}),
        (_("Business rules"), {"fields": ("rules", "rules_depth")}),
        (_("Scores"), {"fields": ("cut_off",)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.setup
        scores = (_("Scores"), {"fields": ("calibration_shown", "cut_off")})
        tuning = (_("Tuning"), {"fields": ("tuning_shown",)})
        return (*self.setup[:-1], scores, tuning, (_("State"), {"fields": self.state}))

    def save_model(self, request: HttpRequest, obj: SearchIndex, form: Any, change: bool) -> None:
        if obj.is_default:
            others = SearchIndex.objects.filter(collection=obj.collection, is_default=True).exclude(pk=obj.pk)
            others.update(is_default=False)
        super().save_model(request, obj, form, change)
        if change and NEEDS_A_BUILD & set(form.changed_data):
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
