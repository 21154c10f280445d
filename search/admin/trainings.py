"""Training runs: a form that starts a fine-tuning, live curves, and the switch to what came out."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, error_text, may, object_link, table
from catalog.admin.filters import collection_filter
from catalog.admin.jobs import StartedJobAdmin
from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.activations import BEFORE, index_of, training_activate, training_deactivate
from search.admin.branches import branch_summary, branch_tables
from search.admin.training_curves import curves
from search.admin.training_form import FIELDSETS, FinetuneForm, told
from search.models import SearchIndex, TrainingRun
from search.models.training import TrainingKind
from search.tasks import training_run
from search.trainings import training_resume

REFRESH_S = 5


def figure(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else NOTHING


@admin.register(TrainingRun)
class TrainingRunAdmin(StartedJobAdmin):
    start_form = FinetuneForm
    start_fieldsets = FIELDSETS
    list_display = ("name", "kind", "collection", "base", "progress", "frozen_shown", "best_shown", "when")
    list_filter = ("state", "kind", collection_filter())
    list_select_related = ("collection", "base", "result")
    search_fields = ("name",)
    add_form_template = "admin/lookalike/training_start.html"
    change_form_template = "admin/lookalike/trainingrun_change.html"
    autocomplete_fields = ("collection", "base")
    actions = ("activate", "deactivate", "go_on", "cancel")
    object_actions = ("activate", "deactivate", "go_on", "cancel")
    shown = (
        (None, {"fields": ("progress", "kind", "collection_shown", "base_shown", "verdict", "result_shown",
                           "index_shown", "error_shown")}),
        (_("Trained on"), {"fields": ("trained_on",)}),
        (_("Options"), {"fields": ("options_shown",), "classes": ("collapse",)}),
        (_("Times"), {"fields": (("created", "created_by"), ("started", "finished"), "took")}),
    )  # fmt: skip

    def has_activate_permission(self, request: HttpRequest) -> bool:
        """It changes which index a collection is searched with."""
        return may(request, "change", SearchIndex)

    def save_model(self, request: HttpRequest, obj: TrainingRun, form: Any, change: bool) -> None:
        training_run.delay_on_commit(obj.pk)

    def delete_model(self, request: HttpRequest, obj: TrainingRun) -> None:
        folder = obj.folder
        super().delete_model(request, obj)
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for run in queryset:
            if run.is_finished:
                self.delete_model(request, run)
            else:
                self.message_user(request, gettext("Kept: %s is in use.") % run, messages.WARNING)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra: dict[str, Any] = {}
        if run := self.get_object(request, object_id) if request.method == "GET" else None:
            extra = {"curves": curves(run.curve), "refresh_s": None if run.is_finished else REFRESH_S}
            extra |= {"branch_tables": branch_tables(run), "branch_summary": branch_summary(run)}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def hidden_actions(self, request: HttpRequest, row: Any) -> Iterable[str]:
        hidden = [*super().hidden_actions(request, row)]
        index = index_of(row)
        if row.state not in (JobState.CANCELLED, JobState.FAILED):
            hidden.append("go_on")
        if index is None or index.is_default:
            hidden.append("activate")
        if index is None or not index.is_default or BEFORE not in row.results:
            hidden.append("deactivate")
        return hidden

    @admin.display(description=_("frozen mAP"))
    def frozen_shown(self, run: TrainingRun) -> str:
        measured = [row["mAP"] for row in run.curve if row.get("mAP") is not None]
        return figure(measured[0] if measured and run.kind == TrainingKind.FINETUNE else None)

    @admin.display(description=_("best mAP"))
    def best_shown(self, run: TrainingRun) -> str:
        return figure(max((row["mAP"] for row in run.curve if row.get("mAP") is not None), default=None))

    @admin.display(description=_("outcome"))
    def verdict(self, run: TrainingRun) -> str:
        if "improved" not in run.results:
            return NOTHING
        values = {
            "frozen": figure(run.results["frozen_mAP"]),
            "best": figure(run.results["best_mAP"]),
            "step": run.results["best_step"],
            "steps": run.results["steps"],
        }
        if not run.results["improved"]:
            text = gettext(
                "The frozen network was never beaten: its mAP on held-out pictures is %(frozen)s, so no feature model "
                "was made. Try a lower rate, freeze more stages, or label more pictures."
            )
        elif run.results["stopped_early"]:
            text = gettext(
                "mAP on held-out pictures from %(frozen)s to %(best)s at step %(step)s; stopped at %(steps)s."
            )
        else:
            text = gettext("mAP on held-out pictures from %(frozen)s to %(best)s at step %(step)s of %(steps)s.")
        return text % values

    @admin.display(description=_("collection"))
    def collection_shown(self, run: TrainingRun) -> SafeString:
        return object_link(run.collection)

    @admin.display(description=_("begins with"))
    def base_shown(self, run: TrainingRun) -> SafeString:
        return object_link(run.base)

    @admin.display(description=_("feature model"))
    def result_shown(self, run: TrainingRun) -> SafeString:
        return object_link(run.result)

    @admin.display(description=_("index"))
    def index_shown(self, run: TrainingRun) -> SafeString:
        index = index_of(run)
        if index is None:
            return object_link(None)
        state = gettext("searched now") if index.is_default else gettext("beside the serving one")
        return format_html('{} <span class="lk-detail">{}</span>', object_link(index), state)

    @admin.display(description=_("trained on"))
    def trained_on(self, run: TrainingRun) -> SafeString:
        return table(told(run.results))

    @admin.display(description=_("options"))
    def options_shown(self, run: TrainingRun) -> SafeString:
        return table((name, NOTHING if value in (None, "") else value) for name, value in run.options.items())

    @admin.action(description=_("Search with it"), permissions=["activate"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, training_activate)

    @admin.action(description=_("Search as before"), permissions=["activate"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, training_deactivate)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Any], switch: Any) -> None:
        for run in queryset.order_by("id"):
            try:
                index = switch(run)
            except LookalikeError as error:
                self.message_user(request, f"{run}: {error_text(error)}", messages.ERROR)
            else:
                text = gettext("{} is searched with {} now.")
                self.message_user(request, format_html(text, object_link(index.collection), object_link(index)))

    @admin.action(description=_("Go on"), permissions=["cancel"])
    def go_on(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for run in queryset:
            try:
                training_resume(run)
            except LookalikeError as error:
                self.message_user(request, f"{run}: {error_text(error)}", messages.ERROR)
            else:
                training_run.delay_on_commit(run.pk)
                self.message_user(request, format_html(gettext("{} goes on."), object_link(run)))
