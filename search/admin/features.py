"""Feature models: named configurations of the extractor, copied to be changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import (
    NOTHING,
    SiteAdmin,
    admin_url,
    list_link,
    may,
    object_link,
)
from catalog.admin.collections import count_of
from catalog.models import Collection
from search.admin.eight_bits import FACTS as EIGHT_BITS
from search.admin.eight_bits import EightBitsAdmin
from search.admin.feature_form import FeatureModelForm
from search.admin.starting import start_embedding
from search.models import Embedding, FeatureModel, SearchIndex


@admin.register(FeatureModel)
class FeatureModelAdmin(EightBitsAdmin, SiteAdmin):
    form = FeatureModelForm
    list_display = (
        "name",
        "backbone",
        "pooling_shown",
        "dim_shown",
        "embedding_total",
        "index_total",
        "runtime",
        "is_default",
    )
    list_filter = ("backbone", "pooling")
    search_fields = ("name", "backbone")
    actions = ("embed_missing", "embed_again", "copy", "quantise", "accept_loss")
    object_actions = ("embed_missing", "embed_again", "copy", "quantise", "accept_loss")
    network = ("backbone", "layer", "weights", "weights_sha256")
    descriptor = ("pooling", "gem_p", "power", "scales", "flip", "preprocessing", "runtime")
    configuration = (*network, *descriptor)
    projected = ("projection", "projection_sha256", "projected_from")  # made by fit_projection, never by hand
    projection_facts = ("projection_shown", "projection_sha256", "source_shown")
    facts = ("dim", "fingerprint", "embedding_total", "index_total", "created")

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .select_related("projected_from")
            .annotate(
                embedding_count=count_of(Embedding.objects.all(), "feature_model"),
                index_count=count_of(SearchIndex.objects.all(), "feature_model"),
            )
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = obj is not None and self._is_fixed(obj)
        note = gettext("It has embedded pictures, so it stays as it is. Copy it to change it.") if fixed else None
        made: list[Any] = [(None, {"fields": ("name", "is_default")})]
        made += [(_("Network"), {"fields": self.network, "description": note})]
        made += [(_("Descriptor"), {"fields": self.descriptor})]
        if obj and obj.projection:
            made += [(_("Projection"), {"fields": self.projection_facts})]
        if obj and (obj.quantised_from_id or obj.quantisation):
            made += [(_("8 bits"), {"fields": EIGHT_BITS})]
        return [*made, (_("Facts"), {"fields": self.facts})] if obj else made

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (
            *self.facts,
            *self.projection_facts,
            *EIGHT_BITS,
            *(self.configuration if obj and self._is_fixed(obj) else ()),
        )

    @staticmethod
    def _is_fixed(obj: FeatureModel) -> bool:
        return obj.embeddings.exists()

    def save_model(self, request: HttpRequest, obj: FeatureModel, form: Any, change: bool) -> None:
        if obj.is_default:
            FeatureModel.objects.filter(is_default=True).exclude(pk=obj.pk).update(is_default=False)
        super().save_model(request, obj, form, change)

    def has_embed_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", Embedding)

    def has_reembed_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", Embedding) and may(request, "delete", Embedding)

    @admin.display(description=_("pooling"), ordering="pooling")
    def pooling_shown(self, row: FeatureModel) -> str:
        """``gem · power 0.5 · scales 1, 0.7071 · flip``: what is not as usual."""
        parts = [row.pooling]
        parts += [gettext("power %s") % f"{row.power:g}"] if row.power != 1 else []
        parts += [gettext("scales %s") % ", ".join(f"{scale:g}" for scale in row.scales)] if row.scales else []
        parts += [gettext("flip")] if row.flip else []
        return " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)  # a line breaks between parts

    @admin.display(description=_("dimensions"), ordering="dim")
    def dim_shown(self, row: FeatureModel) -> str:
        """``512``, or ``1280 → 256`` where a projection made them fewer."""
        before = row.projected_from.dim if row.projected_from else 0
        return f"{before} → {row.dim}" if row.projection and before else f"{row.dim or NOTHING}"

    @admin.display(description=_("projection"))
    def projection_shown(self, row: FeatureModel) -> SafeString:
        return format_html("<code>{}</code> · {}", row.projection, gettext("%s dimensions") % self.dim_shown(row))

    @admin.display(description=_("projected from"))
    def source_shown(self, row: FeatureModel) -> SafeString:
        return object_link(row.projected_from)

    @admin.display(description=_("embeddings"), ordering="embedding_count")
    def embedding_total(self, row: Any) -> SafeString:
        return list_link(Embedding, f"{row.embedding_count:,}", feature_model__id__exact=row.pk)

    @admin.display(description=_("indexes"), ordering="index_count")
    def index_total(self, row: Any) -> SafeString:
        return list_link(SearchIndex, f"{row.index_count:,}", feature_model__id__exact=row.pk)

    @admin.action(description=_("Embed what is missing or failed"), permissions=["embed"])
    def embed_missing(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        start_embedding(self, request, self._pairs(queryset), again=False)

    @admin.action(description=_("Re-embed all its collections"), permissions=["reembed"])
    def embed_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        question = gettext("Forget all descriptors of these feature models and extract them again?")
        if page := self.confirm(request, queryset, question, gettext("Active builds go on answering meanwhile.")):
            return page
        start_embedding(self, request, self._pairs(queryset), again=True)
        return None

    @staticmethod
    def _pairs(queryset: QuerySet[Any]) -> Iterable[tuple[Collection, FeatureModel]]:
        for row in queryset:
            for collection in Collection.objects.filter(indexes__feature_model=row).distinct():
                yield collection, row

    @admin.action(description=_("Copy"), permissions=["add"])
    def copy(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        made = [self._copy(row) for row in queryset]
        for row in made:
            self.message_user(request, format_html(gettext("Made {}."), list_link(FeatureModel, row, id__exact=row.pk)))
        return redirect(admin_url(FeatureModel, "change", made[0].pk)) if len(made) == 1 else None

    def _copy(self, row: FeatureModel) -> FeatureModel:
        taken = set(FeatureModel.objects.filter(name__startswith=row.name[:80]).values_list("name", flat=True))
        numbers = range(1, len(taken) + 2)
        name = next(name for n in numbers if (name := f"{row.name[:85]} copy{f' {n}' if n > 1 else ''}") not in taken)
        values = {field: getattr(row, field) for field in (*self.configuration, *self.projected, "dim", "fingerprint")}
        # Without the figures: a copy may be changed, so what 8 bits cost it has to be measured again.
        return FeatureModel.objects.create(name=name, quantised_from=row.quantised_from, **values)
