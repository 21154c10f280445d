"""Steering a search: hits ticked as liked or not, pictures added, unlikely hits folded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from catalog.models import Collection
from search.builds import index_for
from search.calibration import Calibration
from search.services import search_by_image
from tests import factories
from tests.browser.conftest import PHONE, Open
from tests.browser.test_asking import carry
from tests.browser.test_results import asked, mark, settled, titles, unloaded

pytestmark = pytest.mark.browser


@pytest.fixture
def here(shop: Collection) -> str:
    return f"/c/tableware/search/?image={shop.images.order_by('id').first().pk}"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another picture of a visitor: that of the eighteenth product."""
    path = tmp_path / "other.jpg"
    path.write_bytes(factories.picture(18, (240, 180)))
    return path


def tick(page: Page, place: int, what: str = "like") -> str:
    """Tick a hit; the id of its picture."""
    box = page.locator(f".hit .vote input[name={what}]").nth(place)
    box.check()
    return str(box.get_attribute("value"))


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_ticks_are_counted_and_searched_with(
    open_page: Open, here: str, shot: Callable[[Page, str], None], options: dict[str, Any]
) -> None:
    page = open_page(f"{here}&price_max=44", **options)
    mark(page)
    expect(page.get_by_role("button", name="Search again")).to_be_hidden()
    before = titles(page)
    first, third, sixth = tick(page, 0), tick(page, 2), tick(page, 5, "unlike")
    expect(page.locator("[data-ticked-text]")).to_have_text("2 liked, 1 disliked")
    expect(page.locator("[data-said]")).to_have_text("2 liked, 1 disliked")
    expect(page.get_by_role("button", name="Search again")).to_be_in_viewport()
    shot(page, f"ticked-{'phone' if options else 'desktop'}")
    page.get_by_role("button", name="Search again").click()
    page.wait_for_url("**unlike=*")
    settled(page)
    assert asked(page)["like"] == [first, third]
    assert asked(page)["unlike"] == [sixth]
    assert asked(page)["price_max"] == ["44"]
    assert not {before[0], before[2], before[5]} & set(titles(page))
    expect(page.locator(".example")).to_have_count(3)
    expect(page.get_by_role("button", name="Search again")).to_be_hidden()
    shot(page, f"examples-{'phone' if options else 'desktop'}")

    page.get_by_role("link", name=f"Search without {before[0]}", exact=True).click()
    page.wait_for_url(lambda url: f"like={first}&" not in url)
    settled(page)
    expect(page.locator(".example")).to_have_count(2)
    page.go_back()
    expect(page.locator(".example")).to_have_count(3)
    page.go_back()
    expect(page.locator(".example")).to_have_count(0)
    assert titles(page) == before
    assert not unloaded(page)


def test_a_hit_is_liked_or_not_but_never_both(open_page: Open, here: str) -> None:
    page = open_page(here)
    tick(page, 0)
    tick(page, 0, "unlike")
    expect(page.locator(".vote input[name=like]").first).not_to_be_checked()
    expect(page.locator("[data-ticked-text]")).to_have_text("0 liked, 1 disliked")
    page.locator(".vote input[name=unlike]").first.uncheck()
    expect(page.locator("#feedback")).to_be_hidden()
    tick(page, 3)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#feedback")).to_be_hidden()
    expect(page.locator(".vote :checked")).to_have_count(0)


def test_ticks_stay_while_one_turns_the_page_and_go_with_another_question(open_page: Open, here: str) -> None:
    page = open_page(here)
    first = tick(page, 0)
    page.get_by_role("link", name="Next").click()
    page.wait_for_url("**page=2*")
    settled(page)
    second = tick(page, 1, "unlike")
    expect(page.locator("[data-ticked-text]")).to_have_text("1 liked, 1 disliked")
    page.go_back()
    settled(page)
    expect(page.locator(f".vote input[name=like][value='{first}']")).to_be_checked()
    page.get_by_role("button", name="Search again").click()
    page.wait_for_url("**unlike=*")
    assert "page" not in asked(page)
    assert (asked(page)["like"], asked(page)["unlike"]) == ([first], [second])
    settled(page)
    tick(page, 0)
    page.check("#filter-form input[name=category][value=mugs]")
    page.wait_for_url("**category=mugs*")
    settled(page)
    expect(page.locator("#feedback")).to_be_hidden()
    assert asked(page)["like"] == [first]


def test_ticks_by_keyboard(open_page: Open, here: str) -> None:
    page = open_page(here)
    page.locator(".vote input").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.locator(".vote input[name=unlike]").first).to_be_focused()
    outline = page.locator(".vote-down").first.evaluate("vote => getComputedStyle(vote).boxShadow")
    assert outline != "none"
    page.keyboard.press("Enter")  # as in any form: it sends it
    page.wait_for_url("**like=*")
    expect(page.get_by_role("heading", name="Look-alikes")).to_be_focused()


