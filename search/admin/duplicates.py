"""Duplicates in the admin: scans, and the groups they found, each on a page made for deciding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import (
    ModelForm,
    ReadOnlyAdmin,
    SiteAdmin,
    admin_url,
    error_text,
    list_link,
    may,
    object_link,
    thumbnail,
)
from catalog.admin.filters import collection_filter
from catalog.admin.jobs import StartedJobAdmin
from catalog.errors import LookalikeError
from catalog.models import Collection, Image
from search.admin.duplicate_review import decide, next_group, review
from search.duplicates.best import best_of
from search.duplicates.decisions import group_dismiss, group_keep, group_merge, group_reopen, images_of
from search.duplicates.rule import MAX_HASH_DISTANCE
from search.duplicates.scans import scan_create
from search.models import DuplicateGroup, DuplicateMember, DuplicateScan
from search.models.duplicates import DuplicateState
from search.tasks import duplicates_scan

SHOWN = 4  # pictures of a group in the list


def start_scan(page: SiteAdmin, request: HttpRequest, collection: Collection, **options: Any) -> DuplicateScan | None:
    """Start a scan and say so, or say why not."""
    user: Any = request.user
    try:
        scan = scan_create(collection, user=user, **options)
    except LookalikeError as error:
        page.message_user(request, error_text(error), messages.ERROR)
        return None
    duplicates_scan.delay_on_commit(scan.pk)
    text = gettext("Looking for duplicates in {}: {}.")
    page.message_user(request, format_html(text, collection, object_link(scan)), messages.SUCCESS)
    return scan


class ScanForm(ModelForm):
    """Starts a scan; what is left empty is as calibrated."""

    user: Any = None
    scan: DuplicateScan

    class Meta:
        model = DuplicateScan
        fields = ("collection", "feature_model", "max_hash_distance", "min_score")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("feature_model", "max_hash_distance", "min_score"):
            self.fields[name].required = False
        self.fields["feature_model"].help_text = gettext("Empty: that of the collection's own index.")
        self.fields["max_hash_distance"].help_text = (
            gettext("Bits of 64 that may differ. Empty: %d.") % MAX_HASH_DISTANCE
        )
        self.fields["min_score"].help_text = gettext("Empty: as calibrated for the feature model.")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if self.errors:
            return given
        names = ("feature_model", "max_hash_distance", "min_score")
        try:
            self.scan = scan_create(given["collection"], user=self.user, **{name: given[name] for name in names})
        except LookalikeError as error:
            raise forms.ValidationError(error_text(error)) from error
        return given

    def _post_clean(self) -> None:
        """The service has validated and made the row."""

    def save(self, commit: bool = True) -> DuplicateScan:
        return self.scan

    def save_m2m(self) -> None:
        """A scan has none."""


@admin.register(DuplicateScan)
class DuplicateScanAdmin(StartedJobAdmin):
    start_form = ScanForm
    list_display = ("name", "collection", "progress", "found", "dismissed", "feature_model", "thresholds", "when")
    list_filter = ("state", collection_filter())
    list_select_related = ("collection", "feature_model")
    add_form_template = "admin/lookalike/start_form.html"
    autocomplete_fields = ("collection", "feature_model")
    actions = ("again", "cancel")
    object_actions = ("again", "cancel")
    shown = (
        (None, {"fields": ("progress", "collection", "found", "dismissed", "error_shown")}),
        (_("Thresholds"), {"fields": ("feature_model", "max_hash_distance", "min_score")}),
        (_("Times"), {"fields": (("created", "created_by"), ("started", "finished"), "took")}),
    )

    def save_model(self, request: HttpRequest, obj: DuplicateScan, form: Any, change: bool) -> None:
        duplicates_scan.delay_on_commit(obj.pk)

    def tools(self, request: HttpRequest, row: Any) -> Iterable[tuple[object, str]]:
        where = {"collection__id__exact": row.collection_id, "state__exact": DuplicateState.OPEN.value}
        yield gettext("Review the groups"), admin_url(DuplicateGroup, "changelist", **where)

    @admin.display(description=_("scan"), ordering="id")
    def name(self, scan: DuplicateScan) -> str:
        return f"#{scan.pk}"

    @admin.display(description=_("thresholds"))
    def thresholds(self, scan: DuplicateScan) -> str:
        return gettext("hash ≤ %(distance)d, score ≥ %(score).2f") % {
            "distance": scan.max_hash_distance,
            "score": scan.min_score,
        }

    @admin.action(description=_("Scan again"), permissions=["add"])
    def again(self, request: HttpRequest, queryset: Any) -> None:
        for old in queryset.select_related("collection", "feature_model"):
            options = {name: getattr(old, name) for name in ("feature_model", "max_hash_distance", "min_score")}
            start_scan(self, request, old.collection, **options)

    def hidden_actions(self, request: HttpRequest, row: Any) -> Iterable[str]:
        return (*super().hidden_actions(request, row), *(() if row.is_finished else ("again",)))


@admin.register(DuplicateGroup)
class DuplicateGroupAdmin(ReadOnlyAdmin):
    list_display = ("pictures", "state_shown", "kind", "score_shown", "collection", "decided_by", "when")
    list_display_links = None
    list_filter = ("state", "kind", collection_filter())
    list_select_related = ("collection", "decided_by")
    list_per_page = 25
    actions = ("keep_all", "not_duplicates", "merge_into_best", "reopen")

    class Media:
        css = {"all": ("lookalike/duplicates.css",)}
        js = ("lookalike/duplicates.js",)

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<int:pk>/decide/", self.admin_site.admin_view(self.decide_view), name="search_duplicategroup_decide"
        )
        return [own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Open groups whose pictures are gone are nothing to decide on."""
        members = DuplicateMember.objects.select_related("image").order_by("id")
        rows = super().get_queryset(request).annotate(size=Count("members"))
        rows = rows.filter(~Q(state=DuplicateState.OPEN) | Q(size__gte=2))
        return rows.prefetch_related(Prefetch("members", queryset=members))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return may(request, "change", DuplicateGroup)

    def has_merge_permission(self, request: HttpRequest) -> bool:
        """Merging deletes pictures."""
        return self.has_decide_permission(request) and may(request, "delete", Image)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a decision is made, or taken back

    @admin.display(description=_("pictures"))
    def pictures(self, group: Any) -> SafeString:
        members = list(group.members.all())
        where = admin_url(group, "change", group.pk)
        shown = format_html_join("", "{}", ((thumbnail(member.image, href=where),) for member in members[:SHOWN]))
        rest = len(members) - SHOWN
        return format_html('{} <a href="{}">+{}</a>', shown, where, rest) if rest > 0 else shown

    @admin.display(description=_("state"), ordering="state")
    def state_shown(self, group: DuplicateGroup) -> SafeString:
        css = {"open": "running", "merged": "done", "kept": "done"}.get(group.state, "cancelled")
        return format_html('<span class="lk-state lk-state-{}">{}</span>', css, group.get_state_display())

    @admin.display(description=_("lowest score"), ordering="score")
    def score_shown(self, group: DuplicateGroup) -> str:
        return "–" if group.score is None else f"{group.score:.3f}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        group = get_object_or_404(self.get_queryset(request), pk=object_id if object_id.isdigit() else None)
        if not self.has_view_permission(request, group):
            raise PermissionDenied
        return self._page(request, group)

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST decision (keep, dismiss, merge, reopen), keep (id of a picture), confirmed, across_products."""
        group = get_object_or_404(self.get_queryset(request), pk=pk)
        merging = request.POST.get("decision") == "merge"
        allowed = self.has_merge_permission(request) if merging else self.has_decide_permission(request)
        if request.method != "POST" or not allowed:
            raise PermissionDenied
        if merging and not request.POST.get("confirmed"):
            return self._page(request, group, confirming=request.POST.get("keep", ""))
        try:
            said = decide(group, request.POST, request.user)
        except LookalikeError as error:
            self.refuse(request, error)
            return redirect(admin_url(group, "change", group.pk))
        self.message_user(request, said, messages.SUCCESS)
        return self._after(request, group)

    def _after(self, request: HttpRequest, group: DuplicateGroup) -> HttpResponse:
        if request.POST.get("decision") == "reopen":
            return redirect(admin_url(group, "change", group.pk))
        following = next_group(group)
        if following is None:
            self.message_user(request, gettext("That was the last group of this collection."), messages.INFO)
            where = {"collection__id__exact": group.collection_id}
            return redirect(admin_url(DuplicateGroup, "changelist", **where))
        return redirect(admin_url(following, "change", following.pk))

    def _page(self, request: HttpRequest, group: DuplicateGroup, confirming: str = "") -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Duplicates in %s") % group.collection,
            "opts": self.opts,
            "media": self.media,
            "review": review(group, confirming),
            "may_decide": self.has_decide_permission(request),
            "may_merge": self.has_merge_permission(request),
        }
        return TemplateResponse(request, "admin/lookalike/duplicate_review.html", context)

    @admin.action(description=_("Keep all of them"), permissions=["decide"])
    def keep_all(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._bulk(request, queryset, lambda group: group_keep(group, self._user(request)))

    @admin.action(description=_("Not duplicates"), permissions=["decide"])
    def not_duplicates(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._bulk(request, queryset, lambda group: group_dismiss(group, self._user(request)))

    @admin.action(description=_("Merge each into its best picture"), permissions=["merge"])
    def merge_into_best(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        question = gettext("Keep the best picture of each of these groups and delete the others?")
        consequences = gettext(
            "This cannot be undone. Labels and queries go over to the kept picture. Groups that would leave "
            "another product without a picture are left as they are."
        )
        if page := self.confirm(request, queryset, question, consequences):
            return page
        self._bulk(request, queryset, lambda group: self._merge_best(group, self._user(request)))
        return None

    @admin.action(description=_("Decide again (kept and dismissed groups)"), permissions=["decide"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._bulk(request, queryset, group_reopen)

    @staticmethod
    def _user(request: HttpRequest) -> Any:
        return request.user

    @staticmethod
    def _merge_best(group: DuplicateGroup, user: Any) -> None:
        best = best_of(images_of(group))
        if best is not None:
            group_merge(group, best.pk, user)

    def _bulk(self, request: HttpRequest, queryset: QuerySet[Any], do: Any) -> None:
        done = 0
        for group in queryset:
            try:
                do(group)
                done += 1
            except LookalikeError as error:
                self.message_user(request, f"{group}: {error_text(error)}", messages.WARNING)
        if done:
            self.message_user(request, ngettext("%d group decided.", "%d groups decided.", done) % done)


def groups_link(collection_id: int) -> SafeString:
    """A link to what is to be decided in a collection; nothing where nothing is."""
    groups = DuplicateGroup.objects.filter(collection=collection_id, state=DuplicateState.OPEN)
    count = groups.annotate(size=Count("members")).filter(size__gte=2).count()
    where = {"collection__id__exact": collection_id, "state__exact": DuplicateState.OPEN.value}
    text = ngettext("%d group of duplicates", "%d groups of duplicates", count) % count
    return list_link(DuplicateGroup, text, **where) if count else SafeString("")
