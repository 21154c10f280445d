"""Collections by name."""

from __future__ import annotations

import pytest

from catalog.collections import collection_get_or_create, free_slug
from catalog.models import Collection
from tests.factories import CollectionFactory

pytestmark = pytest.mark.django_db


def test_made_then_found_by_name_and_by_slug() -> None:
    made = collection_get_or_create("Caltech 101")
    assert (made.slug, made.is_public) == ("caltech-101", False)
    assert collection_get_or_create("Caltech 101") == collection_get_or_create("caltech-101") == made


def test_public_is_set_and_left() -> None:
    assert collection_get_or_create("a", is_public=True).is_public
    assert collection_get_or_create("a").is_public
    assert Collection.objects.get().is_public


@pytest.mark.parametrize("name", ["杯子", "!!!", "😀"])
def test_names_without_latin_letters_get_a_usable_slug(name: str) -> None:
    slug = collection_get_or_create(name).slug
    assert slug.startswith("c-")
    assert len(slug) == 10
    assert collection_get_or_create(name).slug == slug


def test_taken_and_long_slugs() -> None:
    CollectionFactory.create(slug="mugs")
    assert free_slug("Mugs!") == "mugs-2"
    assert len(collection_get_or_create("x" * 300).slug) == 60
    assert len(free_slug("x" * 300)) <= 60


def test_long_name_is_found_again() -> None:
    assert collection_get_or_create("y" * 300) == collection_get_or_create("y" * 300)