def test_ticks_are_large_enough_for_fingers(open_page: Open, here: str) -> None:
    page = open_page(here, **PHONE)
    area = page.locator(".vote").first.bounding_box()
    assert area
    assert min(area["width"], area["height"]) >= 44


def test_feedback_without_a_script(open_page: Open, here: str) -> None:
    page = open_page(here, java_script_enabled=False)
    liked, unliked = tick(page, 1), tick(page, 4, "unlike")
    page.get_by_role("button", name="Search again").click()
    page.wait_for_url("**like=*")
    assert (asked(page)["like"], asked(page)["unlike"]) == ([liked], [unliked])
    expect(page.locator(".example")).to_have_count(2)
    page.locator(".example a").first.click()
    expect(page.locator(".example")).to_have_count(1)


def test_several_files_at_once_make_one_search(shop: Collection, open_page: Open, mine: Path, other: Path) -> None:
    page = open_page("/c/tableware/")
    page.set_input_files("input[name=file]", [mine, other])
    page.wait_for_url("**also=*")
    assert {"Jug 7", "Bowl 17"} == set(titles(page)[:2])
    expect(page.locator(".example img")).to_have_attribute("alt", "Your picture 2")


@pytest.mark.parametrize("how", ["choose", "drop", "paste", "no script"])
def test_another_picture_is_added(
    open_page: Open, here: str, mine: Path, how: str, shot: Callable[[Page, str], None]
) -> None:
    page = open_page(f"{here}&category=jugs", java_script_enabled=how != "no script")
    expect(page.locator(".hit").first).not_to_contain_text("Jug 7")
    if how == "drop":
        carried = carry(page, mine)
        page.dispatch_event("main", "dragover", {"dataTransfer": carried})
        expect(page.get_by_text("Drop it here to add it to your search")).to_be_visible()
        shot(page, "drop-to-add")
        page.dispatch_event("[data-add-here]", "drop", {"dataTransfer": carried})
    else:
        page.get_by_text("Add another picture").click()
        shot(page, "add-another")
    if how in {"choose", "no script"}:
        page.set_input_files("[data-add-form] input[name=file]", mine)
    if how == "no script":
        page.get_by_role("button", name="Add", exact=True).click()
    if how == "paste":
        page.evaluate(
            "carried => document.body.dispatchEvent("
            "new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true }))",
            carry(page, mine),
        )
    page.wait_for_url("**also=*")
    assert asked(page)["category"] == ["jugs"]
    assert asked(page)["image"] == [here.split("=")[1]]
    expect(page.locator(".hit").first).to_contain_text("Jug 7")
    expect(page.locator(".example")).to_have_count(1)


def test_home_asks_which_collection_is_searched(shop: Collection, open_page: Open, mine: Path) -> None:
    factories.ImageFactory.create(collection=factories.CollectionFactory.create(name="Birds"), product=None)
    page = open_page("/")
    page.locator("[data-collection]").select_option("Tableware")
    carried = carry(page, mine)
    page.dispatch_event("h1", "dragover", {"dataTransfer": carried})
    page.dispatch_event("h1", "drop", {"dataTransfer": carried})
    page.wait_for_url("**/c/tableware/search/?query=*")
    expect(page.locator(".hit").first).to_contain_text("Jug 7")


@pytest.fixture
def calibrated(shop: Collection) -> None:
    """Hits of the first picture are likely down to the middle of its first page."""
    index = index_for(shop)
    hits = search_by_image(shop, shop.images.order_by("id").first(), k=24, index=index).hits
    low, middle, high = hits[-1].score - 0.01, (hits[11].score + hits[12].score) / 2, hits[0].score + 0.01
    curve = Calibration("labels", (low, middle, high), (0.0, 0.5, 1.0))
    index.calibration = {**curve.to_dict(), "fingerprint": index.feature_model.fingerprint}
    index.save()


@pytest.mark.usefixtures("calibrated")
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_unlikely_hits_are_folded(
    open_page: Open, here: str, shot: Callable[[Page, str], None], *, script: bool
) -> None:
    page = open_page(f"{here}&price_max=44", java_script_enabled=script)
    expect(page.locator(".hit:visible")).to_have_count(24)
    if not script:
        page.click("summary:has-text('Filters')")
    page.get_by_label("Likely: 50% or more", exact=True).check()
    if not script:
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**min_p=0.5*")
    if script:
        settled(page)
    assert asked(page)["price_max"] == ["44"]
    expect(page.locator(".hit:visible")).to_have_count(12)
    page.get_by_text("12 less likely hits: show").scroll_into_view_if_needed()
    shot(page, f"folded-{'script' if script else 'without'}")
    page.get_by_text("12 less likely hits: show").click()
    expect(page.locator(".hit:visible")).to_have_count(24)
    expect(page.locator(".score.likely").first).to_be_visible()
