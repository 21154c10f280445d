"""The admin's scripts in a real browser: live progress, the table of attributes, the editor of rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from catalog.jobs import JobState
from catalog.models import ImportJob, Product
from tests import factories
from tests.search.admin_site import make_site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(browser: Any, live_server: Any, client: Any) -> Iterator[Any]:
    """A page of a browser in which a superuser is logged in."""
    client.force_login(factories.StaffFactory())
    context = browser.new_context(base_url=live_server.url)
    value = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": value, "url": live_server.url}])
    yield context.new_page()
    context.close()


def test_progress_is_followed_to_the_end_and_not_beyond(page: Any) -> None:
    job = factories.ImportJobFactory()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/progress/" in request.url else None)
    page.goto(reverse("admin:catalog_importjob_change", args=[job.pk]))
    page.wait_for_selector('.lk-job[data-state="queued"]')
    ImportJob.objects.filter(pk=job.pk).update(state=JobState.RUNNING, done=3, total=12, stage="pictures")
    page.wait_for_selector('.lk-job[data-state="running"]')
    assert page.locator(".lk-job progress").get_attribute("value") is not None
    assert page.evaluate("document.querySelector('.lk-job progress').value") == 25
    assert "pictures · 3 / 12" in page.inner_text(".lk-detail")
    ImportJob.objects.filter(pk=job.pk).update(state=JobState.DONE, added=12)
    page.wait_for_selector(".field-added >> text=12")  # loaded anew
    asked.clear()
    page.wait_for_timeout(2500)
    assert asked == []


def test_attributes_are_edited_as_a_table(page: Any) -> None:
    product = factories.ProductFactory(attributes={"colour": "red", "sizes": [1, 2], "old": "x"})
    page.goto(reverse("admin:catalog_product_change", args=[product.pk]))
    rows = page.locator(".lk-attribute")
    assert rows.count() == 3
    rows.nth(0).locator("input").nth(1).fill("红")
    rows.nth(1).locator("input").nth(1).fill("[3]")
    rows.nth(2).locator("button").click()
    page.click(".lk-attribute-table >> text=+ add")
    rows.nth(2).locator("input").nth(0).fill("size")
    rows.nth(2).locator("input").nth(1).fill("42")
    assert json.loads(page.input_value("#id_attributes")) == {"colour": "红", "sizes": [3], "size": "42"}
    page.click("input[name=_continue]")
    page.wait_for_selector(".messagelist .success")
    assert Product.objects.get().attributes == {"colour": "红", "sizes": [3], "size": "42"}


def names(page: Any) -> list[str]:
    return [entry["rule"] for entry in json.loads(page.input_value("#id_rules"))]


def add_rule(page: Any, name: str) -> None:
    page.select_option(".lk-rules-foot select", name)
    page.click(".lk-rules-foot >> text=Add")


def test_rules_are_added_moved_by_keyboard_removed_and_saved(page: Any) -> None:
    index = factories.SearchIndexFactory(rules=[{"rule": "in_stock_first", "within": 50}])
    page.goto(reverse("admin:search_searchindex_change", args=[index.pk]))
    assert not page.is_visible("#id_rules")
    assert page.input_value('[data-parameter="within"]') == "50"
    add_rule(page, "min_score")
    assert page.evaluate("document.activeElement.dataset.parameter") == "score"
    assert "needs it" in page.inner_text(".lk-wrong")
    page.keyboard.type("0.25")
    add_rule(page, "one_per_product")
    assert names(page) == ["in_stock_first", "min_score", "one_per_product"]
    page.focus('button[aria-label^="move up: One"]')
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # the focus stays on the button that moved
    assert names(page) == ["one_per_product", "in_stock_first", "min_score"]
    page.click('button[aria-label^="remove: In stock"]')
    page.click("input[name=_continue]")
    page.wait_for_selector(".messagelist .success")
    index.refresh_from_db()
    assert index.rules == [{"rule": "one_per_product"}, {"rule": "min_score", "score": 0.25}]


def test_rules_written_as_json_and_ones_not_known_are_kept(page: Any) -> None:
    index = factories.SearchIndexFactory(rules=[{"rule": "of_a_later_version", "x": [1]}])
    page.goto(reverse("admin:search_searchindex_change", args=[index.pk]))
    assert "no rule of this name" in page.inner_text(".lk-rules")
    add_rule(page, "one_per_product")
    assert json.loads(page.input_value("#id_rules"))[0] == {"rule": "of_a_later_version", "x": [1]}
    page.click("text=edit as JSON")
    page.fill("#id_rules", "[{]")
    page.click("text=edit as a list")
    assert page.is_visible("#id_rules")
    assert "cannot be read" in page.inner_text(".field-rules")
    page.fill("#id_rules", '[{"rule": "min_score", "score": 0.5}]')
    page.click("text=edit as a list")
    assert page.input_value('[data-parameter="score"]') == "0.5"


def test_rules_are_tried_on_a_picture_before_they_are_saved(page: Any) -> None:
    site = make_site(products=6, pictures=1)
    for number, product in enumerate(site.products):
        Product.objects.filter(pk=product.pk).update(stock=number % 2)
    page.goto(reverse("admin:search_searchindex_change", args=[site.index.pk]))
    page.click(".lk-samples button >> nth=0")
    page.wait_for_selector(".lk-trial")
    assert page.locator(".lk-trial-result .lk-rose").count() == 0
    add_rule(page, "in_stock_first")
    page.wait_for_selector(".lk-trial-result .lk-rose")
    assert "in stock: moved up" in page.inner_text(".lk-trial-result")
    page.fill(".lk-trial-more input", "999999")
    page.press(".lk-trial-more input", "Enter")
    page.wait_for_selector(".lk-trial-result .lk-error")
    site.index.refresh_from_db()
    assert site.index.rules == []


def test_what_each_kind_of_index_would_be_is_told_while_one_chooses(page: Any) -> None:
    site = make_site(products=3, pictures=1)
    page.goto(reverse("admin:search_searchindex_change", args=[site.index.pk]))
    assert "B a picture" in page.inner_text('[data-outlook=""]')
    assert not page.is_visible("#id_factory")
    page.check('input[name="preset"][value="own"]')
    page.fill("#id_factory", "IVF4,PQ9999")
    page.wait_for_selector('[data-outlook="own"] >> text=FAISS cannot make')
    page.fill("#id_factory", "HNSW8")
    page.wait_for_selector('[data-outlook="own"] >> text=HNSW8 ·')


def test_rules_are_dragged_to_another_place(page: Any) -> None:
    index = factories.SearchIndexFactory(
        rules=[{"rule": "in_stock_first"}, {"rule": "one_per_product"}, {"rule": "diversity"}]
    )
    page.goto(reverse("admin:search_searchindex_change", args=[index.pk]))
    handles, items = page.locator(".lk-handle"), page.locator(".lk-rules > ol > li")
    handles.nth(2).drag_to(items.nth(0), target_position={"x": 200, "y": 4})
    assert names(page) == ["diversity", "in_stock_first", "one_per_product"]


def test_enter_in_a_field_saves_and_takes_no_point_of_the_tuning(page: Any) -> None:
    tried = {"factory": "SQ8", "search_params": {}, "fine_depth": 50, "recall": 0.99, "ms": 1, "p99_ms": 2, "bytes": 9}
    tuning = {"target": 0.95, "queries": 9, "count": 9, "made": "2026-01-31T12:00:00+00:00"}
    index = factories.SearchIndexFactory(tuning={**tuning, "points": [{**tried, "frontier": True, "chosen": True}]})
    page.goto(reverse("admin:search_searchindex_change", args=[index.pk]))
    page.fill("#id_name", "renamed")
    page.press("#id_name", "Enter")
    page.wait_for_selector(".messagelist .success")
    index.refresh_from_db()
    assert (index.name, index.factory) == ("renamed", "")
    page.goto(reverse("admin:search_searchindex_change", args=[index.pk]))
    page.click("text=Use this point")
    page.wait_for_selector(".messagelist .success")
    index.refresh_from_db()
    assert (index.factory, index.fine_depth) == ("SQ8", 50)
