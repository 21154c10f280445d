"""Business rules in the admin: what is refused, and trying them on a picture, which only some may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from catalog.models import ImageRole, Product
from search.admin.rule_fields import catalogue
from search.ranking.rules import rule_modules
from tests import factories
from tests.search.admin_site import Site, make_site

pytestmark = pytest.mark.django_db
NO_RULES = "[]"


@pytest.fixture
def site() -> Site:
    return make_site(products=6, pictures=1)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def address(name: str, site: Site) -> str:
    return reverse(f"admin:search_searchindex_{name}", args=[site.index.pk])


def ask(client: Client, site: Site, rules: Any, image: Any = None) -> Any:
    picture = site.products[0].images.first().pk if image is None else image
    text = rules if isinstance(rules, str) else json.dumps(rules)
    return client.post(address("preview", site), {"rules": text, "image": picture})


def test_the_editor_is_told_every_rule_and_its_parameters(site: Site, staff: Client) -> None:
    told = {rule["name"]: rule for rule in catalogue()}
    assert set(told) == set(rule_modules())
    (score,) = told["min_score"]["parameters"]
    assert (score["name"], score["kind"], score["required"]) == ("score", "number", True)
    assert all(rule["says"] and rule["title"] for rule in told.values())
    html = staff.get(address("change", site)).content.decode()
    assert "data-rules=" in html
    assert address("preview", site) in html


def test_a_new_index_has_nothing_to_try_rules_on(site: Site, staff: Client) -> None:
    html = staff.get(reverse("admin:search_searchindex_add")).content.decode()
    assert "data-rules=" in html
    assert "lk-trial-place" not in html


def test_samples_are_the_collections_own(site: Site, staff: Client) -> None:
    other = factories.ImageFactory()
    own = {product.images.first().pk for product in site.products}
    images = staff.get(address("samples", site)).json()["images"]
    assert images
    assert {image["id"] for image in images} <= own
    assert other.pk not in own


class TestTrials:
    def test_unsaved_rules_move_and_drop_and_say_why(self, site: Site, staff: Client) -> None:
        Product.objects.filter(pk__in=[product.pk for product in site.products[:3]]).update(stock=0)
        Product.objects.filter(pk__in=[product.pk for product in site.products[3:]]).update(stock=5)
        html = ask(staff, site, [{"rule": "in_stock_first"}]).content.decode()
        assert "in stock: moved up" in html
        gone = ask(staff, site, [{"rule": "min_score", "score": 1.0}]).content.decode()
        assert "left out" in gone
        assert "The rules leave nothing" in gone
        site.index.refresh_from_db()
        assert site.index.rules == []

    def test_without_rules_both_sides_are_the_same(self, site: Site, staff: Client) -> None:
        context = ask(staff, site, NO_RULES).context
        before, after = context["trial"].before, context["trial"].after
        assert [place.image.pk for place in before] == [place.image.pk for place in after]
        assert len(before) == len(site.products) - 1  # the picture itself is not among them
        assert all(place.css == "" for place in after)

    @pytest.mark.parametrize(
        "rules", ['[{"rule": "cheapest_first"}]', '[{"rule": "min_score", "score": "high"}]', "{", '{"rule": "x"}']
    )
    def test_rules_that_cannot_be_used_are_refused_in_words(self, site: Site, staff: Client, rules: str) -> None:
        response = ask(staff, site, rules)
        assert response.status_code == 400
        assert "cannot be used" in response.content.decode()

    def test_a_refusal_names_the_rule_as_the_editor_does(self, site: Site, staff: Client) -> None:
        html = ask(staff, site, [{"rule": "boost"}]).content.decode()
        assert "The business rule “Boost” cannot be used" in html
        assert "min_score(" not in html

    def test_pictures_of_other_collections_and_query_pictures_are_refused(self, site: Site, staff: Client) -> None:
        query = factories.ImageFactory(collection=site.collection, product=None, role=ImageRole.QUERY)
        for image in (factories.ImageFactory().pk, query.pk, "x", "", "9" * 30):
            response = ask(staff, site, NO_RULES, image)
            assert response.status_code == 400
            assert "was not found" in response.content.decode()

    def test_who_may_only_look_may_not_try(self, site: Site, client: Client) -> None:
        assert ask(client, site, NO_RULES).status_code == 302  # to the login
        user = factories.StaffFactory(is_superuser=False)
        user.user_permissions.set(Permission.objects.filter(codename="view_searchindex"))
        client.force_login(user)
        assert ask(client, site, NO_RULES).status_code == 403
        assert client.get(address("samples", site)).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="change_searchindex"))
        assert ask(client, site, NO_RULES).status_code == 200

    def test_it_is_posted(self, site: Site, staff: Client) -> None:
        assert staff.get(address("preview", site)).status_code == 405
