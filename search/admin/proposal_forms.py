"""Which proposed attributes to accept at once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.models import Collection
from search.branch_report import attribute_name
from search.models import AttributeProposal
from search.models.training import ProposalState

MOST_ATTRIBUTES = 100  # in the choice
CONFIDENT = 0.95


class AboveForm(forms.Form):
    """Which proposals to accept at once."""

    collection = forms.ModelChoiceField(Collection.objects.all(), label=_("Collection"))
    attribute = forms.ChoiceField(label=_("Attribute"), required=False)
    least = forms.FloatField(label=_("Confidence of at least"), min_value=0, max_value=1, initial=CONFIDENT)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = AttributeProposal.objects.filter(state=ProposalState.OPEN).order_by("attribute")
        names = rows.values_list("attribute", flat=True).distinct()[:MOST_ATTRIBUTES]
        field: Any = self.fields["attribute"]
        field.choices = [("", gettext("all")), *((name, attribute_name(name)) for name in names)]
        self.fields["least"].widget.attrs["step"] = "0.01"

    def rows(self) -> QuerySet[AttributeProposal]:
        given = self.cleaned_data
        rows = AttributeProposal.objects.filter(
            state=ProposalState.OPEN, product__collection=given["collection"], confidence__gte=given["least"]
        )
        return rows.filter(attribute=given["attribute"]) if given["attribute"] else rows
