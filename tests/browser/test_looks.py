"""How the pages look: nothing sticks out, everything can be read, in both languages, by day and by night."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from catalog.models import Collection
from tests import factories
from tests.browser.conftest import PHONE, Open

pytestmark = pytest.mark.browser

# Texts whose contrast with what is behind them is below WCAG AA (4.5, or 3 for large ones), as [text, ratio].
# Colours are composited over the nearest opaque background; texts over pictures bring their own ground.
FAINT = """() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { r, g, b, a }; };
  const mix = (top, below, c) => top[c] * top.a + below[c] * (1 - top.a);
  const over = (top, below) => ({ r: mix(top, below, "r"), g: mix(top, below, "g"), b: mix(top, below, "b"), a: 1 });
  const ground = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.a) layers.push(colour);
      if (colour.a === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  };
  const linear = (v) => (v <= 0.03928 * 255 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ({ r, g, b }) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(e), below = ground(e);
    const [a, b] = [light(over(parse(style.color), below)), light(below)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) faint.push([walk.currentNode.data.trim(), ratio]);
  }
  return faint;
}"""
WIDE = {"viewport": {"width": 1280, "height": 860}}
LOOKS = {
    "desktop": WIDE,
    "phone": PHONE,
    "dark": {**WIDE, "color_scheme": "dark"},
    "chinese": {**WIDE, "locale": "zh-CN"},
    "chinese-phone": {**PHONE, "locale": "zh-CN"},
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_and_can_be_read(
    shop: Collection, open_page: Open, shot: Callable[[Page, str], None], look: str
) -> None:
    factories.ImageFactory.create(collection=factories.CollectionFactory.create(name="Other"), product=None)
    key = shop.images.order_by("id").first().pk
    search = f"/c/tableware/search/?image={key}"
    addresses = {
        "home": "/",
        "ask": "/c/tableware/",
        "results": f"{search}&box=40,30,150,110&in_stock=1&attr.colour=red",
        "empty": f"{search}&category=mugs&price_max=4",
        "refused": f"{search}&price_min=x",
        "picture": f"/c/tableware/images/{key}/",
        "login": "/login/?next=/",
        "missing": "/nowhere/",
    }
    page = open_page("/", **LOOKS[look])
    for name, address in addresses.items():
        page.goto(address)
        shot(page, f"{name}-{look}")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{name} sticks out"
        assert page.evaluate(FAINT) == [], name
        if "chinese" in look:
            assert page.locator("html").get_attribute("lang") == "zh-hans"


def test_long_names_do_not_break_the_page(open_page: Open, shop: Collection) -> None:
    product = shop.products.order_by("id").first()
    product.title = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    product.category, product.attributes = "x" * 150, {"a" * 60: "b" * 120}
    product.save()
    shop.name = "W" * 100
    shop.save()
    others: Any = [factories.CollectionFactory.create(name="N" * 100) for _ in range(2)]
    assert others
    key = product.images.get().pk
    neighbour = shop.images.exclude(pk=key).first().pk
    for options in ({}, PHONE):
        for address in (f"/c/tableware/images/{key}/", f"/c/tableware/search/?image={neighbour}&price_max=6", "/"):
            page = open_page(address, **options)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address


def test_reduced_motion_is_respected(open_page: Open, shop: Collection) -> None:
    page = open_page("/c/tableware/", reduced_motion="reduce")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')]"
        ".filter((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0.001).length"
    )
    assert moving == 0
