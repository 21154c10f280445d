"""What the foot of the results says of how they were ranked."""

from __future__ import annotations

import pytest
from django.test import Client

from catalog.models import Collection
from search.builds import build_create, build_run, index_for
from search.web.ranked import rule_name
from tests import factories
from tests.search.web.conftest import Page

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(shop: Collection) -> str:
    return f"/c/tableware/search/?image={shop.images.order_by('id').first().pk}"


def fold(page: Page) -> str:
    ((_, text),) = page.all("details", class_="ranked")
    return text


def test_tiers_are_listed_with_their_numbers(client: Client, shop: Collection, here: str) -> None:
    index = index_for(shop)
    index.rules = [{"rule": "in_stock_first"}]
    index.save()
    page = Page(client.get(here))
    cells = [text for _, text in page.all("th", scope="row")]
    assert cells == ["Coarse search", "Fine scoring", "Business rules"]
    assert "exact search" in fold(page)
    assert "Searched by1 picture" in fold(page)
    numbers = [text for _, text in page.all("td")]
    assert len(numbers) == 15
    assert all(number.endswith(" ms") for number in numbers[::5])
    assert int(numbers[13]) > 0  # the rules moved some


def test_a_moved_hit_says_which_rule_moved_it(client: Client, shop: Collection, here: str) -> None:
    index = index_for(shop)
    index.rules = [{"rule": "in_stock_first"}]
    index.save()
    told = [found["title"] for found, text in Page(client.get(here)).all("li") if text.startswith("in stock: moved")]
    assert told
    assert set(told) == {f"Business rule: {rule_name('in_stock_first')}"}
    assert rule_name("in_stock_first") != "in_stock_first"
    assert rule_name("long gone") == "long gone"


def test_build_and_kind_are_told_and_staff_can_go_there(client: Client, shop: Collection, here: str) -> None:
    build = build_create(index_for(shop))
    build_run(build.pk)
    build.refresh_from_db()
    text = fold(Page(client.get(here)))
    assert f"{build.pk}, of 30 pictures" in text
    assert build.factory in text
    change = f"/admin/search/searchindex/{build.index_id}/change/"
    assert not Page(client.get(here)).all("a", href=change)
    client.force_login(factories.UserFactory.create())
    assert not Page(client.get(here)).all("a", href=change)
    client.force_login(factories.UserFactory.create(is_staff=True, is_superuser=True))
    assert Page(client.get(here)).all("a", href=change)
