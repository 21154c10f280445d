"""Results: the box, the filters in place, paging, more like this; by mouse, finger and keyboard."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from catalog.models import Collection
from tests.browser.conftest import PHONE, Open

pytestmark = pytest.mark.browser


@pytest.fixture
def here(shop: Collection) -> str:
    return f"/c/tableware/search/?image={shop.images.order_by('id').first().pk}"


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def box_of(page: Page) -> list[int]:
    return [int(part) for part in asked(page)["box"][0].split(",")]


def titles(page: Page) -> list[str]:
    return page.locator(".hit h2").all_inner_texts()


def settled(page: Page) -> None:
    expect(page.locator("#results")).not_to_have_attribute("aria-busy", "true")


def unloaded(page: Page) -> bool:
    """Whether the page was loaded anew since ``mark``."""
    return not page.evaluate("window.marked === true")


def mark(page: Page) -> None:
    page.evaluate("window.marked = true")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Over the stage, in shares of its sides."""
    area = page.locator("[data-stage]").bounding_box()
    assert area
    spots = [(area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (start, end)]
    page.mouse.move(*spots[0])
    page.mouse.down()
    page.mouse.move(*spots[1], steps=6)
    page.mouse.up()


def test_a_box_is_drawn_moved_resized_and_removed(open_page: Open, here: str) -> None:
    page = open_page(here)
    mark(page)
    before = titles(page)
    drag(page, (0.25, 0.25), (0.75, 0.75))
    page.wait_for_url("**box=*")
    settled(page)
    assert box_of(page) == pytest.approx([60, 45, 120, 90], abs=2)
    assert titles(page) != before

    drag(page, (0.5, 0.5), (0.6, 0.5))  # inside: it moves
    page.wait_for_url(lambda _: box_of(page)[0] > 70)
    assert box_of(page) == pytest.approx([84, 45, 120, 90], abs=2)
    moved = box_of(page)
    x, y, w, h = moved
    drag(page, ((x + w) / 240, (y + h) / 180), (1.3, 1.3))  # a corner, beyond the picture: it ends at the edge
    page.wait_for_url(lambda _: box_of(page)[2] > 130)
    assert box_of(page) == pytest.approx([84, 45, 156, 135], abs=2)

    page.go_back()
    page.wait_for_url(lambda _: box_of(page) == moved)
    expect(page.locator(".crop")).to_be_visible()
    drawn = page.locator(".crop").evaluate("crop => parseFloat(crop.style.getPropertyValue('--w'))")
    assert drawn == pytest.approx(100 * moved[2] / 240, abs=0.1)

    page.click("[data-whole]")
    page.wait_for_url(lambda url: "box=" not in url)
    settled(page)
    expect(page.locator(".crop")).to_have_count(0)
    assert titles(page) == before
    assert not unloaded(page)


def test_a_tap_is_no_box(open_page: Open, here: str) -> None:
    page = open_page(here)
    drag(page, (0.5, 0.5), (0.505, 0.505))
    assert "box=" not in page.url
    expect(page.locator(".crop")).to_have_count(0)


def test_a_box_by_finger(open_page: Open, here: str) -> None:
    page = open_page(here, **PHONE)
    page.locator("[data-enlarge]").tap()
    area = page.locator("[data-stage]").bounding_box()
    assert area
    touch = page.context.new_cdp_session(page)
    spots = [(area["x"] + share * area["width"], area["y"] + share * area["height"]) for share in (0.2, 0.4, 0.6, 0.8)]
    for number, (x, y) in enumerate(spots):
        kind = "touchStart" if number == 0 else "touchMove"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_url("**box=*")
    assert box_of(page) == pytest.approx([48, 36, 144, 108], abs=3)


def test_look_alikes_are_in_sight_at_once_on_a_phone(open_page: Open, here: str) -> None:
    page = open_page(here, **PHONE)
    area = page.locator(".hit").first.bounding_box()
    stage = page.locator("[data-stage]").bounding_box()
    assert area
    assert stage
    assert area["y"] + area["height"] / 2 < page.evaluate("innerHeight")
    page.touchscreen.tap(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    expect(page.locator("[data-enlarge]")).to_have_attribute("aria-expanded", "true")
    large = page.locator("[data-stage]").bounding_box()
    assert large
    assert large["height"] > 1.5 * stage["height"]
    assert "box=" not in page.url
    page.locator("[data-enlarge]").tap()
    expect(page.locator("[data-enlarge]")).to_have_attribute("aria-expanded", "false")


def test_a_box_by_keyboard(open_page: Open, here: str) -> None:
    page = open_page(here)
    page.focus("[data-stage]")
    page.keyboard.press("Enter")
    page.wait_for_url("**box=60,45,120,90*")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_url("**box=70,45,120,97*")
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "box=" not in url)


def test_filters_apply_in_place_and_leave_by_their_chips(open_page: Open, here: str) -> None:
    page = open_page(here)
    mark(page)
    page.check("#filter-form input[name=category][value=mugs]")
    page.wait_for_url("**category=mugs*")
    settled(page)
    assert all(title.startswith("Mug") for title in titles(page))
    page.fill("#filter-form input[name=price_max]", "20")
    page.press("#filter-form input[name=price_max]", "Tab")
    page.wait_for_url("**price_max=20*")
    settled(page)
    assert titles(page)
    assert {int(title.split()[1]) for title in titles(page)} <= {4, 8, 12}
    expect(page.locator(".filters .pill")).to_contain_text("2")

    page.click("a.chip:has-text('mugs')")
    page.wait_for_url(lambda url: "category" not in url)
    expect(page.locator("#filter-form input[name=category][value=mugs]")).not_to_be_checked()
    expect(page.locator("#filter-form input[name=price_max]")).to_have_value("20")
    page.go_back()
    expect(page.locator("#filter-form input[name=category][value=mugs]")).to_be_checked()
    page.go_back()
    page.wait_for_url(lambda url: "price_max" not in url)
    expect(page.locator("#filter-form input[name=price_max]")).to_have_value("")
    assert not unloaded(page)


def test_a_box_stays_with_the_filters_and_the_other_way_round(open_page: Open, here: str) -> None:
    page = open_page(f"{here}&category=bowls")
    drag(page, (0.1, 0.1), (0.6, 0.6))
    page.wait_for_url("**box=*")
    assert asked(page)["category"] == ["bowls"]
    page.check("#filter-form input[name=in_stock]")
    page.wait_for_url("**in_stock=1*")
    assert "box" in asked(page)
    page.reload()
    expect(page.locator(".crop")).to_be_visible()
    expect(page.locator("#filter-form input[name=in_stock]")).to_be_checked()


def test_an_empty_result_offers_the_way_out(open_page: Open, here: str) -> None:
    page = open_page(f"{here}&category=mugs&price_max=4")
    expect(page.get_by_role("heading", name="Nothing matches all of these filters")).to_be_visible()
    page.get_by_role("link", name="without “up to 4”").click()
    expect(page.locator(".hit").first).to_contain_text("Mug")


def test_paging_in_place(open_page: Open, here: str) -> None:
    page = open_page(here)
    mark(page)
    first = titles(page)
    page.get_by_role("link", name="Next").click()
    page.wait_for_url("**page=2*")
    expect(page.get_by_role("heading", name="Look-alikes, page 2")).to_be_focused()
    assert len(titles(page)) == 15
    assert not set(first) & set(titles(page))
    page.go_back()
    expect(page.locator(".hit")).to_have_count(24)
    assert titles(page) == first
    assert not unloaded(page)


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_more_like_this_and_one_picture(shop: Collection, open_page: Open, here: str, options: dict[str, Any]) -> None:
    page = open_page(here, **options)
    second = titles(page)[1]
    page.get_by_role("link", name=f"More like this: {second}", exact=True).click()
    expect(page).to_have_title(f"Looks like {second} · Lookalike")
    assert second not in titles(page)
    page.get_by_role("link", name=second, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(second)
    expect(page.locator(".facts")).to_contain_text("clay")
    expect(page.locator(".hit")).to_have_count(12)


def test_filters_are_folded_on_a_phone_and_open_beside_a_wide_grid(open_page: Open, here: str) -> None:
    for options, is_open in (({}, True), (PHONE, False)):
        page = open_page(here, **options)
        assert page.locator("[data-filters]").evaluate("filters => filters.open") is is_open


def test_on_a_phone_the_filters_lead_back_to_the_results(open_page: Open, here: str) -> None:
    page = open_page(here, **PHONE)
    page.get_by_text("Filters").click()
    page.check("#filter-form input[name=category][value=mugs]")
    page.wait_for_url("**category=mugs*")
    page.get_by_role("button", name="Show the results").click()
    expect(page.locator("#filter-form")).to_be_hidden()
    expect(page.get_by_role("heading", name="Look-alikes")).to_be_in_viewport()


def test_the_language_switch_stays_on_what_was_asked(open_page: Open, here: str) -> None:
    page = open_page(here)
    page.check("#filter-form input[name=category][value=mugs]")
    page.wait_for_url("**category=mugs*")
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("相似图片")
    assert asked(page)["category"] == ["mugs"]
    expect(page.locator(".more-like").first).to_have_text("找相似")


def test_the_keyboard_reaches_everything_and_is_seen(open_page: Open, here: str) -> None:
    page = open_page(here)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "() => { const e = document.activeElement; const at = e.closest('.pick') || e;"
            " return [e.className || e.name || e.tagName, getComputedStyle(at).outlineStyle] }"
        )
        assert outline != "none", name
        reached.add(name.split()[0])
    assert {"brand", "stage", "category", "field", "in_stock", "more-like"} <= reached
