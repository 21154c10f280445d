"""Deciding on proposed attributes in the admin: one by one, many at once, and only by those who may."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from catalog.models import Product
from search.models import AttributeProposal
from tests import factories
from tests.search.branches import branch_site

pytestmark = pytest.mark.django_db
LIST = reverse("admin:search_attributeproposal_changelist")


@pytest.fixture
def staff(client: Client) -> Client:
    user = factories.StaffFactory(username="ada")
    client.force_login(user)
    return client


@pytest.fixture
def proposals() -> list[AttributeProposal]:
    """Two products that lack a colour: one surely red, one surely blue."""
    site = branch_site()
    found = []
    for value, confidence in (("red", 0.97), ("blue", 0.91)):
        product = Product.objects.filter(collection=site.collection, attributes__colour=value).first()
        Product.objects.filter(pk=product.pk).update(attributes={})
        found.append(
            AttributeProposal.objects.create(
                product=product, feature_model=site.model, attribute="colour", value=value, confidence=confidence
            )
        )
    return found


def page(proposal: AttributeProposal) -> str:
    return reverse("admin:search_attributeproposal_change", args=[proposal.pk])


def decide(proposal: AttributeProposal) -> str:
    return reverse("admin:search_attributeproposal_decide", args=[proposal.pk])


def test_the_page_shows_what_is_proposed_and_what_else_it_may_be(staff, proposals) -> None:
    text = staff.get(page(proposals[0])).content.decode()
    assert "red" in text
    assert "97 % sure" in text
    assert {value for value in ("blue", "green") if f'name="value" value="{value}" data-key=' in text} == {
        "blue",
        "green",
    }
    assert 'data-key="a"' in text
    assert page(proposals[1]) in text
    assert "2 proposals to decide" in text


def test_accepting_writes_the_value_and_goes_on_to_the_next(staff, proposals) -> None:
    answer = staff.post(decide(proposals[0]), {"decision": "accept"})
    assert answer.url == page(proposals[1])
    proposals[0].refresh_from_db()
    assert (proposals[0].state, proposals[0].decided_by.username) == ("accepted", "ada")
    assert proposals[0].product.attributes == {"colour": "red"}


def test_another_value_is_chosen_with_one_button(staff, proposals) -> None:
    staff.post(decide(proposals[0]), {"value": "blue"})
    assert Product.objects.get(pk=proposals[0].product_id).attributes == {"colour": "blue"}
    rows = AttributeProposal.objects.filter(product=proposals[0].product_id)
    assert dict(rows.values_list("value", "state")) == {"red": "dismissed", "blue": "accepted"}


def test_choosing_nothing_from_the_list_is_refused(staff, proposals) -> None:
    answer = staff.post(decide(proposals[0]), {"decision": "choose", "other": ""}, follow=True)
    assert "That is no value that could be chosen" in answer.content.decode()
    assert answer.redirect_chain[-1][0] == page(proposals[0])
    assert AttributeProposal.objects.filter(state="open").count() == 2


def test_dismissed_and_taken_back(staff, proposals) -> None:
    staff.post(decide(proposals[0]), {"decision": "dismiss"})
    assert AttributeProposal.objects.get(pk=proposals[0].pk).state == "dismissed"
    assert Product.objects.get(pk=proposals[0].product_id).attributes == {}
    assert "Decide again" in staff.get(page(proposals[0])).content.decode()
    assert staff.post(decide(proposals[0]), {"decision": "reopen"}).url == page(proposals[0])
    assert AttributeProposal.objects.get(pk=proposals[0].pk).state == "open"


def test_what_was_decided_by_somebody_else_is_said(staff, proposals) -> None:
    staff.post(decide(proposals[0]), {"decision": "accept"})
    answer = staff.post(decide(proposals[0]), {"decision": "dismiss"}, follow=True)
    assert "decided on this proposal already" in answer.content.decode()
    assert Product.objects.get(pk=proposals[0].product_id).attributes == {"colour": "red"}


def test_the_last_one_leads_back_to_the_list(staff, proposals) -> None:
    proposals[1].delete()
    assert staff.post(decide(proposals[0]), {"decision": "accept"}).url.startswith(LIST)


def test_all_above_a_confidence_are_counted_first_and_accepted_then(staff, proposals) -> None:
    where = reverse("admin:search_attributeproposal_above")
    collection = proposals[0].product.collection_id
    asked = {"collection": collection, "attribute": "", "least": "0.95"}
    assert "1 proposal is that sure" in staff.get(where, asked).content.decode()
    assert AttributeProposal.objects.filter(state="open").count() == 2
    staff.post(where, asked)
    assert [row.state for row in AttributeProposal.objects.order_by("-confidence")] == ["accepted", "open"]
    refused = staff.get(where, {**asked, "least": "2"}).content.decode()
    assert "less than or equal to 1" in refused


def test_the_list_accepts_and_dismisses_what_is_ticked(staff, proposals) -> None:
    tick = {"action": "accept", "_selected_action": [proposals[0].pk]}
    assert "1 proposal accepted" in staff.post(LIST, tick, follow=True).content.decode()
    staff.post(LIST, {"action": "dismiss", "_selected_action": [proposals[1].pk]})
    assert [row.state for row in AttributeProposal.objects.order_by("-confidence")] == ["accepted", "dismissed"]


def test_the_list_drops_what_an_import_has_stated_since(staff, proposals) -> None:
    Product.objects.filter(pk=proposals[0].product_id).update(attributes={"colour": "green"})
    staff.get(LIST)
    assert list(AttributeProposal.objects.values_list("value", flat=True)) == ["blue"]


def test_only_those_who_may_change_products_decide(client, proposals) -> None:
    reader = factories.UserFactory(is_staff=True)
    reader.user_permissions.add(*Permission.objects.filter(codename__in=["view_attributeproposal", "view_product"]))
    client.force_login(reader)
    text = client.get(page(proposals[0])).content.decode()
    assert 'data-key="a"' not in text
    assert client.post(decide(proposals[0]), {"decision": "accept"}).status_code == 403
    assert client.get(reverse("admin:search_attributeproposal_above")).status_code == 403
    assert client.get(decide(proposals[0])).status_code == 403


def test_a_product_with_proposals_can_be_deleted(staff, proposals) -> None:
    where = reverse("admin:catalog_product_delete", args=[proposals[0].product_id])
    staff.post(where, {"post": "yes"})
    assert not Product.objects.filter(pk=proposals[0].product_id).exists()
    assert not AttributeProposal.objects.filter(pk=proposals[0].pk).exists()
