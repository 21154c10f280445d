"""A real Chromium on the live site. A page with an error in its console fails the test that opened it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from playwright.sync_api import Browser, BrowserContext, Page

from catalog.models import Collection
from search.builds import index_for
from search.embedding import embed_pending
from tests import factories

DESKTOP = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
TITLES = ("Mug", "Bowl", "Plate", "Jug")
Open = Callable[..., Page]


@pytest.fixture
def shop(transactional_db: None) -> Collection:
    """Forty products with a picture each, in four categories, a quarter of them sold out."""
    collection = factories.CollectionFactory.create(name="Tableware", slug="tableware")
    for number in range(40):
        kind = TITLES[number % 4]
        product = factories.ProductFactory.create(
            collection=collection,
            title=f"{kind} {number}",
            category=f"{kind.lower()}s",
            price=Decimal(5 + number),
            stock=0 if number % 4 == 3 else 6,
            attributes={"colour": "red" if number < 20 else "blue", "material": "clay"},
        )
        factories.ImageFactory.create(product=product, seed=number + 1, size_px=(240, 180))
    embed_pending(collection, index_for(collection).feature_model)
    return collection


@pytest.fixture
def quiet(live_server: Any) -> Iterator[Callable[[], None]]:
    """Waits till the live site answers nothing any more: the database is emptied under it next."""
    running: list[object] = []
    changed = threading.Condition()

    def begin(**kwargs: Any) -> None:
        with changed:
            running.append(object())

    def end(**kwargs: Any) -> None:
        with changed:
            running.pop()
            changed.notify_all()

    def wait() -> None:
        with changed:
            assert changed.wait_for(lambda: not running, timeout=20), "a request never ended"

    request_started.connect(begin)
    request_finished.connect(end)
    yield wait
    request_started.disconnect(begin)
    request_finished.disconnect(end)


@pytest.fixture
def open_page(browser: Browser, live_server: Any, quiet: Callable[[], None]) -> Iterator[Open]:
    """``open_page("/", **context)``: a page of its own context; at the end its console must be clean."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(address: str, **options: Any) -> Page:
        context = browser.new_context(base_url=live_server.url, **{**DESKTOP, **options})
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda said: complaints.append(f"{page.url}: {said.text}") if said.type in NOISE else None)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        for page in context.pages:
            page.wait_for_load_state("networkidle")
        context.close()
    quiet()
    expected = "the server responded with a status of 4"  # a refusal that a test asked for
    assert [said for said in complaints if expected not in said] == []


NOISE = {"error", "warning"}


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Keep a picture of a page for people to look at, in the folder LOOKALIKE_SCREENSHOTS."""
    folder = os.environ.get("LOOKALIKE_SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        page.wait_for_load_state("networkidle")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(Path(folder) / f"{name}.png"))

    return take


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A visitor's own picture: that of the eighth product."""
    path = tmp_path / "mine.jpg"
    path.write_bytes(factories.picture(8, (240, 180)))
    return path
