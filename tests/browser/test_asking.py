"""Asking with a picture: chosen, dropped, pasted, by address; with a script and without."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from catalog.models import Collection
from tests.browser.conftest import PHONE, Open

pytestmark = pytest.mark.browser

# A file in a DataTransfer, as the browser makes it of what is dragged or pasted.
CARRY = """([text, name]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type: "image/jpeg" }));
  return carried;
}"""


def carry(page: Page, path: Path) -> Any:
    return page.evaluate_handle(CARRY, [base64.b64encode(path.read_bytes()).decode(), path.name])


def expect_results(page: Page) -> None:
    """Results of the uploaded picture, whose very copy is in the catalog."""
    page.wait_for_url("**/c/tableware/search/?query=*")
    expect(page.locator(".hit")).to_have_count(24)
    expect(page.locator(".hit").first).to_contain_text("Jug 7")
    expect(page.locator(".hit .score").first).to_contain_text("100%")
    assert page.locator("[data-stage] img").evaluate("image => image.complete && image.naturalWidth") == 240


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_choosing_a_file_is_enough(shop: Collection, open_page: Open, mine: Path, options: dict[str, Any]) -> None:
    page = open_page("/", **options)
    page.wait_for_url("**/c/tableware/")
    page.set_input_files("input[name=file]", mine)
    expect_results(page)


def test_a_phone_offers_its_camera(shop: Collection, open_page: Open, mine: Path) -> None:
    page = open_page("/c/tableware/", **PHONE)
    expect(page.get_by_text("Take a photo")).to_be_visible()
    expect(page.get_by_text("Drop a picture here")).to_be_hidden()
    page.set_input_files("input[name=photo]", mine)
    expect_results(page)


def test_dropping_a_file_anywhere(shop: Collection, open_page: Open, mine: Path) -> None:
    page = open_page("/c/tableware/")
    carried = carry(page, mine)
    page.dispatch_event("h1", "dragover", {"dataTransfer": carried})
    expect(page.locator("html.dragging")).to_be_attached()
    page.dispatch_event("h1", "drop", {"dataTransfer": carried})
    expect_results(page)


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_asking_anew_from_a_page_of_results(shop: Collection, open_page: Open, mine: Path, how: str) -> None:
    page = open_page(f"/c/tableware/search/?image={shop.images.first().pk}")
    carried = carry(page, mine)
    if how == "drop":
        page.dispatch_event("main", "dragover", {"dataTransfer": carried})
        expect(page.locator("[data-veil]")).to_be_visible()
        assert page.locator("[data-veil]").bounding_box() == {"x": 0, "y": 0, "width": 1280, "height": 860}
        page.dispatch_event("main", "drop", {"dataTransfer": carried})
    else:
        page.evaluate(
            "carried => document.body.dispatchEvent("
            "new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true }))",
            carried,
        )
    expect_results(page)


def test_a_drag_that_leaves_takes_its_veil_along(shop: Collection, open_page: Open, mine: Path) -> None:
    page = open_page(f"/c/tableware/search/?image={shop.images.first().pk}")
    page.dispatch_event("main", "dragover", {"dataTransfer": carry(page, mine)})
    expect(page.locator("[data-veil]")).to_be_visible()
    page.dispatch_event("main", "dragleave")
    expect(page.locator("[data-veil]")).to_be_hidden()


def test_what_is_no_picture_is_said_on_the_spot(shop: Collection, open_page: Open, tmp_path: Path, mine: Path) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear Sir or Madam,\n")
    page = open_page("/c/tableware/")
    page.set_input_files("input[name=file]", letter)
    expect(page.get_by_role("alert")).to_contain_text("text file")
    assert page.url.endswith("/c/tableware/")
    page.set_input_files("input[name=file]", mine)  # and one can go on
    expect_results(page)


def test_a_file_that_is_too_large_is_refused_without_sending_it(
    shop: Collection, open_page: Open, mine: Path, settings: Any
) -> None:
    settings.IMAGE_MAX_BYTES = 1000
    page = open_page("/c/tableware/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.set_input_files("input[name=file]", mine)
    expect(page.get_by_role("alert")).to_contain_text("more than 1000 bytes")
    assert "POST" not in sent


def test_a_refused_address_stays_in_its_field(shop: Collection, open_page: Open, live_server: Any) -> None:
    page = open_page("/c/tableware/")
    address = f"{live_server.url}/static/lookalike/favicon.svg"
    page.fill("#url", address)
    page.press("#url", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("not a public web server")
    expect(page.locator("#url")).to_have_value(address)


def test_a_refusal_over_results_can_be_closed(shop: Collection, open_page: Open, tmp_path: Path) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear Sir or Madam,\n")
    page = open_page(f"/c/tableware/search/?image={shop.images.first().pk}")
    page.set_input_files("input[name=file]", letter)
    expect(page.get_by_role("alert")).to_contain_text("text file")
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[data-veil]")).to_be_hidden()


def test_all_of_it_without_a_script(
    shop: Collection, open_page: Open, mine: Path, shot: Callable[[Page, str], None]
) -> None:
    page = open_page("/c/tableware/", java_script_enabled=False)
    shot(page, "ask-without-script")
    page.set_input_files("input[name=file]", mine)
    page.click("form.zone button:has-text('Search')")
    page.wait_for_url("**/search/?query=*")
    assert "Jug 7" in page.locator(".hit").first.inner_text()
    page.click("summary:has-text('Filters')")
    page.check("input[name=category][value=mugs]")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**category=mugs*")
    assert set(page.locator(".hit .hit-facts").evaluate_all("all => all.map(one => one.innerText)")) >= {"mugs"}
    assert page.locator(".hit").count() == 10
    page.click("a.chip")
    page.click("a[rel=next]")
    page.wait_for_url("**page=2*")
    assert page.locator(".hit").count() == 16
    page.locator(".more-like").first.click()
    page.wait_for_url("**image=*")
    assert page.locator(".hit").count() == 24
