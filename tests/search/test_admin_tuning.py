"""Tuning in the admin: the frontier as a picture and a table, and taking one of its points."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from search.models import SearchIndex
from tests import factories

pytestmark = pytest.mark.django_db
MADE = "2026-01-31T12:00:00+00:00"


def point(factory: str, recall: float, ms: float, **more: Any) -> dict[str, Any]:
    base = {"factory": factory, "search_params": {}, "fine_depth": 100, "recall": recall, "ms": ms, "p99_ms": 2 * ms}
    return {**base, "bytes": 80.4, "frontier": True, "chosen": False, **more}


POINTS = [
    point("IVF4,SQ8", 0.81, 0.05, search_params={"nprobe": 1}),
    point("IVF4,SQ8", 0.97, 0.1, search_params={"nprobe": 4}, fine_depth=50, chosen=True),
    point("Flat", 1.0, 2.0),
    point("HNSW4", 0.5, 3.0, frontier=False),
]


@pytest.fixture
def index() -> SearchIndex:
    tuning = {"target": 0.95, "queries": 200, "count": 1000, "made": MADE, "max_bytes": None, "points": POINTS}
    model = factories.FeatureModelFactory(dim=32)
    return factories.SearchIndexFactory(feature_model=model, tuning=tuning, preset="")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def address(page: str, index: SearchIndex) -> str:
    return reverse(f"admin:search_searchindex_{page}", args=[index.pk])


def test_every_point_is_in_the_picture_and_in_a_table(index: SearchIndex, staff: Client) -> None:
    html = staff.get(address("change", index)).content.decode()
    assert html.count("<circle") == len(POINTS)
    assert html.count('class="lk-chosen-point"') == 1
    assert html.count("Use this point") == len(POINTS)
    assert "nprobe 4" in html
    assert "0.970" in html


def test_an_index_that_was_not_tuned_says_how(index: SearchIndex, staff: Client) -> None:
    SearchIndex.objects.update(tuning={})
    html = staff.get(address("change", index)).content.decode()
    assert f"tune_index {index.collection.slug} --index {index.name}" in html
    assert "<circle" not in html


@pytest.mark.parametrize("points", [POINTS[:1], [point("Flat", 1.0, 0.0)], [point("Flat", 0.0, 5.0)]])
def test_a_picture_of_one_point_can_be_drawn(index: SearchIndex, staff: Client, points: Any) -> None:
    SearchIndex.objects.update(tuning={**index.tuning, "points": points})
    html = staff.get(address("change", index)).content.decode()
    assert html.count("<circle") == 1
    assert "nan" not in html.split("<svg class")[1].split("</svg>")[0]


def test_taking_a_point_sets_the_index(index: SearchIndex, staff: Client) -> None:
    response = staff.post(address("use_point", index), {"made": MADE, "point": 1}, follow=True)
    html = response.content.decode()
    assert "Build the index for this change" in html
    index.refresh_from_db()
    assert (index.preset, index.factory) == ("", "IVF4,SQ8")
    assert (index.search_params, index.fine_depth) == ({"nprobe": 4}, 50)
    assert html.count("in use") == 1
    assert html.count("Use this point") == len(POINTS) - 1


@pytest.mark.parametrize(
    ("posted", "says"),
    [
        ({"made": "2020-01-01T00:00:00+00:00", "point": 1}, "tuned again"),
        ({"made": MADE, "point": 9}, "tuned again"),
        ({"made": MADE}, "tuned again"),
        ({"made": MADE, "point": "x"}, "tuned again"),
    ],
)
def test_a_point_that_is_not_there_is_refused(index: SearchIndex, staff: Client, posted: Any, says: str) -> None:
    assert says in staff.post(address("use_point", index), posted, follow=True).content.decode()
    index.refresh_from_db()
    assert index.factory == ""


def test_who_may_only_look_sees_no_button_and_takes_none(index: SearchIndex, client: Client) -> None:
    user = factories.StaffFactory(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(codename="view_searchindex"))
    client.force_login(user)
    assert "Use this point" not in client.get(address("change", index)).content.decode()
    assert client.post(address("use_point", index), {"made": MADE, "point": 1}).status_code == 403
    index.refresh_from_db()
    assert index.factory == ""
