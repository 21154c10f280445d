"""Collections and pictures, with what the search side knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, admin_url, list_link, may, object_link
from catalog.admin.collections import CollectionAdmin, count_of
from catalog.admin.images import ImageAdmin
from catalog.jobs import UNFINISHED
from catalog.models import Collection, Image, ImageRole
from search.admin.branches import start_branch
from search.admin.duplicates import groups_link, start_scan
from search.admin.indexes import remove_builds
from search.admin.proposals import proposals_link
from search.admin.starting import start_build, start_embedding
from search.builds import index_for
from search.models import (
    AttributeProposal,
    DuplicateGroup,
    DuplicateScan,
    Embedding,
    EvaluationRun,
    FeatureModel,
    IndexBuild,
    SearchIndex,
    SearchLog,
    TrainingRun,
    UploadedQuery,
)
from search.uploads import drop_unused

EMBEDDED = Embedding.objects.filter(
    image__role=ImageRole.GALLERY,
    feature_model__indexes__is_default=True,
    feature_model__indexes__collection=OuterRef("pk"),
)


def share_shown(part: int, whole: int) -> SafeString | str:
    """A share as a small bar and the two numbers."""
    if not whole:
        return NOTHING
    percent = min(100, 100 * part // whole)
    shown = '<span class="lk-share"><progress max="100" value="{}"></progress>{} % <small>{} / {}</small></span>'
    return format_html(shown, percent, percent, f"{part:,}", f"{whole:,}")


class SearchCollectionAdmin(CollectionAdmin):
    list_display = (
        "name",
        "products_total",
        "pictures_total",
        "embedded_share",
        "index_state",
        "is_public",
        "page_link",
    )
    actions = ("build", "embed_missing", "embed_again", "find_duplicates", "learn_attributes", "make_benchmark")
    object_actions = ("build", "embed_missing", "embed_again", "find_duplicates", "learn_attributes", "make_benchmark")
    readonly_fields = ("embedded_share", "index_state", "duplicates_shown", "proposals_shown")
    cascade = (
        *CollectionAdmin.cascade,
        (Embedding, "image__collection"),
        (SearchIndex, "collection"),
        (IndexBuild, "index__collection"),
        (EvaluationRun, "index__collection"),
        (SearchLog, "index__collection"),
        (UploadedQuery, "collection"),
        (DuplicateScan, "collection"),
        (DuplicateGroup, "collection"),
        (AttributeProposal, "product__collection"),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        state = ((_("Search"), {"fields": ("embedded_share", "index_state", "duplicates_shown", "proposals_shown")}),)
        return (*(state if obj else ()), *super().get_fieldsets(request, obj))

    def get_queryset(self, request: HttpRequest) -> Any:
        chosen = SearchIndex.objects.filter(is_default=True).select_related("active_build", "feature_model")
        building = IndexBuild.objects.filter(index__collection=OuterRef("pk"), state__in=UNFINISHED)
        good, failed = EMBEDDED.filter(vector__isnull=False), EMBEDDED.filter(vector__isnull=True)
        return (
            super()
            .get_queryset(request)
            .annotate(
                gallery_count=count_of(Image.objects.filter(role=ImageRole.GALLERY), "collection"),
                embedded_count=count_of(good, "image__collection"),
                failed_count=count_of(failed, "image__collection"),
                is_building=Exists(building),
            )
            .prefetch_related(Prefetch("indexes", queryset=chosen, to_attr="default_indexes"))
        )

    def has_build_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", IndexBuild)

    def has_duplicates_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", DuplicateScan)

    def has_learn_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", TrainingRun)

    def has_embed_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", Embedding)

    def has_reembed_permission(self, request: HttpRequest) -> bool:
        return may(request, "add", Embedding) and may(request, "delete", Embedding)

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        yield from super().tools(request, row)
        yield gettext("Indexes"), admin_url(SearchIndex, "changelist", collection__id__exact=row.pk)
        yield gettext("Search it"), reverse("web:collection", args=[row.slug])

    @admin.display(description=_("embedded"), ordering="embedded_count")
    def embedded_share(self, row: Any) -> SafeString | str:
        shown = share_shown(row.embedded_count, row.gallery_count)
        if not row.failed_count:
            return shown
        where = {"image__collection__id__exact": row.pk, "failed": "yes"}
        return format_html("{} {}", shown, list_link(Embedding, gettext("%d failed") % row.failed_count, **where))

    @admin.display(description=_("index"))
    def index_state(self, row: Any) -> SafeString:
        index = row.default_indexes[0] if row.default_indexes else None
        if index is None:
            return format_html('<span class="lk-state">{}</span>', gettext("none yet"))
        build = index.active_build
        css, text = ("done", gettext("active")) if build else ("queued", gettext("searched exactly"))
        if row.is_building:
            css, text = "running", gettext("building")
        count = gettext("%s pictures") % f"{build.count:,}" if build else ""
        shown = '{} <span class="lk-state lk-state-{}">{}</span> {}'
        return format_html(shown, object_link(index, index.name), css, text, count)

    @admin.display(description=_("duplicates"))
    def duplicates_shown(self, row: Any) -> SafeString | str:
        return groups_link(row.pk) or NOTHING

    @admin.display(description=_("attributes"))
    def proposals_shown(self, row: Any) -> SafeString | str:
        return proposals_link(row.pk) or NOTHING

    @admin.display(description=_("page"))
    def page_link(self, row: Collection) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("web:collection", args=[row.slug]), gettext("search it"))

    @admin.action(description=_("Build the index"), permissions=["build"])
    def build(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for collection in queryset:
            start_build(self, request, index_for(collection))

    @admin.action(description=_("Embed what is missing or failed"), permissions=["embed"])
    def embed_missing(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        start_embedding(self, request, self._pairs(queryset), again=False)

    @admin.action(description=_("Re-embed everything"), permissions=["reembed"])
    def embed_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        question = gettext("Forget the descriptors of these collections and extract them again?")
        if page := self.confirm(request, queryset, question, gettext("Active builds go on answering meanwhile.")):
            return page
        start_embedding(self, request, self._pairs(queryset), again=True)
        return None

    @admin.action(description=_("Find duplicates"), permissions=["duplicates"])
    def find_duplicates(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for collection in queryset:
            start_scan(self, request, collection)

    @admin.action(description=_("Learn attributes"), permissions=["learn"])
    def learn_attributes(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for collection in queryset:
            start_branch(self, request, collection)

    def delete_model(self, request: HttpRequest, obj: Collection) -> None:
        self._delete([obj.pk], lambda: super(SearchCollectionAdmin, self).delete_model(request, obj))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        pks = list(queryset.values_list("pk", flat=True))
        self._delete(pks, lambda: super(SearchCollectionAdmin, self).delete_queryset(request, queryset))

    @staticmethod
    def _delete(pks: list[int], delete: Callable[[], None]) -> None:
        """Rows first; then what they alone named. Pictures' files are swept by night: there may be a million."""
        indexes = list(SearchIndex.objects.filter(collection__in=pks).values_list("pk", flat=True))
        uploads = UploadedQuery.objects.filter(collection__in=pks).values_list("file", "preview")
        names = {name for pair in uploads for name in pair}
        delete()
        transaction.on_commit(lambda: remove_builds(indexes))
        transaction.on_commit(lambda: drop_unused(names))

    def _pairs(self, queryset: QuerySet[Any]) -> list[tuple[Collection, FeatureModel]]:
        """Every collection with each feature model that one of its indexes uses."""
        for collection in queryset:
            if not collection.indexes.exists():
                index_for(collection)
        indexes = SearchIndex.objects.filter(collection__in=[c.pk for c in queryset])
        found = indexes.select_related("collection", "feature_model").order_by("collection", "pk")
        return list({(index.collection, index.feature_model): None for index in found})


