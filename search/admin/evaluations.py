"""Evaluation runs: a form that starts one, its metrics, and every query with what was found for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, ModelForm, admin_url, error_text, object_link, table
from catalog.admin.filters import UsedRowsFilter, collection_filter
from catalog.admin.jobs import StartedJobAdmin
from catalog.errors import LookalikeError
from search.admin.comparisons import comparison_page
from search.admin.query_results import results_page
from search.admin.reports import report_page
from search.evaluation.metrics import known_metrics, parse_metrics
from search.evaluation.protocol import PROTOCOLS
from search.evaluations import evaluation_create
from search.models import EvaluationRun
from search.models.evaluation import default_metrics
from search.run_reports import RunReport
from search.tasks import evaluation_run

OFFERED = [*default_metrics(), "mAP@100", "recall@100", "precision@1", "mAP_trapezoid"]
MAIN = ("mAP", "recall@10", "hit_rate@1", "ann_recall@10")


class EvaluationForm(ModelForm):
    """Starts a run; what the service refuses is a form error."""

    metrics = forms.MultipleChoiceField(
        label=capfirst(_("metrics")),
        choices=[(name, name) for name in OFFERED],
        initial=default_metrics,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    more_metrics = forms.CharField(label=capfirst(_("more metrics")), required=False)
    protocol = forms.ChoiceField(
        label=capfirst(_("protocol")),
        choices=[(name, name) for name in PROTOCOLS],
        help_text=_(
            "Which labels count: medium = easy and hard, easy = easy alone, hard = hard alone, "
            "oxford5k = medium with the query's own picture in the ranking."
        ),
    )
    user: Any = None

    class Meta:
        model = EvaluationRun
        fields = ("benchmark", "index", "metrics", "more_metrics", "protocol", "depth", "with_rules")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = ", ".join(known_metrics())
        self.fields["more_metrics"].help_text = gettext("Separated by commas. Known, with a number for K: %s.") % known

    def clean_more_metrics(self) -> list[str]:
        names = [name.strip() for name in self.cleaned_data["more_metrics"].split(",") if name.strip()]
        try:
            parse_metrics(names)
        except LookalikeError as error:
            raise forms.ValidationError(error_text(error)) from error
        return names

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        benchmark, index = given.get("benchmark"), given.get("index")
        if benchmark and index and benchmark.collection_id != index.collection_id:
            self.add_error("index", gettext("This index is of another collection than the benchmark."))
        wanted = list(dict.fromkeys([*given.get("metrics", []), *given.get("more_metrics", [])]))
        if not wanted and not self.errors:
            self.add_error("metrics", gettext("Choose at least one metric."))
        if not self.errors:
            self._start(given, wanted)
        return given

    def _start(self, given: dict[str, Any], metrics: list[str]) -> None:
        options = {name: given[name] for name in ("depth", "with_rules", "protocol")}
        try:
            self.run = evaluation_create(given["benchmark"], given["index"], metrics=metrics, user=self.user, **options)
        except LookalikeError as error:
            self.add_error(None, error_text(error))

    def _post_clean(self) -> None:
        """The service has validated and made the row."""

    def save(self, commit: bool = True) -> EvaluationRun:
        return self.run

    def save_m2m(self) -> None:
        """A run has none."""


def score(value: Any) -> str:
    return NOTHING if value is None else f"{value:.4f}"


def main_column(name: str) -> Any:
    """A column of the list for one metric."""

    @admin.display(description=name)
    def column(run: EvaluationRun) -> str:
        return score(run.results.get(name))

    return column


@admin.register(EvaluationRun)
class EvaluationRunAdmin(StartedJobAdmin):
    start_form = EvaluationForm
    list_display = ("name", "benchmark", "index", "progress", *map(main_column, MAIN), "when")
    list_filter = (
        "state",
        ("benchmark", UsedRowsFilter),
        ("index", UsedRowsFilter),
        collection_filter("benchmark__collection"),
    )
    list_select_related = ("benchmark__collection", "index__collection")
    add_form_template = "admin/lookalike/start_form.html"
    change_form_template = "admin/lookalike/evaluationrun_change.html"
    actions = ("compare", "again", "cancel")
    object_actions = ("again", "cancel")
    autocomplete_fields = ("benchmark", "index")
    shown = (
        (None, {"fields": ("progress", "benchmark_shown", "index_shown", "build_shown", "error_shown")}),
        (_("Metrics"), {"fields": ("metrics_shown", "queries_scored", "queries_skipped")}),
        (_("Pinned"), {"fields": ("depth", "with_rules", "label_version", "fingerprint", "parameters_shown",
                                  ("created", "created_by"), ("started", "finished"), "took"),
                       "classes": ("collapse",)}),
    )  # fmt: skip

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        given: dict[str, Any] = super().get_changeform_initial_data(request)
        return {"metrics": default_metrics(), **given}

    def save_model(self, request: HttpRequest, obj: EvaluationRun, form: Any, change: bool) -> None:
        evaluation_run.delay_on_commit(obj.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra: dict[str, Any] = {}
        if run := self.get_object(request, object_id) if request.method == "GET" else None:
            extra = {"results": results_page(run.pk, request.GET), "report": RunReport(run)}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def get_urls(self) -> list[Any]:
        own = [
            path("compare/", self.admin_site.admin_view(self.compare_view), name="search_evaluationrun_compare"),
            path("<int:pk>/report/", self.admin_site.admin_view(self.report_view), name="search_evaluationrun_report"),
        ]
        return [*own, *super().get_urls()]

    def report_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The report as one file to keep or to send."""
        return report_page(self, request, pk)

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        return comparison_page(self, request)

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        if row.results:
            yield gettext("Report as a file"), admin_url(row, "report", row.pk)
            yield gettext("Compare"), admin_url(row, "compare", a=row.pk)

    @admin.display(description=_("run"), ordering="id")
    def name(self, run: EvaluationRun) -> str:
        return f"#{run.pk}"

    @admin.display(description=_("benchmark"))
    def benchmark_shown(self, run: EvaluationRun) -> SafeString:
        return object_link(run.benchmark)

    @admin.display(description=_("index"))
    def index_shown(self, run: EvaluationRun) -> SafeString:
        return object_link(run.index)

    @admin.display(description=_("build"))
    def build_shown(self, run: EvaluationRun) -> SafeString:
        return object_link(run.build)

    @admin.display(description=_("metrics"))
    def metrics_shown(self, run: EvaluationRun) -> SafeString:
        return table((name, bar(run.results.get(name))) for name in run.results or run.metrics)

    @admin.display(description=_("parameters"))
    def parameters_shown(self, run: EvaluationRun) -> SafeString:
        return table(run.parameters.items())

    @admin.action(description=_("Compare two runs"), permissions=["view"])
    def compare(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        chosen = sorted(queryset.values_list("pk", flat=True))
        if len(chosen) != 2:
            self.message_user(request, gettext("Choose exactly two runs to compare."), messages.ERROR)
            return None
        return redirect(admin_url(EvaluationRun, "compare", a=chosen[0], b=chosen[1]))

    @admin.action(description=_("Run again"), permissions=["add"])
    def again(self, request: HttpRequest, queryset: Any) -> None:
        user: Any = request.user
        for old in queryset.select_related("benchmark", "index"):
            options = {name: getattr(old, name) for name in ("metrics", "depth", "with_rules")}
            options["protocol"] = old.parameters.get("protocol", next(iter(PROTOCOLS)))
            try:
                run = evaluation_create(old.benchmark, old.index, user=user, **options)
            except LookalikeError as error:
                self.refuse(request, error)
            else:
                evaluation_run.delay_on_commit(run.pk)
                self.message_user(request, format_html(gettext("Started evaluation {}."), object_link(run)))

    def hidden_actions(self, request: HttpRequest, row: Any) -> Iterable[str]:
        return (*super().hidden_actions(request, row), *(() if row.is_finished else ("again",)))


def bar(value: float | None) -> SafeString | str:
    """A score in [0, 1] as a number and a bar."""
    if value is None:
        return NOTHING
    return format_html('<meter min="0" max="1" value="{}"></meter> {}', f"{value:.4f}", f"{value:.4f}")
