"""The form of a feature model: opens the network before the row is saved."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.db import transaction
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ModelForm, error_text
from catalog.admin.forms import JSONTextField
from catalog.errors import LookalikeError
from search.embedding import feature_model_prepare
from search.extraction.backbones import names
from search.extraction.views import LARGEST_SCALE, MOST_SCALES, SMALLEST_SCALE
from search.models import FeatureModel


class ScalesField(forms.CharField):
    """``1, 0.7071`` as text, a list of numbers as a value; empty: an empty list."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=100, **options)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(f"{scale:g}" for scale in value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        text = str(super().clean(value) or "").strip().removeprefix("[").removesuffix("]")
        try:
            scales = json.loads(f"[{text}]")
        except ValueError:
            scales = None
        if not isinstance(scales, list) or not all(type(scale) in (int, float) for scale in scales):
            raise forms.ValidationError(gettext("Write numbers with commas between them, for example 1, 0.7071."))
        if len(scales) > MOST_SCALES:
            raise forms.ValidationError(gettext("Give at most %d scales.") % MOST_SCALES)
        if not all(SMALLEST_SCALE <= scale <= LARGEST_SCALE for scale in scales):
            limits = {"least": SMALLEST_SCALE, "most": f"{LARGEST_SCALE:g}"}
            raise forms.ValidationError(gettext("Each scale must lie between %(least)s and %(most)s.") % limits)
        return scales

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.prepare_value(initial), data))


class FeatureModelForm(ModelForm):
    """Opens the network before it is saved: what cannot be opened is a form error."""

    backbone = forms.ChoiceField(
        label=capfirst(_("backbone")),
        help_text=_(
            "lookalike comes with the site; color_gradient needs no weights; onnx takes a file; "
            "the others are torchvision networks."
        ),
    )
    power = forms.FloatField(
        label=capfirst(_("power")),
        required=False,
        help_text=_("Above 0, at most 1. 0.5 takes square roots, so that the loudest channels do not decide alone."),
    )
    scales = ScalesField(
        label=capfirst(_("scales")),
        help_text=_(
            "The picture is described at each of these sizes and the descriptors are averaged, for example 1, 0.7071. "
            "Each costs a pass through the network. Empty: at its own size."
        ),
    )
    preprocessing = JSONTextField(
        label=capfirst(_("preprocessing")),
        help_text=_("Overrides of the backbone's own: resize, crop, mean, std (of pixels 0 to 255)."),
    )

    class Meta:
        model = FeatureModel
        fields = "__all__"
        help_texts = {
            "layer": _(
                "For a torchvision network: avgpool, layer4, or a part of it such as layer3 or features.5. "
                "For an ONNX file: the name of an output."
            ),
            "flip": _("The mirrored picture is described too. It costs a second pass through the network."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "backbone" in self.fields:
            known = names()
            kept = [] if self.instance.backbone in ("", *known) else [self.instance.backbone]
            self.fields["backbone"].choices = [(name, name) for name in [*known, *kept]]  # type: ignore[attr-defined]

    def clean_preprocessing(self) -> dict[str, Any]:
        given = self.cleaned_data["preprocessing"] or {}
        if not isinstance(given, dict):
            raise forms.ValidationError(gettext('Write names and values, for example {"crop": 224}.'))
        return given

    def clean_gem_p(self) -> float:
        return self._above_zero("gem_p")

    def clean_power(self) -> float:
        if self.cleaned_data["power"] is None:
            return 1.0
        if (given := self._above_zero("power")) > 1:
            raise forms.ValidationError(gettext("It must not be above 1."))
        return given

    def _above_zero(self, name: str) -> float:
        given = float(self.cleaned_data[name])
        if not given > 0:
            raise forms.ValidationError(gettext("It must be above 0."))
        return given

    def _get_validation_exclusions(self) -> set[str]:
        # One default only: choosing this one takes it from the other when saved
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors or "backbone" not in self.fields:
            return
        new, default = self.instance.pk is None, self.instance.is_default
        try:
            with transaction.atomic():
                if new:  # the service writes what it finds to the row
                    self.instance.is_default = False
                    self.instance.save()
                feature_model_prepare(self.instance)
        except LookalikeError as error:
            if new:
                self.instance.pk, self.instance._state.adding = None, True
            self.add_error("weights" if self.cleaned_data.get("weights") else "backbone", error_text(error))
        self.instance.is_default = default
