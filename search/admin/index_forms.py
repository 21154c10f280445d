"""The form of an index: what cannot work is an error here, not in the worker."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ModelForm, error_text
from catalog.admin.forms import JSONTextField
from catalog.errors import LookalikeError
from search.embedding import feature_model_prepare
from search.indexes import build_index
from search.models import SearchIndex
from search.ranking.rules import rule_modules, rules_from, usage


class SearchIndexForm(ModelForm):
    search_params = JSONTextField(
        label=capfirst(_("search parameters")),
        help_text=_('For example {"nprobe": 16} or {"efSearch": 64}. Empty: the engine’s own.'),
    )
    rules = JSONTextField(label=capfirst(_("business rules")))

    class Meta:
        model = SearchIndex
        exclude = ("active_build",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "rules" in self.fields:
            self.fields["rules"].help_text = rules_help()

    def _get_validation_exclusions(self) -> set[str]:
        # One default a collection: choosing this one takes it from the other when saved
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]

    def clean_rules(self) -> list[Any]:
        rules = self.cleaned_data["rules"] or []
        try:
            rules_from(rules)
        except LookalikeError as error:
            raise forms.ValidationError(error_text(error)) from error
        return rules

    def clean_search_params(self) -> dict[str, Any]:
        params = self.cleaned_data["search_params"] or {}
        if not isinstance(params, dict):
            raise forms.ValidationError(gettext('Parameters are names and numbers, for example {"nprobe": 16}.'))
        return params

    def clean_rebuild_share(self) -> float:
        share = float(self.cleaned_data["rebuild_share"])
        if not 0 < share <= 10:
            raise forms.ValidationError(gettext("Write a share above 0, for example 0.1 for a tenth."))
        return share

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        feature_model, factory = cleaned.get("feature_model"), cleaned.get("factory")
        if feature_model and factory and "search_params" in cleaned:
            try:
                dim = feature_model.dim or feature_model_prepare(feature_model).dim
                build_index(factory, dim, **cleaned["search_params"])
            except LookalikeError as error:
                self.add_error("factory", error_text(error))
        return cleaned


def rules_help() -> SafeString:
    """Every rule there is, with its parameters and what its file says of it."""
    said = {name: (module.__doc__ or "").strip().split("\n\n")[0] for name, module in rule_modules().items()}
    rows = ((usage(name), text.replace("``", "")) for name, text in said.items())
    listed = format_html_join("", "<li><code>{}</code> {}</li>", rows)
    example = '[{"rule": "in_stock_first"}, {"rule": "min_score", "score": 0.4}]'
    return format_html("{} <code>{}</code><ul>{}</ul>", _("In their order, for example"), example, listed)
