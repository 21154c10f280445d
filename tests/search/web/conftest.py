"""A small shop with real descriptors, and what is written on its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import translation

from catalog.models import Collection
from search.builds import index_for
from search.embedding import embed_pending
from tests import factories

SIZE = 30  # more than a page of results, less than two


def embed(collection: Collection) -> None:
    embed_pending(collection, index_for(collection).feature_model)


@pytest.fixture
def shop(db: None) -> Collection:
    """Thirty products with a picture each: ten mugs, twenty plates; every third out of stock."""
    collection = factories.CollectionFactory.create(name="Tableware", slug="tableware")
    for number in range(SIZE):
        product = factories.ProductFactory.create(
            collection=collection,
            sku=f"T-{number:02}",
            title=f"Thing {number}",
            category="mugs" if number < 10 else "plates",
            price=Decimal(5 + number),
            stock=0 if number % 3 == 0 else 4,
            attributes={"colour": "red" if number % 2 else "blue"},
        )
        factories.ImageFactory.create(product=product, seed=number + 1)
    embed(collection)
    return collection


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A request leaves its language behind in the thread; each test begins in English."""
    with translation.override("en"):
        yield


@pytest.fixture
def upload() -> Callable[..., SimpleUploadedFile]:
    def make(data: bytes | None = None, name: str = "mine.jpg") -> SimpleUploadedFile:
        return SimpleUploadedFile(name, factories.picture(777) if data is None else data, "image/jpeg")

    return make


class Page(HTMLParser):
    """Elements of a page by tag, with their attributes and text."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "use", "path", "rect", "circle", "source", "hr"})

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in self.VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)

    def all(self, tag: str, **attributes: str) -> list[tuple[dict[str, str], str]]:
        """(attributes, text) of elements of ``tag``; ``class_="hit"`` asks for one of its classes."""
        wanted_class = attributes.pop("class_", "")
        return [
            (found, " ".join("".join(text).split()))
            for name, found, text in self.elements
            if name == tag
            and (not wanted_class or wanted_class in found.get("class", "").split())
            and all(found.get(key.replace("_", "-")) == value for key, value in attributes.items())
        ]

    def titles(self) -> list[str]:
        """Titles of the hits, in their order."""
        return [text for _, text in self.all("h2") if text.startswith("Thing ")]

    def link(self, **attributes: str) -> str:
        """The address of the one link with these attributes."""
        ((found, _),) = self.all("a", **attributes)
        return found["href"]

    def alert(self) -> str:
        return " ".join(text for found, text in self.all("div", role="alert") if "hidden" not in found)
