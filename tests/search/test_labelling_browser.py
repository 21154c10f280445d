"""Labelling by keyboard in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from catalog.models import Benchmark, Label
from tests import factories
from tests.search.admin_site import make_site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(browser: Any, live_server: Any, client: Any) -> Iterator[Any]:
    """A page of a browser in which a superuser is logged in; an error in its console fails the test."""
    client.force_login(factories.StaffFactory())
    context = browser.new_context(base_url=live_server.url)
    value = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": value, "url": live_server.url}])
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert errors == []


def test_arrows_digits_and_enter(page: Any) -> None:
    site = make_site()
    Label.objects.all().delete()
    query, other = site.labels.queries.get(), factories.QueryFactory(benchmark=site.labels)
    version = Benchmark.objects.get(pk=site.labels.pk).version
    page.goto(reverse("admin:catalog_benchmark_label", args=[site.labels.pk]))
    cards = page.locator(".lk-card")
    assert cards.count() == 8
    names = [cards.nth(n).locator("input").first.get_attribute("name") for n in range(8)]
    shown = [int(name.removeprefix("grade-")) for name in names]
    for key in ("1", "2", "3", "4", "1"):
        page.keyboard.press(key)  # each grades, and goes on to the next picture
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    page.wait_for_selector(".messagelist .success")
    assert dict(query.labels.values_list("image", "grade")) == {
        shown[0]: "easy",
        shown[1]: "hard",
        shown[2]: "junk",
        shown[3]: "negative",
    }
    assert Benchmark.objects.get(pk=site.labels.pk).version == version + 1
    assert other.name in page.inner_text(".lk-label-query")


def test_without_keys_and_on_a_phone(page: Any) -> None:
    site = make_site()
    query = site.labels.queries.get()
    Label.objects.all().delete()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(reverse("admin:catalog_benchmark_label", args=[site.labels.pk]))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    card = page.locator(".lk-card").nth(2)
    card.locator("label:has(input[value=hard])").click()
    assert card.get_attribute("data-grade") == "hard"
    page.check("input[name=rest]")
    page.click("button[name=stay]")
    page.wait_for_selector(".messagelist .success")
    assert sorted(query.labels.values_list("grade", flat=True)) == ["hard", *["negative"] * 7]
