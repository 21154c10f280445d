"""Attributes proposed for products that lack them: made from stored embeddings, decided by people, never twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection as Some
from collections.abc import Iterator, Sequence

import numpy as np
from django.db import transaction
from django.db.models import Exists, OuterRef

from catalog.errors import LookalikeError, gettext_noop
from catalog.facets import facets
from catalog.models import Collection, Image, ImageRole, Product
from search.extraction.attributes import CATEGORY, AttributeBranch, Prediction
from search.extraction.errors import ExtractionError
from search.looks import branch_of
from search.models import AttributeProposal, Embedding, FeatureModel
from search.models.training import ProposalState
from search.training.branch_labels import texts
from search.types import Descriptors
from search.vectors import from_bytes

LEAST_CONFIDENCE = 0.8
BLOCK = 200  # products at once
MOST_PICTURES = 20  # of a product that are looked at


class NoBranch(LookalikeError):
    code = "no_branch"
    text = gettext_noop("The feature model %(model)s reads no attributes.")
    cure = gettext_noop("Make one that does with manage.py fit_branch, or choose another.")


def proposals_make(collection: Collection, feature_model: FeatureModel, least: float = LEAST_CONFIDENCE) -> int:
    """Propose what the pictures clearly show and the product does not state; how many wait to be decided after that.

    An open proposal of the same attribute gives way to a new one; what was dismissed stays dismissed. Products without
    an embedding are left out. Raises NoBranch.
    """
    branch = branch_of(feature_model)
    if branch is None:
        raise NoBranch(model=feature_model)
    proposals_settle(collection)
    for products in _lacking(collection, [head.attribute for head in branch.heads]):
        pictures = descriptors_of(feature_model, branch, products)
        with transaction.atomic():
            for pk, names in products.items():
                if pk in pictures:
                    _propose(pk, names, branch.predict(pictures[pk]), feature_model, least)
    return AttributeProposal.objects.filter(product__collection=collection, state=ProposalState.OPEN).count()


def _lacking(collection: Collection, names: Sequence[str]) -> Iterator[dict[int, list[str]]]:
    """Products with gallery pictures, and the names that each of them does not state, by blocks."""
    pictured = Image.objects.filter(product=OuterRef("pk"), role=ImageRole.GALLERY)
    rows = Product.objects.filter(Exists(pictured), collection=collection).order_by("pk")
    block: dict[int, list[str]] = {}
    for product in rows.only("category", "attributes").iterator(chunk_size=2000):
        if lacks := [name for name in names if lacks_it(product, name)]:
            block[product.pk] = lacks
        if len(block) == BLOCK:
            yield block
            block = {}
    if block:
        yield block


def lacks_it(product: Product, attribute: str) -> bool:
    """Whether a product states nothing of an attribute, or has no category."""
    if attribute == CATEGORY:
        return not product.category
    given = product.attributes.get(attribute) if isinstance(product.attributes, dict) else None
    return texts(given) == ()


def descriptors_of(feature_model: FeatureModel, branch: AttributeBranch, products: Some[int]) -> dict[int, Descriptors]:
    """By product, the descriptors (n, d) of its gallery pictures as the branch's heads take them.

    They are read from the embeddings of the model without the branch, else from its own.
    """
    base = feature_model.projected_from
    found = _stored(base, products, base.dim) if base is not None and base.dim == branch.width else {}
    missing = [pk for pk in products if pk not in found]
    own = _stored(feature_model, missing, branch.dim) if missing else {}
    return {**found, **{pk: branch.looks(x) for pk, x in own.items()}}


def _stored(feature_model: FeatureModel, products: Some[int], dim: int) -> dict[int, Descriptors]:
    rows = Embedding.objects.filter(
        feature_model=feature_model,
        vector__isnull=False,
        image__product__in=products,
        image__role=ImageRole.GALLERY,
    )
    found: dict[int, list[Descriptors]] = defaultdict(list)
    for product, vector in rows.order_by("image_id").values_list("image__product_id", "vector"):
        if product is not None and vector is not None and len(found[product]) < MOST_PICTURES:
            found[product].append(from_bytes(vector, dim))
    return {product: np.stack(vectors) for product, vectors in found.items()}


def _propose(
    product: int, names: Sequence[str], told: Sequence[Prediction], feature_model: FeatureModel, least: float
) -> None:
    there = {(row.attribute, row.value): row for row in AttributeProposal.objects.filter(product=product)}
    for prediction in told:
        attribute, value = prediction.attribute, prediction.value
        if attribute not in names:
            continue
        for row in there.values():
            if row.attribute == attribute and row.value != value and row.state == ProposalState.OPEN:
                row.delete()  # of an earlier model
        sure = prediction.is_clear and prediction.confidence >= least
        known = there.get((attribute, value))
        if known is None and sure:
            row = AttributeProposal(product_id=product, attribute=attribute, value=value)
            _tell(row, prediction, feature_model)
        elif known is not None and known.state == ProposalState.OPEN:
            if sure:
                _tell(known, prediction, feature_model)
            else:
                known.delete()
        elif known is not None and known.state == ProposalState.ACCEPTED and sure:
            _ask_again(known, prediction, feature_model)


def _tell(row: AttributeProposal, prediction: Prediction, feature_model: FeatureModel) -> None:
    row.confidence, row.feature_model = prediction.confidence, feature_model
    row.save()


def _ask_again(row: AttributeProposal, prediction: Prediction, feature_model: FeatureModel) -> None:
    """It was accepted, and somebody took the value off the product since."""
    row.state, row.decided, row.decided_by = ProposalState.OPEN, None, None
    _tell(row, prediction, feature_model)


def proposals_settle(collection: Collection | None = None) -> int:
    """Delete open proposals whose product states the attribute by now; how many.

    A saved product does that for itself; an import writes many at once and tells nobody.
    """
    rows = AttributeProposal.objects.filter(state=ProposalState.OPEN).select_related("product")
    if collection is not None:
        rows = rows.filter(product__collection=collection)
    wide = rows.only("attribute", "product__category", "product__attributes").order_by("pk")
    stated = [row.pk for row in wide.iterator(chunk_size=2000) if not lacks_it(row.product, row.attribute)]
    for start in range(0, len(stated), 500):  # SQLite takes so many values in one question
        AttributeProposal.objects.filter(pk__in=stated[start : start + 500], state=ProposalState.OPEN).delete()
    return len(stated)


def product_settle(product: Product) -> None:
    """The same for one product that was just saved."""
    rows = AttributeProposal.objects.filter(product=product, state=ProposalState.OPEN)
    stated = [row.pk for row in rows if not lacks_it(product, row.attribute)]
    if stated:
        rows.filter(pk__in=stated).delete()


def alternatives(proposal: AttributeProposal) -> list[tuple[str, float | None]]:
    """All values that may be chosen for the attribute, the likeliest first, each with its probability.

    Where the model, its file or the embeddings are gone: what other products state, most frequent first, with None.
    """
    try:
        branch = branch_of(proposal.feature_model) if proposal.feature_model else None
    except ExtractionError:
        branch = None
    head = next((head for head in branch.heads if head.attribute == proposal.attribute), None) if branch else None
    if branch is not None and head is not None and proposal.feature_model is not None:
        found = descriptors_of(proposal.feature_model, branch, [proposal.product_id])
        if proposal.product_id in found:
            p = head.probabilities(found[proposal.product_id]).mean(axis=0)
            pairs = sorted(zip(head.values, p.tolist(), strict=True), key=lambda pair: -pair[1])
            return [(value, share) for value, share in pairs if value]
    known = facets(proposal.product.collection)
    pairs = known.categories if proposal.attribute == CATEGORY else known.attributes.get(proposal.attribute, [])
    return [(value, None) for value, _count in pairs]
