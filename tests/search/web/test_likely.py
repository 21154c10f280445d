"""The cut-off: hits less likely than it are folded away, and how likely can be chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import Client

from catalog.models import Collection
from search.builds import index_for
from search.calibration import Calibration
from search.models import SearchIndex
from search.services import search_by_image
from search.serving import forget
from search.web.likely import choices
from tests.search.web.conftest import Page

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(shop: Collection) -> str:
    return f"/c/tableware/search/?image={shop.images.order_by('id').first().pk}"


@pytest.fixture
def calibrated(shop: Collection) -> SearchIndex:
    """Half of the first page's hits are likelier than one half."""
    index = index_for(shop)
    scores = [hit.score for hit in search_by_image(shop, shop.images.order_by("id").first(), k=24, index=index).hits]
    middle = float(np.median(scores))
    curve = Calibration("labels", (min(scores) - 0.01, middle, max(scores) + 0.01), (0.0, 0.5, 1.0))
    index.calibration = {**curve.to_dict(), "fingerprint": index.feature_model.fingerprint}
    index.save()
    return index


def folded(page: Page) -> str:
    return " ".join(text for _, text in page.all("details", class_="less"))


def radios(page: Page) -> dict[str, bool]:
    return {found["value"]: "checked" in found for found, _ in page.all("input", type="radio", name="min_p")}


def test_without_a_calibration_there_is_no_choice_and_no_fold(client: Client, here: str) -> None:
    page = Page(client.get(f"{here}&min_p="))
    assert not radios(page)
    assert not page.all("details", class_="less")
    assert not page.all("span", class_="likely")


def test_probabilities_are_shown_as_such(client: Client, here: str, calibrated: SearchIndex) -> None:
    page = Page(client.get(here))
    shown = page.all("span", class_="likely")
    assert len(shown) == 24
    percents = [int(found["style"].removeprefix("--share:").rstrip("%")) for found, _ in shown]
    assert percents == sorted(percents, reverse=True)
    assert percents[0] > 90
    assert percents[-1] < 10
    assert shown[0][0]["title"].startswith(f"{percents[0]}% likely to be what you look for")
    assert radios(page) == {"": True, "0.5": False, "0.8": False}


def test_hits_below_the_address_are_folded(client: Client, here: str, calibrated: SearchIndex) -> None:
    page = Page(client.get(f"{here}&min_p=0.5"))
    assert folded(page).startswith("12 less likely hits: show")
    assert len(page.titles()) == 24  # they are there, folded, also without a script
    assert radios(page) == {"": False, "0.5": True, "0.8": False}


def test_the_index_has_its_own_cut_off_and_the_address_the_last_word(
    client: Client, here: str, calibrated: SearchIndex
) -> None:
    calibrated.cut_off = 0.35
    calibrated.save()
    page = Page(client.get(here))
    least = [int(found["style"].removeprefix("--share:").rstrip("%")) for found, _ in page.all("span", class_="likely")]
    count = sum(percent < 35 for percent in least)
    assert folded(page).startswith(f"{count} less likely hits: show")
    assert radios(page) == {"0": False, "": True, "0.5": False, "0.8": False}
    everything = Page(client.get(f"{here}&min_p=0"))
    assert not folded(everything)
    assert radios(everything)["0"]


def test_a_page_of_nothing_but_unlikely_hits_shows_them(client: Client, here: str, calibrated: SearchIndex) -> None:
    second = client.get(f"{here}&min_p=0.99&page=2")
    assert "None of these is likely" in second.content.decode()
    assert Page(second).titles()
    assert not folded(Page(second))
    first = client.get(f"{here}&min_p=1")  # asked for
    assert "None of the hits is as likely as that" in first.content.decode()
    assert folded(Page(first)).startswith("24 less likely hits: show")


def test_a_filter_keeps_the_choice(client: Client, here: str, calibrated: SearchIndex) -> None:
    page = Page(client.get(f"{here}&min_p=0.5&category=mugs"))
    assert page.link(class_="chip") == f"{here}&min_p=0.5"
    assert radios(page)["0.5"]


def test_where_nothing_is_likely_the_closest_are_shown_all_the_same(
    client: Client, here: str, calibrated: SearchIndex
) -> None:
    calibrated.cut_off = 1.0
    calibrated.save()
    answer = client.get(here)
    assert "These are the closest" in answer.content.decode()
    assert len(Page(answer).titles()) == 24
    assert not folded(Page(answer))


@pytest.fixture
def pinned(shop: Collection) -> str:
    """Title of the hit that comes last by itself; a rule pins it."""
    index = index_for(shop)
    last = search_by_image(shop, shop.images.order_by("id").first(), k=29, index=index).hits[-1].image.product
    SearchIndex.objects.filter(pk=index.pk).update(rules=[{"rule": "pin", "skus": [last.sku]}])
    forget()
    return str(last.title)


def test_a_rule_that_pins_a_hit_keeps_it_in_sight(
    client: Client, here: str, pinned: str, calibrated: SearchIndex
) -> None:
    page = Page(client.get(f"{here}&min_p=0.9"))
    assert page.titles()[0] == pinned
    assert "less likely hits: show" in folded(page)
    assert pinned not in folded(page)


@pytest.mark.parametrize("bad", ["x", "-0.1", "1.5", "nan", "50%"])
def test_a_probability_that_cannot_be_is_refused(client: Client, here: str, bad: str) -> None:
    answer = client.get(here, query_params={"image": here.split("=")[1], "min_p": bad})
    assert answer.status_code == 400
    assert "“How likely” cannot be" in Page(answer).alert()


@pytest.mark.parametrize(
    ("chosen", "default", "expected"),
    [
        (None, None, [("", True), ("0.5", False), ("0.8", False)]),
        (0.8, 0.5, [("0", False), ("", False), ("0.8", True)]),
        (0.125, None, [("", False), ("0.125", True), ("0.5", False), ("0.8", False)]),
    ],
)
def test_choices(chosen: float | None, default: float | None, expected: Any) -> None:
    offered = choices(chosen, default)
    assert [(choice.value, choice.chosen) for choice in offered] == expected
    assert "12.5% or more" in [choice.label for choice in offered] or chosen != 0.125
