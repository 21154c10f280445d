"""Business rules in a form: an ordered list of typed fields with JavaScript (``admin_rules.js``), JSON without."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import admin_url, error_text
from catalog.admin.forms import JSONTextField
from catalog.errors import LookalikeError
from search.models import SearchIndex
from search.ranking.rules import BadRule, Parameter, parameters_of, rule_modules, rules_from, says_of, title_of, usage

WORDS = {
    "choose": _("Choose a rule…"),
    "add": _("Add"),
    "up": _("move up"),
    "down": _("move down"),
    "remove": _("remove"),
    "drag": _("drag to another place"),
    "raw": _("edit as JSON"),
    "list": _("edit as a list"),
    "unreadable": _("The JSON cannot be read as a list of rules: correct it here."),
    "unknown": _("There is no rule of this name."),
    "missing": _("This rule needs it."),
    "number": _("Write a number."),
    "oneEach": _("one a line"),
    "namesEach": _("one name a line, for example colour: red, blue"),
    "none": _("No rules: hits stay in the order of their scores."),
    "place": _("now number"),
}


def catalogue() -> list[dict[str, Any]]:
    """Every rule for the editor: name, title, what it does, and its parameters; in the reader's language."""
    rules = [
        {
            "name": name,
            "title": gettext(title_of(name)),
            "says": gettext(says_of(name)),
            "parameters": [_described(parameter) for parameter in parameters_of(name)],
        }
        for name in rule_modules()
    ]
    return sorted(rules, key=lambda rule: str(rule["title"]))


def _described(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "kind": parameter.kind,
        "default": parameter.default,
        "required": parameter.required,
        "says": gettext(parameter.says) if parameter.says else "",
        "choices": list(parameter.choices),
    }


class RulesWidget(forms.Textarea):
    """The JSON, what the editor has to know, and the place to try rules where there is an index to search."""

    index: SearchIndex | None = None

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        shown: dict[str, Any] = {"textarea": super().render(name, value, attrs, renderer)}
        if self.index is not None and self.index.pk:
            for page in ("preview", "samples"):
                shown[f"{page}_url"] = admin_url(self.index, page, self.index.pk)
        return render_to_string("admin/lookalike/rules_field.html", shown)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        words = {key: str(word) for key, word in WORDS.items()}
        told = {
            "class": "lk-json lk-rules-json vLargeTextField",
            "rows": 6,
            "data-rules": json.dumps(catalogue(), ensure_ascii=False, default=str),
            "data-words": json.dumps(words, ensure_ascii=False),
        }
        return super().get_context(name, value, {**(attrs or {}), **told})


class RulesField(JSONTextField):
    """Cleans to a list that ``rules_from`` takes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=RulesWidget, **options)

    def clean(self, value: Any) -> list[Any]:
        rules = super().clean(value) or []
        try:
            rules_from(rules)
        except LookalikeError as error:
            raise forms.ValidationError(rule_error_text(error)) from error
        return list(rules)


def rule_error_text(error: LookalikeError) -> str:
    """Cause and cure; of a rule that there is, without the list of all others."""
    rule = str(error.params.get("rule"))
    if not isinstance(error, BadRule) or rule not in rule_modules():
        return error_text(error)
    return gettext(error.text) % {**error.params, "rule": f"“{gettext(title_of(rule))}”"}


def rules_help() -> SafeString:
    """For those who write JSON: every rule with its parameters. The editor hides it."""
    rows = ((usage(name), gettext(says_of(name))) for name in rule_modules())
    listed = format_html_join("", "<li><code>{}</code> {}</li>", rows)
    example = '[{"rule": "in_stock_first"}, {"rule": "min_score", "score": 0.4}]'
    text = '<div class="lk-rules-help">{} <code>{}</code><ul>{}</ul></div>'
    return format_html(text, gettext("In their order, for example"), example, listed)
