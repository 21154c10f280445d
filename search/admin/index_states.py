"""What an index's row shows of its builds and its scores."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import NOTHING, SiteAdmin, object_link
from catalog.admin.collections import count_of
from catalog.admin.wording import size
from catalog.models import ImageRole
from search.admin.builds import timings_table
from search.admin.kinds import kinds
from search.admin.tuning import tuning_shown
from search.cache_counts import cache_counts
from search.models import Embedding, IndexBuild


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
        """The factory written down, or the one that a preset or the size of the collection chose."""
        if row.factory:
            return str(row.factory)
        kind = kinds().get(row.preset)
        chosen = kind.title if kind and row.preset else gettext("chosen by size")
        return f"{row.active_build.factory} ({chosen})" if row.active_build else chosen

    @admin.display(description=_("last build"))
    def last_build(self, row: Any) -> SafeString | str:
        build = row.builds.order_by("-id").first()
        if build is None:
            return NOTHING
        return format_html(
            "{} {} {}", object_link(build, f"#{build.pk}"), build.get_state_display(), timings_table(build)
        )

    @admin.display(description=_("memory"))
    def memory_shown(self, row: Any) -> SafeString | str:
        """Of the coarse codes, and what the original descriptors beside them take on disk."""
        build = row.active_build
        if build is None:
            return NOTHING
        disk = gettext("%s on disk, the original descriptors with it") % size(build.size_bytes)
        if not build.code_bytes:  # built before it was measured
            return disk
        each = gettext("%s B a picture") % f"{build.code_bytes / max(1, build.count):,.0f}"
        held = gettext("%s in memory") % size(build.code_bytes)
        return format_html("{} · {} · {}", each, held, disk)

    @admin.display(description=_("answered from caches"))
    def cache_shown(self, row: Any) -> str:
        counts = cache_counts([row.pk]).get(row.pk)
        if counts is None:
            return NOTHING
        parts = [
            (counts.rate, counts.hits + counts.misses, gettext("%(percent)s %% of %(count)s searches")),
            (
                counts.descriptor_rate,
                counts.descriptor_hits + counts.descriptor_misses,
                gettext("%(percent)s %% of the descriptors of %(count)s pictures that were sent"),
            ),
        ]
        said = [
            text % {"percent": f"{100 * rate:.0f}", "count": f"{n:,}"} for rate, n, text in parts if rate is not None
        ]
        since = gettext("since %s") % date_format(counts.since)
        return " · ".join([*said, since])

    @admin.display(description=_("tuning"))
    def tuning_shown(self, row: Any) -> SafeString:
        return tuning_shown(row, getattr(row, "may_change", False))

    # The form's own fields, as those see them who may only look
    @admin.display(description=_("query expansion"))
    def expansion_method(self, row: Any) -> str:
        return str(row.expansion.get("method", "none"))

    @admin.display(description=_("neighbours"))
    def expansion_k(self, row: Any) -> str:
        return str(row.expansion.get("k", NOTHING))

    @admin.display(description="Alpha")
    def expansion_alpha(self, row: Any) -> str:
        return str(row.expansion.get("alpha", NOTHING))
