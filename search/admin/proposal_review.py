"""What the page of a proposed attribute shows, and what its buttons do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext

from catalog.admin.base import thumbnail_url
from catalog.models import Image, ImageRole
from search.branch_report import attribute_name
from search.models import AttributeProposal
from search.models.training import ProposalState
from search.proposal_decisions import BadChoice, proposal_accept, proposal_dismiss, proposal_reopen
from search.proposals import alternatives

PICTURES = 12
LEAST_SHOWN = 0.005
NUMBERED = 9  # other values with a key of their own


@dataclass(frozen=True)
class Other:
    """Another value; ``number``: the key that chooses it; ``percent``: how likely, None where that is not known."""

    number: int
    value: str
    percent: str | None


@dataclass(frozen=True)
class Review:
    proposal: AttributeProposal
    pictures: list[tuple[Image, str]]
    others: list[Other]
    rest: list[str]
    following: AttributeProposal | None
    previous: AttributeProposal | None
    open_count: int

    @property
    def is_open(self) -> bool:
        return self.proposal.state == ProposalState.OPEN

    @property
    def may_reopen(self) -> bool:
        return self.proposal.state == ProposalState.DISMISSED

    @property
    def attribute(self) -> str:
        return attribute_name(self.proposal.attribute)

    @property
    def percent(self) -> str:
        return sure(self.proposal.confidence)


def sure(confidence: float) -> str:
    """In per cent; nothing that was learnt is certain."""
    return f"{min(99.0, 100 * confidence):.0f} %"


def review(proposal: AttributeProposal) -> Review:
    images = Image.objects.filter(product=proposal.product_id, role=ImageRole.GALLERY).order_by("pk")[:PICTURES]
    found = [pair for pair in alternatives(proposal) if pair[0] != proposal.value]
    others = [
        Other(number, value, None if share is None or share < LEAST_SHOWN else sure(share))
        for number, (value, share) in enumerate(found[:NUMBERED], start=1)
    ]
    rows = waiting(proposal.product.collection_id).exclude(pk=proposal.pk)
    return Review(
        proposal,
        [(image, thumbnail_url(image)) for image in images],
        others,
        sorted(value for value, _ in found[NUMBERED:]),
        next_proposal(proposal),
        rows.filter(_before(proposal)).order_by("confidence", "-pk").first(),
        rows.count() + (proposal.state == ProposalState.OPEN),
    )


def waiting(collection_id: int) -> Any:
    """Open proposals of a collection, the surest first."""
    rows = AttributeProposal.objects.filter(product__collection=collection_id, state=ProposalState.OPEN)
    return rows.select_related("product").order_by("-confidence", "pk")


def next_proposal(proposal: AttributeProposal) -> AttributeProposal | None:
    """The next open one of the collection; from the last one on to the first."""
    rows = waiting(proposal.product.collection_id).exclude(pk=proposal.pk)
    found: AttributeProposal | None = rows.exclude(_before(proposal)).first() or rows.first()
    return found


def _before(proposal: AttributeProposal) -> Q:
    same = Q(confidence=proposal.confidence, pk__lt=proposal.pk)
    return Q(confidence__gt=proposal.confidence) | same


def decide(proposal: AttributeProposal, given: Mapping[str, str], user: Any) -> str:
    """Do what a button says; what to tell about it. Raises the errors of search.proposal_decisions."""
    decision = given.get("decision", "")
    if decision == "reopen":
        proposal_reopen(proposal)
        return gettext("Decide again.")
    if decision == "dismiss":
        proposal_dismiss(proposal, user)
        return gettext("Dismissed. It is not proposed again.")
    if decision == "choose" and not given.get("other"):
        raise BadChoice
    other = given.get("other", "") if decision == "choose" else given.get("value", "")
    row = proposal_accept(proposal, user, other)
    values = {"product": row.product, "attribute": attribute_name(row.attribute), "value": row.value}
    return gettext("%(product)s: %(attribute)s is %(value)s.") % values