class SearchImageAdmin(ImageAdmin):
    list_display = (*ImageAdmin.list_display, "embeddings_state", "look_alikes")
    facts = (*ImageAdmin.facts, "embeddings_state", "queries_shown")

    def get_queryset(self, request: HttpRequest) -> Any:
        kept = Embedding.objects.select_related("feature_model").defer("vector")
        return super().get_queryset(request).prefetch_related(Prefetch("embeddings", queryset=kept))

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[Any, str]]:
        return [(gettext("Find look-alikes"), self._search_url(row))]

    @staticmethod
    def _search_url(image: Image) -> str:
        return f"{reverse('web:search', args=[image.collection.slug])}?image={image.pk}"

    @admin.display(description=_("embedded"))
    def embeddings_state(self, image: Image) -> SafeString | str:
        rows = [(row.error, "failed" if row.error else "done", row.feature_model) for row in image.embeddings.all()]
        return format_html_join(" ", '<span title="{}" class="lk-state lk-state-{}">{}</span>', rows) or NOTHING

    @admin.display(description=_("look-alikes"))
    def look_alikes(self, image: Image) -> SafeString:
        return format_html('<a href="{}">{}</a>', self._search_url(image), gettext("find"))

    @admin.display(description=_("query of"))
    def queries_shown(self, image: Image) -> SafeString | str:
        queries = image.queries.select_related("benchmark__collection")[:20]
        return format_html_join(", ", "{}", ((object_link(q, f"{q.benchmark}: {q}"),) for q in queries)) or NOTHING


for model, page in ((Collection, SearchCollectionAdmin), (Image, SearchImageAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, page)
