"""8 bits in the admin of feature models: what they cost, starting them, and accepting a loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import error_text, may, object_link, table
from catalog.errors import LookalikeError
from catalog.models import Collection
from search.models import FeatureModel, SearchIndex, TrainingRun
from search.models.quantisation import MAP, check_may_serve
from search.tasks import training_run

FACTS = ("quantised_shown", "eight_bits_shown")
CLASSICAL = "color_gradient"


class EightBitsAdmin:
    """What FeatureModelAdmin mixes in: facts of a model in 8 bits, and two actions."""

    @admin.display(description=_("8 bits of"))
    def quantised_shown(self, row: FeatureModel) -> SafeString:
        return object_link(row.quantised_from)

    @admin.display(description=_("what 8 bits cost"))
    def eight_bits_shown(self, row: FeatureModel) -> SafeString:
        return table(cost(row))

    def hidden_actions(self: Any, request: HttpRequest, row: Any) -> Iterable[str]:
        hidden = [*super().hidden_actions(request, row)]  # type: ignore[misc]
        hidden += ["quantise"] if row.backbone == CLASSICAL or row.quantised_from_id or row.quantisation else []
        return [*hidden, *([] if "loss" in row.quantisation and refusal(row) else ["accept_loss"])]

    def has_quantise_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", TrainingRun)

    def has_accept_permission(self, request: HttpRequest) -> bool:
        """It lets an index be searched with it."""
        return may(request, "change", FeatureModel) and may(request, "change", SearchIndex)

    @admin.action(description=_("Quantise to 8 bits"), permissions=["quantise"])
    def quantise(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        question = gettext("Make a model in 8 bits of each of these, calibrated on the collection that uses it most?")
        note = gettext("It is made beside them. It can be searched with once its loss is measured and small enough.")
        if page := self.confirm(request, queryset, question, note):
            return page  # type: ignore[no-any-return]
        for row in queryset:
            self._quantise(request, row)
        return None

    def _quantise(self: Any, request: HttpRequest, row: FeatureModel) -> None:
        from search.quantisations import quantise_create

        collection = most_used_by(row)
        if collection is None:
            text = gettext("%s: no collection is searched with it, so there are no pictures to calibrate on.")
            self.message_user(request, text % row, messages.ERROR)
            return
        name = f"{row.name[:88]} 8 bits"
        try:
            run = quantise_create(collection, row, name, user=request.user)  # type: ignore[arg-type]
        except LookalikeError as error:
            self.message_user(request, f"{row}: {error_text(error)}", messages.ERROR)
            return
        training_run.delay_on_commit(run.pk)
        self.message_user(request, format_html(gettext("Started: {}. Its page follows it."), object_link(run)))

    @admin.action(description=_("Accept what 8 bits cost"), permissions=["accept"])
    def accept_loss(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        question = gettext("Let these models be searched with, whatever they lost by their 8 bits?")
        note = "; ".join(f"{row}: {reason}" for row in queryset if (reason := refusal(row)))
        if page := self.confirm(request, queryset, question, note):
            return page  # type: ignore[no-any-return]
        from search.quantisations import loss_accept

        for row in queryset:
            try:
                loss_accept(row, request.user.get_username())
            except LookalikeError as error:
                self.message_user(request, f"{row}: {error_text(error)}", messages.ERROR)
            else:
                self.message_user(request, gettext("%s may be searched with.") % row)
        return None


def refusal(row: FeatureModel) -> str:
    """Why a model may not be searched with; empty where it may."""
    try:
        check_may_serve(row)
    except LookalikeError as error:
        return str(error_text(error))
    return ""


def most_used_by(row: FeatureModel) -> Collection | None:
    """The collection with an index of this feature model that has most pictures embedded by it."""
    embedded = Count("images", filter=Q(images__embeddings__feature_model=row), distinct=True)
    used = Collection.objects.filter(indexes__feature_model=row).distinct()
    return used.annotate(embedded_by_it=embedded).order_by("-embedded_by_it", "id").first()


def cost(row: FeatureModel) -> list[tuple[Any, Any]]:
    """The figures as rows of a table."""
    found = row.quantisation
    if "loss" not in found:
        return [(gettext("may be searched with"), refusal(row))]
    rows: list[tuple[Any, Any]] = []
    if found["loss_of"] == MAP:
        interval = " … ".join(f"{value:.4f}" for value in found.get("loss_interval", []))
        rows += [
            (gettext("mAP"), gettext("%(float)s in float, %(eight)s in 8 bits") % _figures(found)),
            (gettext("loss of mAP"), f"{found['loss']:.4f} ({interval})" if interval else f"{found['loss']:.4f}"),
            (gettext("by"), found.get("labels", "")),
        ]
    if "neighbours@10" in found:
        rows.append((gettext("first ten neighbours that stay"), f"{found['neighbours@10']:.1%}"))
    if "cosine_mean" in found:
        rows.append((gettext("cosine"), f"{found['cosine_mean']:.4f} · ≥ {found['cosine_min']:.4f}"))
    if calibration := found.get("calibration"):
        told = (f"{calibration[name]}" for name in ("collection", "pictures", "method"))
        rows.append((gettext("calibrated on"), " · ".join(told)))
        rows.append((gettext("layers in float"), str(calibration["layers_in_float"])))
    if size := found.get("bytes"):
        rows.append((gettext("size"), f"{size['float'] / 2**20:.1f} → {size['eight_bits'] / 2**20:.1f} MiB"))
    if found.get("overlap"):
        rows.append((gettext("careful"), gettext("too few pictures: some were calibrated on and measured on")))
    if accepted := found.get("accepted"):
        rows.append((gettext("accepted by"), f"{accepted['by']}, {accepted['at']}"))
    return [*rows, (gettext("may be searched with"), refusal(row) or gettext("yes"))]


def _figures(found: dict[str, Any]) -> dict[str, str]:
    return {"float": f"{found['mAP_float']:.4f}", "eight": f"{found['mAP']:.4f}"}
