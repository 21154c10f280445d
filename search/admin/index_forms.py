"""The form of an index: what cannot work is an error here, not in the worker."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ModelForm, error_text
from catalog.admin.forms import JSONTextField
from catalog.errors import LookalikeError
from search.admin.kinds import BY_SIZE, OWN, Kind, KindSelect, kinds, known_outlooks, picture_count, try_out
from search.admin.rule_fields import RulesField, rules_help
from search.embedding import feature_model_prepare
from search.expansion import ALPHA, AVERAGE, HIGHEST_ALPHA, MOST_NEIGHBOURS, NONE, Expansion
from search.indexes import BadParameter
from search.indexes.milvus_server import MilvusUnset
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
            self.fields["preset"].widget.outlooks = known_outlooks(self.instance)
        if "rules" in self.fields:
            self.fields["rules"].widget.index = self.instance
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
        kind = self._clean_kind(cleaned)
        self._clean_expansion(cleaned)
        if cleaned.get("engine") == Engine.MILVUS and not settings.MILVUS_URI:
            self.add_error("engine", error_text(MilvusUnset()))
        elif kind and {"collection", "feature_model", "engine", "search_params"} <= set(cleaned):
            self._try_out(kind, cleaned)
        return cleaned

    def _clean_kind(self, cleaned: dict[str, Any]) -> Kind | None:
        """The kind that is ticked decides; a factory sent without one is a kind of its own."""
        value, factory = cleaned.get("preset", ""), (cleaned.get("factory") or "").strip()
        if "preset" not in self.data:
            value = OWN if factory else BY_SIZE
        kind = kinds().get(value)
        if kind is None:
            self.add_error("preset", gettext("There is no kind of index %s.") % value)
        elif value == OWN and not factory:
            self.add_error(
                "factory", gettext("Write a factory string, for example IVF512,SQ8, or choose another kind.")
            )
            kind = None
        cleaned["factory"] = factory if value == OWN else ""
        cleaned["preset"] = "" if value == OWN else value
        return kind

    def _try_out(self, kind: Kind, cleaned: dict[str, Any]) -> None:
        """The index as it would be made for the collection today, with its search parameters."""
        feature_model, engine = cleaned["feature_model"], cleaned["engine"]
        try:
            dim = feature_model.dim or feature_model_prepare(feature_model).dim
            count = picture_count(cleaned["collection"])
            factory = kind.factory(engine, count, dim) or cleaned["factory"]
            try_out(engine, factory, dim, cleaned["search_params"])
        except BadParameter as error:
            self.add_error("search_params", error_text(error))
        except LookalikeError as error:
            self.add_error("factory" if kind.value == OWN else "preset", error_text(error))

    def _clean_expansion(self, cleaned: dict[str, Any]) -> None:
        method = cleaned.get("expansion_method") or NONE
        if method == NONE or {"expansion_k", "expansion_alpha"} & set(self.errors):
            self.instance.expansion = {}
            return
        k, alpha = cleaned.get("expansion_k"), cleaned.get("expansion_alpha")
        given = {"method": method, "k": Expansion.k if k is None else k}
        try:
            found = Expansion.from_dict({**given, "alpha": Expansion.alpha if alpha is None else alpha})
            self.instance.expansion = found.to_dict()
        except LookalikeError as error:
            self.add_error("expansion_method", error_text(error))
