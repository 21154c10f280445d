"""What matched: reached from a hit; heat that can be hidden, made weaker, and pointed at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from catalog.models import Collection
from search.builds import index_for
from search.embedding import embed_pending, feature_model_prepare
from search.models import FeatureModel
from tests import factories
from tests.browser.conftest import PHONE, Open
from tests.search.extraction.conftest import write_network

pytestmark = pytest.mark.browser


@pytest.fixture
def here(transactional_db: None) -> str:
    """Results of a shop of eight products, searched with a network that gives feature maps."""
    Path(settings.WEIGHTS_ROOT).mkdir(parents=True, exist_ok=True)
    path = write_network(Path(settings.WEIGHTS_ROOT) / "small.onnx")
    how = {"resize": 72, "crop": 64}
    model = FeatureModel.objects.create(
        name="small", backbone="onnx", weights=str(path), preprocessing=how, is_default=True
    )
    feature_model_prepare(model)
    shop: Collection = factories.CollectionFactory.create(name="Tableware", slug="tableware")
    for number in range(8):
        product = factories.ProductFactory.create(collection=shop, title=f"Mug {number}")
        factories.ImageFactory.create(product=product, seed=number + 1, size_px=(240, 180))
    embed_pending(shop, index_for(shop).feature_model)
    return f"/c/tableware/search/?image={shop.images.earliest('id').pk}"


def opened(page: Page) -> Page:
    page.get_by_role("link", name="What matched: ").first.click()
    expect(page.get_by_role("heading", name="What matched", level=1)).to_be_visible()
    expect(page.locator(".why-heat")).to_have_count(2)
    return page


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_heat_is_shown_weakened_and_hidden(
    open_page: Open, here: str, shot: Callable[[Page, str], None], options: dict[str, Any]
) -> None:
    page = opened(open_page(here, **options))
    heat = page.locator(".why-heat").first
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "why-phone" if options else "why")
    page.get_by_label("Strength").fill("20")
    expect(heat).to_have_css("opacity", "0.2")
    page.get_by_label("Heat map").uncheck()
    expect(heat).to_be_hidden()
    page.get_by_role("link", name="Back to the look-alikes").click()
    expect(page.get_by_role("heading", name="Look-alikes", level=1)).to_be_visible()


def test_a_place_shows_its_counterpart(open_page: Open, here: str) -> None:
    page = opened(open_page(here))
    marks, stages = page.locator(".why-mark"), page.locator(".why-stage")
    expect(marks.first).to_be_hidden()
    stages.first.hover()
    expect(marks.first).to_be_visible()
    expect(marks.last).to_be_visible()
    page.mouse.move(1, 1)
    expect(marks.last).to_be_hidden()
    page.get_by_label("Strength").focus()
    page.keyboard.press("Tab")
    expect(stages.first).to_be_focused()
    expect(marks.last).to_be_visible()
    before = marks.first.bounding_box()
    page.keyboard.press("ArrowRight")
    after = marks.first.bounding_box()
    assert before
    assert after
    assert after["x"] > before["x"]
    assert after["y"] == pytest.approx(before["y"])


def test_it_works_without_a_script(open_page: Open, here: str) -> None:
    page = opened(open_page(here, java_script_enabled=False))
    expect(page.get_by_label("Strength")).to_be_hidden()
    page.get_by_label("Heat map").uncheck()
    expect(page.locator(".why-heat").first).to_be_hidden()
