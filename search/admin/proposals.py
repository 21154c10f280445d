"""Proposed attributes in the admin: a page made for deciding, and all above a confidence at once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db.models import Case, CharField, OuterRef, QuerySet, Subquery, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ReadOnlyAdmin, admin_url, list_link, may, object_link
from catalog.admin.filters import collection_filter
from catalog.errors import LookalikeError
from catalog.models import Image, ImageRole, Product
from search.admin.proposal_forms import AboveForm
from search.admin.proposal_review import decide, next_proposal, review, sure
from search.branch_report import attribute_name
from search.models import AttributeProposal
from search.models.training import ProposalState
from search.proposal_decisions import proposal_dismiss, proposal_reopen, proposals_accept
from search.proposals import proposals_settle


@admin.register(AttributeProposal)
class AttributeProposalAdmin(ReadOnlyAdmin):
    list_display = (
        "picture",
        "proposed",
        "sure",
        "state_shown",
        "product_shown",
        "feature_model",
        "decided_by",
        "when",
    )
    list_display_links = ("proposed",)
    list_filter = ("state", "attribute", collection_filter("product__collection"))
    list_select_related = ("product", "feature_model", "decided_by")
    search_fields = ("product__sku", "product__title", "attribute", "value")
    change_list_template = "admin/lookalike/proposal_list.html"
    actions = ("accept", "dismiss", "reopen")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/decide/", wrap(self.decide_view), name="search_attributeproposal_decide"),
            path("above/", wrap(self.above_view), name="search_attributeproposal_above"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> Any:
        mine = Image.objects.filter(product=OuterRef("product"), role=ImageRole.GALLERY).order_by("pk")
        shown = Case(When(thumbnail="", then="file"), default="thumbnail", output_field=CharField())
        return super().get_queryset(request).annotate(first_picture=Subquery(mine.values_list(shown)[:1]))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Deciding writes to products."""
        return may(request, "change", AttributeProposal) and may(request, "change", Product)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only along with its product: a decision is made, or taken back."""
        return obj is not None and may(request, "delete", AttributeProposal)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        proposals_settle()
        chosen = request.GET.get("product__collection__id__exact", "")
        more = {"may_decide": self.has_decide_permission(request), "collection": chosen if chosen.isdigit() else ""}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    @admin.display(description=_("picture"))
    def picture(self, row: Any) -> SafeString:
        if not row.first_picture:
            return format_html('<span class="lk-thumb lk-none" title="{}"></span>', gettext("no picture"))
        where, address = admin_url(row, "change", row.pk), default_storage.url(row.first_picture)
        return format_html('<a class="lk-thumb" href="{}"><img src="{}" alt="" loading="lazy"></a>', where, address)

    @admin.display(description=_("proposed"), ordering="attribute")
    def proposed(self, row: AttributeProposal) -> str:
        return f"{attribute_name(row.attribute)}: {row.value}"

    @admin.display(description=_("confidence"), ordering="confidence")
    def sure(self, row: AttributeProposal) -> str:
        return sure(row.confidence)

    @admin.display(description=_("state"), ordering="state")
    def state_shown(self, row: AttributeProposal) -> SafeString:
        css = {"open": "running", "accepted": "done"}.get(row.state, "cancelled")
        return format_html('<span class="lk-state lk-state-{}">{}</span>', css, row.get_state_display())

    @admin.display(description=_("product"), ordering="product")
    def product_shown(self, row: AttributeProposal) -> SafeString:
        return object_link(row.product)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        proposal = get_object_or_404(self._rows(), pk=object_id if object_id.isdigit() else None)
        if not self.has_view_permission(request, proposal):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Proposed for %s") % proposal.product,
            "opts": self.opts,
            "review": review(proposal),
            "may_decide": self.has_decide_permission(request),
        }
        return TemplateResponse(request, "admin/lookalike/proposal_review.html", context)

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """POST decision (accept, choose, dismiss, reopen), value or other: what is written instead."""
        if request.method != "POST" or not self.has_decide_permission(request):
            raise PermissionDenied
        proposal = self._rows().filter(pk=pk).first()
        if proposal is None:
            self.message_user(request, gettext("There is nothing to decide any more."), messages.INFO)
            return redirect(admin_url(AttributeProposal, "changelist", state__exact=ProposalState.OPEN.value))
        following = next_proposal(proposal)
        try:
            said = decide(proposal, request.POST, request.user)
        except LookalikeError as error:
            self.refuse(request, error)
            following = self._rows().filter(pk=pk).first() or following
        else:
            self.message_user(request, said, messages.SUCCESS)
            following = proposal if request.POST.get("decision") == "reopen" else following
        return self._onward(request, proposal, following)

    def _onward(
        self, request: HttpRequest, proposal: AttributeProposal, following: AttributeProposal | None
    ) -> HttpResponse:
        if following is not None:
            return redirect(admin_url(following, "change", following.pk))
        self.message_user(request, gettext("That was the last proposal of this collection."), messages.INFO)
        where = {"product__collection__id__exact": proposal.product.collection_id}
        return redirect(admin_url(AttributeProposal, "changelist", **where))

    @staticmethod
    def _rows() -> Any:
        return AttributeProposal.objects.select_related("product__collection", "feature_model", "decided_by")

    def above_view(self, request: HttpRequest) -> HttpResponse:
        """Choose, see how many, accept: a form, and the same form with the number and a button that means it."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        asked = request.POST if request.method == "POST" else request.GET
        form = AboveForm(asked if "least" in asked else None, initial={"collection": asked.get("collection")})
        count = form.rows().count() if form.is_bound and form.is_valid() else None
        if request.method == "POST" and count is not None:
            done, refused = proposals_accept(form.rows(), self._user(request))
            self._said(request, done, refused)
            return redirect(admin_url(AttributeProposal, "changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Accept all above a confidence"),
            "opts": self.opts,
            "form": form,
            "count": count,
        }
        return TemplateResponse(request, "admin/lookalike/proposal_above.html", context)

    def _said(self, request: HttpRequest, done: int, refused: int) -> None:
        text = ngettext("%d proposal accepted.", "%d proposals accepted.", done) % done
        self.message_user(request, text, messages.SUCCESS if done else messages.WARNING)
        if refused:
            text = ngettext("%d was left as it is.", "%d were left as they are.", refused) % refused
            self.message_user(request, text, messages.WARNING)

    @staticmethod
    def _user(request: HttpRequest) -> Any:
        return request.user

    @admin.action(description=_("Accept"), permissions=["decide"])
    def accept(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        rows = AttributeProposal.objects.filter(pk__in=[row.pk for row in queryset])
        self._said(request, *proposals_accept(rows, self._user(request)))

    @admin.action(description=_("Dismiss"), permissions=["decide"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, lambda row: proposal_dismiss(row, self._user(request)))

    @admin.action(description=_("Decide again (dismissed ones)"), permissions=["decide"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset, proposal_reopen)

    def _each(self, request: HttpRequest, queryset: QuerySet[Any], do: Any) -> None:
        done = 0
        for row in queryset:
            try:
                do(row)
                done += 1
            except LookalikeError as error:
                self.refuse(request, error)
        if done:
            self.message_user(request, ngettext("%d proposal decided.", "%d proposals decided.", done) % done)


def proposals_link(collection_id: int) -> SafeString:
    """A link to what is to be decided in a collection; nothing where nothing is."""
    rows = AttributeProposal.objects.filter(product__collection=collection_id, state=ProposalState.OPEN)
    count = rows.count()
    where = {"product__collection__id__exact": collection_id, "state__exact": ProposalState.OPEN.value}
    text = ngettext("%d proposed attribute", "%d proposed attributes", count) % count
    return list_link(AttributeProposal, text, **where) if count else SafeString("")
