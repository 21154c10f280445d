"""Builds: saved instances of indexes. Looked at, activated, cancelled, deleted; never edited."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, error_text, object_link, table
from catalog.admin.filters import UsedRowsFilter, collection_filter
from catalog.admin.jobs import JobAdmin, duration
from catalog.admin.wording import size
from catalog.errors import LookalikeError
from catalog.jobs import JobState
from search.builds import build_activate
from search.models import Engine, IndexBuild

GOOD_RECALL = 0.9  # below it, the list points it out


def timings_table(build: IndexBuild) -> SafeString:
    """Seconds of each stage, as the build measured them."""
    rows = build.timings.items()
    return table((name, duration(value) if isinstance(value, int | float) else value) for name, value in rows)


@admin.register(IndexBuild)
class IndexBuildAdmin(JobAdmin):
    list_display = (
        "__str__",
        "progress",
        "active",
        "kind_shown",
        "pictures",
        "memory_shown",
        "size_shown",
        "recall_shown",
        "when",
    )
    list_filter = ("state", "engine", ("index", UsedRowsFilter), collection_filter("index__collection"))
    list_select_related = ("index__collection",)
    actions = ("activate", "cancel")
    object_actions = ("activate", "cancel")
    measured = ("memory_shown", "size_shown", "recall_shown")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("progress", "index_shown", "active", "activate_when_done", "error_shown")}),
        (_("Content"), {"fields": ("engine", "factory", "pictures", *measured, "watermark", "fingerprint")}),
        (_("Time"), {"fields": ("took", "stages", ("created", "created_by"), ("started", "finished"))}),
        (_("Files"), {"fields": ("folder_shown",)}),
    )
    readonly_fields = (
        "progress",
        "index_shown",
        "active",
        "error_shown",
        "pictures",
        *measured,
        "took",
        "stages",
        "folder_shown",
    )

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_activate_permission(self, request: HttpRequest) -> bool:
        return self.has_cancel_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        active = isinstance(obj, IndexBuild) and obj.is_active
        own = request.resolver_match and request.resolver_match.url_name == "search_indexbuild_delete"
        return super().has_delete_permission(request, obj) and not (active and own)

    def hidden_actions(self, request: HttpRequest, row: Any) -> Iterable[str]:
        ready = row.state == JobState.DONE and not row.is_active and row.folder.is_dir()
        return (*super().hidden_actions(request, row), *(() if ready else ("activate",)))

    def delete_model(self, request: HttpRequest, obj: IndexBuild) -> None:
        folder = obj.folder
        super().delete_model(request, obj)
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """The active and the running ones stay."""
        for build in queryset.select_related("index"):
            if build.is_finished and not build.is_active:
                self.delete_model(request, build)
            else:
                self.message_user(request, gettext("Kept: %s is in use.") % build, messages.WARNING)

    @admin.display(description=_("index"))
    def index_shown(self, build: IndexBuild) -> SafeString:
        return object_link(build.index)

    @admin.display(description=_("active"), boolean=True)
    def active(self, build: IndexBuild) -> bool:
        return build.is_active

    @admin.display(description=_("pictures"), ordering="count")
    def pictures(self, build: IndexBuild) -> str:
        return f"{build.count:,}"

    @admin.display(description=_("factory"), ordering="factory")
    def kind_shown(self, build: IndexBuild) -> SafeString | str:
        """The factory, with its engine where that is not the usual one."""
        if build.engine == Engine.FAISS:
            return build.factory
        return format_html('{} <span class="lk-detail">{}</span>', build.factory, build.get_engine_display())

    @admin.display(description=_("in memory"), ordering="code_bytes")
    def memory_shown(self, build: IndexBuild) -> SafeString | str:
        """Of the coarse index, and how much of it is one picture's."""
        if not build.code_bytes:  # built before it was measured
            return NOTHING
        each = gettext("%s B a picture") % f"{build.code_bytes / max(1, build.count):,.0f}"
        return format_html('{} <span class="lk-detail">{}</span>', size(build.code_bytes), each)

    @admin.display(description=_("on disk"), ordering="size_bytes")
    def size_shown(self, build: IndexBuild) -> str:
        return size(build.size_bytes)

    @admin.display(description="ann_recall@10", ordering="ann_recall")
    def recall_shown(self, build: IndexBuild) -> SafeString | str:
        if build.ann_recall is None:
            return NOTHING
        css = "lk-warn" if build.ann_recall < GOOD_RECALL else ""
        return format_html('<span class="{}">{}</span>', css, f"{build.ann_recall:.3f}")

    @admin.display(description=_("stages"))
    def stages(self, build: IndexBuild) -> SafeString:
        return timings_table(build)

    @admin.display(description=_("folder"))
    def folder_shown(self, build: IndexBuild) -> str:
        kept = build.folder.is_dir()
        return str(build.folder) if kept else gettext("deleted: only the active and the newest builds are kept")

    @admin.action(description=_("Activate"), permissions=["activate"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for build in queryset.order_by("id"):
            try:
                build_activate(build)
            except LookalikeError as error:
                self.message_user(request, f"{build}: {error_text(error)}", messages.ERROR)
            else:
                text = gettext("{} now answers the searches of {}.")
                self.message_user(request, format_html(text, object_link(build), object_link(build.index)))
