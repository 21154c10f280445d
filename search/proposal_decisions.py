"""What people decide on a proposed attribute: it is written to the product, another value is, or it never returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Product
from catalog.products import BadProduct
from search.extraction.attributes import CATEGORY
from search.models import AttributeProposal
from search.models.training import ProposalState
from search.proposals import lacks_it
from search.training.branch_labels import LONGEST

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LOOKED_AT = 50  # products that show how an attribute's values are written


class ProposalDecided(LookalikeError):
    code = "proposal_decided"
    text = gettext_noop("Somebody decided on this proposal already: %(state)s.")
    status = 409


class StatedMeanwhile(LookalikeError):
    code = "stated_meanwhile"
    text = gettext_noop("The product %(product)s states %(attribute)s by now, so there is nothing to propose.")
    status = 409


class BadChoice(LookalikeError):
    code = "bad_choice"
    text = gettext_noop("That is no value that could be chosen.")
    cure = gettext_noop("Choose one from the list.")


class NotDismissed(LookalikeError):
    code = "not_dismissed"
    text = gettext_noop("Only a dismissed proposal can be decided on again; this one is: %(state)s.")
    status = 409


def proposal_accept(proposal: AttributeProposal, user: User | None = None, value: str = "") -> AttributeProposal:
    """Write the proposed value to the product; ``value``: another one, then the proposed one counts as dismissed.

    Returns the row that tells what was written. Raises BadChoice, ProposalDecided, StatedMeanwhile,
    BadProduct.
    """
    if "\0" in value or len(value) > LONGEST:
        raise BadChoice
    with transaction.atomic():
        locked = _locked(proposal)
        product = Product.objects.select_for_update().get(pk=locked.product_id)
        if lacks := lacks_it(product, locked.attribute):
            locked = _accepted(locked, product, value, user)
        else:
            locked.delete()
    if not lacks:
        raise StatedMeanwhile(product=product, attribute=locked.attribute)
    return locked


def _accepted(proposal: AttributeProposal, product: Product, value: str, user: User | None) -> AttributeProposal:
    if value and value != proposal.value:
        _close(proposal, ProposalState.DISMISSED, user)
        proposal = _other(proposal, value)
    _close(proposal, ProposalState.ACCEPTED, user)  # before the product is saved, which drops what is open
    _write(product, proposal.attribute, proposal.value)
    return proposal


def proposal_dismiss(proposal: AttributeProposal, user: User | None = None) -> AttributeProposal:
    """It is wrong; never proposed again. Raises ProposalDecided."""
    with transaction.atomic():
        return _close(_locked(proposal), ProposalState.DISMISSED, user)


def proposal_reopen(proposal: AttributeProposal) -> AttributeProposal:
    """Take back that it was dismissed. Raises NotDismissed."""
    with transaction.atomic():
        locked = AttributeProposal.objects.select_for_update().get(pk=proposal.pk)
        if locked.state != ProposalState.DISMISSED:
            raise NotDismissed(state=locked.get_state_display())
        locked.state, locked.decided, locked.decided_by = ProposalState.OPEN, None, None
        locked.save(update_fields=["state", "decided", "decided_by"])
        return locked


def proposals_accept(rows: QuerySet[AttributeProposal], user: User | None = None) -> tuple[int, int]:
    """Accept all that are open, the most confident first; (how many were, how many could not be)."""
    done = refused = 0
    for proposal in rows.filter(state=ProposalState.OPEN).order_by("-confidence", "pk"):
        try:
            proposal_accept(proposal, user)
            done += 1
        except (LookalikeError, AttributeProposal.DoesNotExist):
            refused += 1
    return done, refused


def _locked(proposal: AttributeProposal) -> AttributeProposal:
    locked = AttributeProposal.objects.select_for_update().get(pk=proposal.pk)
    if locked.state != ProposalState.OPEN:
        raise ProposalDecided(state=locked.get_state_display())
    return locked


def _close(row: AttributeProposal, state: ProposalState, user: User | None) -> AttributeProposal:
    row.state, row.decided, row.decided_by = state, timezone.now(), user
    row.save()
    return row


def _other(proposal: AttributeProposal, value: str) -> AttributeProposal:
    """The row of another value of the same attribute. A person's choice: how confident the model was does not count."""
    key = {"product_id": proposal.product_id, "attribute": proposal.attribute, "value": value}
    found = AttributeProposal.objects.filter(**key).first()
    return found or AttributeProposal(**key, confidence=0.0, feature_model=proposal.feature_model)


def _write(product: Product, attribute: str, value: str) -> None:
    if attribute == CATEGORY:
        product.category = value
    else:
        own = product.attributes if isinstance(product.attributes, dict) else {}
        product.attributes = {**own, attribute: as_stated(product, attribute, value)}
    try:
        product.clean_fields(exclude=["collection"])
    except ValidationError as error:
        raise BadProduct(problem=" ".join(error.messages)) from error
    product.save(update_fields=["category", "attributes", "updated"])


def as_stated(product: Product, attribute: str, value: str) -> Any:
    """The value as other products of the collection write theirs: a list of one, true or false, or the text itself."""
    rows = Product.objects.filter(collection=product.collection_id, attributes__has_key=attribute).exclude(
        pk=product.pk
    )
    written = [row[attribute] for row in rows.order_by("pk").values_list("attributes", flat=True)[:LOOKED_AT]]
    if value in ("true", "false") and any(isinstance(one, bool) for one in written):
        return value == "true"
    lists = sum(isinstance(one, list) for one in written)
    return [value] if written and lists > len(written) / 2 else value
