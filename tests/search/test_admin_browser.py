"""The admin's script in a real browser: live progress, the table of attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from catalog.jobs import JobState
from catalog.models import ImportJob, Product
from tests import factories

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
