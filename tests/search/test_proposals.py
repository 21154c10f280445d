"""Proposed attributes: made from embeddings, never twice, gone when the product states it, decided once."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Product
from catalog.services import product_upsert
from search.models import AttributeProposal, Embedding
from search.proposal_decisions import (
    BadChoice,
    NotDismissed,
    ProposalDecided,
    StatedMeanwhile,
    as_stated,
    proposal_accept,
    proposal_dismiss,
    proposal_reopen,
    proposals_accept,
)
from search.proposals import NoBranch, alternatives, proposals_make, proposals_settle
from search.vectors import from_bytes
from tests import factories
from tests.search.branches import BranchSite, branch_site, embed

pytestmark = pytest.mark.django_db
NAME = "it's a colour, or __so"


@pytest.fixture
def site() -> BranchSite:
    return branch_site()


def first(site: BranchSite, **stated: str) -> Product:
    """A red mug, what it states exchanged."""
    product = Product.objects.get(collection=site.collection, sku="P0000")
    Product.objects.filter(pk=product.pk).update(**{"category": "mugs", "attributes": {"colour": "red"}, **stated})
    product.refresh_from_db()
    return product


def test_a_complete_catalog_gets_none(site) -> None:
    assert proposals_make(site.collection, site.model) == 0


def test_what_a_product_lacks_is_proposed_with_its_confidence(site) -> None:
    product = first(site, attributes={})
    other = Product.objects.get(collection=site.collection, sku="P0004")
    Product.objects.filter(pk=other.pk).update(category="", attributes={"colour": ""})
    assert proposals_make(site.collection, site.model) == 3
    found = {(row.product_id, row.attribute): row for row in AttributeProposal.objects.all()}
    assert found[product.pk, "colour"].value == "red"
    assert found[other.pk, "category"].value == "bowls"
    assert found[other.pk, "colour"].value == "blue"
    assert all(0.8 <= row.confidence <= 1 and row.feature_model == site.model for row in found.values())


def test_doubtful_ones_are_kept_back(site) -> None:
    first(site, attributes={})
    assert proposals_make(site.collection, site.model, least=0.999999) == 0


def test_a_model_without_heads_proposes_nothing(site) -> None:
    with pytest.raises(NoBranch):
        proposals_make(site.collection, site.base)


def test_a_product_without_an_embedding_is_left_out(site) -> None:
    product = first(site, attributes={})
    Embedding.objects.filter(image__product=product).delete()
    assert proposals_make(site.collection, site.model) == 0


def test_the_models_own_embeddings_do_as_well(site) -> None:
    product = first(site, attributes={})
    row = Embedding.objects.get(image__product=product)
    embed([row.image], site.model, site.branch.apply(from_bytes(row.vector, site.base.dim)[None]))
    row.delete()
    assert proposals_make(site.collection, site.model) == 1


def test_it_runs_twice_without_harm_and_brings_confidences_up_to_date(site) -> None:
    first(site, attributes={})
    proposals_make(site.collection, site.model)
    AttributeProposal.objects.update(confidence=0.1)
    assert proposals_make(site.collection, site.model) == 1
    assert AttributeProposal.objects.get().confidence > 0.8


def test_an_open_one_gives_way_to_another_value(site) -> None:
    product = first(site, attributes={})
    AttributeProposal.objects.create(product=product, attribute="colour", value="green", confidence=0.9)
    proposals_make(site.collection, site.model)
    assert AttributeProposal.objects.get().value == "red"


def test_a_dismissed_one_never_returns(site) -> None:
    first(site, attributes={})
    proposals_make(site.collection, site.model)
    proposal_dismiss(AttributeProposal.objects.get())
    assert proposals_make(site.collection, site.model) == 0
    assert AttributeProposal.objects.get().state == "dismissed"


def test_it_goes_when_the_product_is_given_the_attribute(site) -> None:
    product = first(site, attributes={})
    proposals_make(site.collection, site.model)
    product_upsert(site.collection, product.sku, title="still without a colour")
    assert AttributeProposal.objects.count() == 1
    product_upsert(site.collection, product.sku, attributes={"colour": "crimson"})
    assert not AttributeProposal.objects.exists()


def test_an_import_tells_nobody_and_is_noticed_all_the_same(site) -> None:
    product = first(site, attributes={})
    proposals_make(site.collection, site.model)
    proposal_dismiss(AttributeProposal.objects.create(product=product, attribute="size", value="L", confidence=0.9))
    Product.objects.filter(pk=product.pk).update(attributes={"colour": "red", "size": "M"})
    assert proposals_settle(site.collection) == 1
    assert AttributeProposal.objects.get().attribute == "size"  # a dismissed one is what keeps it from returning


def test_accepting_writes_it_once_and_tells_by_whom(site) -> None:
    product = first(site, category="", attributes={})
    proposals_make(site.collection, site.model)
    user = factories.UserFactory()
    for proposal in AttributeProposal.objects.all():
        proposal_accept(proposal, user)
    product.refresh_from_db()
    assert (product.category, product.attributes) == ("mugs", {"colour": "red"})
    assert {(row.state, row.decided_by, row.decided is not None) for row in AttributeProposal.objects.all()} == {
        ("accepted", user, True)
    }
    with pytest.raises(ProposalDecided):
        proposal_accept(AttributeProposal.objects.first())


def test_accepting_keeps_the_products_other_attributes(site) -> None:
    product = first(site, attributes={"watts": 4})
    proposals_make(site.collection, site.model)
    before = product.updated
    proposal_accept(AttributeProposal.objects.get())
    product.refresh_from_db()
    assert product.attributes == {"watts": 4, "colour": "red"}
    assert product.updated > before  # what follows changed products sees it


def test_another_value_counts_the_proposed_one_as_dismissed(site) -> None:
    first(site, attributes={})
    proposals_make(site.collection, site.model)
    row = proposal_accept(AttributeProposal.objects.get(), None, "green")
    assert (row.value, row.state) == ("green", "accepted")
    assert AttributeProposal.objects.get(value="red").state == "dismissed"
    assert row.product.attributes == {"colour": "green"}


@pytest.mark.parametrize("value", ["a\0b", "x" * 201])
def test_what_no_column_takes_is_refused(site, value) -> None:
    first(site, attributes={})
    proposals_make(site.collection, site.model)
    with pytest.raises(BadChoice):
        proposal_accept(AttributeProposal.objects.get(), None, value)
    assert AttributeProposal.objects.get().state == "open"


def test_a_value_stated_meanwhile_is_not_overwritten(site) -> None:
    product = first(site, attributes={})
    proposals_make(site.collection, site.model)
    Product.objects.filter(pk=product.pk).update(attributes={"colour": "black"})
    with pytest.raises(StatedMeanwhile):
        proposal_accept(AttributeProposal.objects.get())
    product.refresh_from_db()
    assert product.attributes == {"colour": "black"}
    assert not AttributeProposal.objects.exists()


def test_only_a_dismissed_one_is_decided_on_again(site) -> None:
    first(site, attributes={})
    proposals_make(site.collection, site.model)
    proposal = proposal_accept(AttributeProposal.objects.get())
    with pytest.raises(NotDismissed):
        proposal_reopen(proposal)


def test_one_that_was_accepted_and_taken_off_again_is_asked_again(site) -> None:
    product = first(site, attributes={})
    proposals_make(site.collection, site.model)
    proposal_accept(AttributeProposal.objects.get())
    Product.objects.filter(pk=product.pk).update(attributes={})
    assert proposals_make(site.collection, site.model) == 1


def test_many_at_once(site) -> None:
    products = Product.objects.filter(collection=site.collection, sku__in=["P0000", "P0003", "P0006"])
    products.update(attributes={})
    proposals_make(site.collection, site.model)
    Product.objects.filter(sku="P0003").update(attributes={"colour": "white"})
    assert proposals_accept(AttributeProposal.objects.all()) == (2, 1)
    assert {product.attributes["colour"] for product in products} == {"red", "white", "green"}


def test_alternatives_come_from_the_model_else_from_the_catalog(site) -> None:
    product = first(site, attributes={})
    proposals_make(site.collection, site.model)
    proposal = AttributeProposal.objects.select_related("product__collection", "feature_model").get()
    found = alternatives(proposal)
    assert found[0][0] == "red"
    assert sum(share for _, share in found) == pytest.approx(1, abs=0.02)
    Embedding.objects.filter(image__product=product).delete()
    assert {(value, share) for value, share in alternatives(proposal)} == {
        ("red", None),
        ("blue", None),
        ("green", None),
    }


@pytest.mark.parametrize(("written", "value", "stated"), [
    (["red"], "blue", ["blue"]),
    ("red", "blue", "blue"),
    (True, "false", False),
    ("true", "false", "false"),
])  # fmt: skip
def test_a_value_is_written_as_others_write_theirs(written, value, stated) -> None:
    others = factories.ProductFactory(attributes={NAME: written})
    product = factories.ProductFactory(collection=others.collection, attributes={})
    assert as_stated(product, NAME, value) == stated


def test_the_command(site, capsys) -> None:
    first(site, attributes={})
    call_command("propose_attributes", "kitchen", feature_model=site.model.name)
    assert "kitchen: 1 proposals to be decided." in capsys.readouterr().out
    with pytest.raises(CommandError, match="reads no attributes"):
        call_command("propose_attributes", "kitchen", feature_model="known")
    with pytest.raises(CommandError, match="from 0 to 1"):
        call_command("propose_attributes", "kitchen", feature_model=site.model.name, least=3)
