"""API keys: a key is shown once, after it was made."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ModelForm, SiteAdmin
from search.models import ApiKey

RATE = re.compile(r"[1-9][0-9]{0,8}/(s|sec|m|min|h|hour|d|day)")


class ApiKeyForm(ModelForm):
    class Meta:
        model = ApiKey
        fields = ("name", "scope", "all_collections", "collections", "rate", "is_active")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        reaches = cleaned.get("all_collections") or cleaned.get("collections")
        if not self.errors and cleaned.get("is_active") and not reaches:
            text = gettext("Choose at least one, or all collections: this key would open nothing.")
            self.add_error("collections", text)
        return cleaned

    def clean_rate(self) -> str:
        rate = str(self.cleaned_data["rate"]).strip()
        if rate and not RATE.fullmatch(rate):
            raise ValidationError(gettext("Write a number and a unit: 600/min, 10/s, 5000/hour or 20000/day."))
        return rate


@admin.register(ApiKey)
class ApiKeyAdmin(SiteAdmin):
    form = ApiKeyForm
    list_display = ("name", "prefix_shown", "scope_shown", "is_active", "rate", "last_used", "created_by", "when")
    list_filter = ("scope", "is_active")
    list_select_related = ("created_by",)
    search_fields = ("name", "prefix")
    filter_horizontal = ("collections",)
    readonly_fields = ("prefix_shown", "last_used", "created_by", "created")
    actions = ("switch_off", "issue_again")
    object_actions = ("switch_off", "issue_again")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*ApiKeyForm.Meta.fields, *self.readonly_fields) if obj else ApiKeyForm.Meta.fields

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        key = None if change else obj.issue()
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)
        if key:
            self._show(request, obj, key)

    def _show(self, request: HttpRequest, row: ApiKey, key: str) -> None:
        text = gettext("The key of {}, shown this once:")
        shown = format_html('<code class="lk-key">{}</code> <button type="button" class="lk-copy" data-copy="{}" '
                            'data-done="{}">{}</button>', key, key, gettext("Copied"), gettext("Copy"))  # fmt: skip
        self.message_user(request, format_html("{} {}", format_html(text, row.name), shown), messages.WARNING)

    def hidden_actions(self, request: HttpRequest, row: Any) -> tuple[str, ...]:
        return () if row.is_active else ("switch_off",)

    @admin.display(description=_("scope"), ordering="scope")
    def scope_shown(self, row: ApiKey) -> str:
        return row.scope

    @admin.display(description=_("begins with"), ordering="prefix")
    def prefix_shown(self, row: ApiKey) -> str:
        return f"{row.prefix}…"

    @admin.action(description=_("Switch off"), permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        count = queryset.filter(is_active=True).update(is_active=False)
        self.message_user(request, gettext("Switched off: %d.") % count)

    @admin.action(description=_("Issue a new key"), permissions=["change"])
    def issue_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        question = gettext("Replace these keys? Programs that use the old ones are refused from then on.")
        if page := self.confirm(request, queryset, question):
            return page
        for row in queryset:
            key = row.issue()
            row.save(update_fields=["prefix", "hash"])
            self._show(request, row, key)
        return None
