"""The form of an index: what cannot work is an error here, not in the worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ModelForm, error_text
from catalog.admin.forms import JSONTextField
from catalog.errors import LookalikeError
from search.admin.kinds import BY_SIZE, OWN, KindSelect, kinds, known_outlooks
from search.admin.rule_fields import RulesField, rules_help
from search.embedding import feature_model_prepare
from search.expansion import ALPHA, AVERAGE, HIGHEST_ALPHA, MOST_NEIGHBOURS, NONE, Expansion
from search.indexes import build_index
from search.models import Engine, SearchIndex

MOST_DEPTH = 16_384  # as deep as a search ever looks
MOST_DBA = 100
METHODS = [
    (NONE, _("none")),
    (AVERAGE, _("average: the best hits count as much as the query")),
    (ALPHA, _("alpha: the more a hit resembles the query, the more it counts")),
]


class SearchIndexForm(ModelForm):
    preset = forms.CharField(label=capfirst(_("kind of index")), required=False, widget=KindSelect)
    search_params = JSONTextField(
        label=capfirst(_("search parameters")),
        help_text=_('For example {"nprobe": 16} or {"efSearch": 64}. Empty: the engine’s own.'),
    )
    expansion_method = forms.ChoiceField(
        label=capfirst(_("query expansion")),
        choices=METHODS,
        required=False,
        help_text=_("Searches a second time with the query averaged with its best hits. Doubles the coarse search."),
    )
    expansion_k = forms.IntegerField(
        label=capfirst(_("neighbours")), min_value=1, max_value=MOST_NEIGHBOURS, initial=Expansion.k, required=False
    )
    expansion_alpha = forms.FloatField(
        label="Alpha", min_value=0, max_value=HIGHEST_ALPHA, initial=Expansion.alpha, required=False
    )
    fine_depth = forms.IntegerField(
        label=capfirst(_("fine depth")),
        min_value=1,
        max_value=MOST_DEPTH,
        initial=200,
        help_text=_("How many coarse candidates are scored with the original descriptors."),
    )
    rules_depth = forms.IntegerField(
        label=capfirst(_("rules depth")),
        min_value=1,
        max_value=MOST_DEPTH,
        initial=200,
        required=False,
        help_text=_("How many of the best candidates the business rules see."),
    )
    dba_neighbours = forms.IntegerField(
        label=capfirst(_("database-side augmentation")),
        min_value=0,
        max_value=MOST_DBA,
        initial=0,
        required=False,
        help_text=_("Each picture's descriptor is averaged with this many neighbours when the index is built. 0: off."),
    )
    rules = RulesField(label=capfirst(_("business rules")))

    class Meta:
        model = SearchIndex
        exclude = ("active_build", "expansion")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "preset" in self.fields:
            self.fields["preset"].widget.outlooks = known_outlooks(self.instance)  # type: ignore[attr-defined]
        if "rules" in self.fields:
            self.fields["rules"].widget.index = self.instance  # type: ignore[attr-defined]
            self.fields["rules"].help_text = rules_help()
        if self.instance.factory:
            self.initial["preset"] = OWN
        expansion = self.instance.expansion or {"method": NONE}
        for name in ("method", "k", "alpha"):
            if name in expansion:
                self.initial[f"expansion_{name}"] = expansion[name]

    def _get_validation_exclusions(self) -> set[str]:
        # One default a collection: choosing this one takes it from the other when saved
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]

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

    def clean_cut_off(self) -> float | None:
        cut_off: float | None = self.cleaned_data["cut_off"]
        if cut_off is not None and not 0 <= cut_off < 1:
            raise forms.ValidationError(gettext("Write a probability from 0 to below 1, for example 0.5."))
        return cut_off

    def clean_rules_depth(self) -> int:
        return int(self.cleaned_data["rules_depth"] or 200)

    def clean_dba_neighbours(self) -> int:
        return int(self.cleaned_data["dba_neighbours"] or 0)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        self._clean_kind(cleaned)
        self._clean_expansion(cleaned)
        if cleaned.get("feature_model") and cleaned.get("factory") and "search_params" in cleaned:
            self._try_out(cleaned)
        return cleaned

    def _clean_kind(self, cleaned: dict[str, Any]) -> None:
        """The kind that is ticked decides; a factory sent without one is a kind of its own."""
        kind, factory = cleaned.get("preset", ""), (cleaned.get("factory") or "").strip()
        if "preset" not in self.data:
            kind = OWN if factory else BY_SIZE
        if kind == OWN and not factory:
            self.add_error(
                "factory", gettext("Write a factory string, for example IVF512,SQ8, or choose another kind.")
            )
        elif kind not in {known.value for known in kinds()}:
            self.add_error("preset", gettext("There is no kind of index %s.") % kind)
        cleaned["factory"] = factory if kind == OWN else ""
        cleaned["preset"] = "" if kind == OWN else kind

    def _clean_expansion(self, cleaned: dict[str, Any]) -> None:
        method = cleaned.get("expansion_method") or NONE
        if method == NONE or {"expansion_k", "expansion_alpha"} & set(self.errors):
            self.instance.expansion = {}
            return
        k, alpha = cleaned.get("expansion_k"), cleaned.get("expansion_alpha")
        given = {"method": method, "k": Expansion.k if k is None else k}
        with self._errors_to("expansion_method"):
            found = Expansion.from_dict({**given, "alpha": Expansion.alpha if alpha is None else alpha})
            self.instance.expansion = found.to_dict()

    def _try_out(self, cleaned: dict[str, Any]) -> None:
        feature_model, engine = cleaned["feature_model"], cleaned.get("engine") or Engine.FAISS
        with self._errors_to("factory"):
            dim = feature_model.dim or feature_model_prepare(feature_model).dim
            build_index(cleaned["factory"], dim, **engine_option(engine), **cleaned["search_params"])

    @contextmanager
    def _errors_to(self, field: str) -> Iterator[None]:
        try:
            yield
        except LookalikeError as error:
            self.add_error(field, error_text(error))


def engine_option(engine: str) -> dict[str, Any]:
    return {} if engine == Engine.FAISS else {"engine": engine}
