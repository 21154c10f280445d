"""The admin's form of a feature model: power, scales and flip, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from search.models import FeatureModel
from tests import factories
from tests.search.extraction.conftest import write_network

pytestmark = pytest.mark.django_db
ADD = "admin:search_featuremodel_add"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def fields(**more: Any) -> dict[str, Any]:
    base = {"name": "m", "backbone": "color_gradient", "pooling": "mean", "gem_p": "3", "runtime": "auto"}
    return {**base, "power": "1", "scales": "", "preprocessing": "{}", **more}


def test_it_shows_and_keeps_them(staff: Client, tmp_path: Path) -> None:
    path = write_network(tmp_path / "small.onnx")
    asked = {"backbone": "onnx", "weights": str(path), "power": "0.5", "scales": "1, 0.7071", "flip": "on"}
    assert staff.post(reverse(ADD), fields(pooling="rmac", **asked)).status_code == 302
    row = FeatureModel.objects.get()
    assert (row.pooling, row.power, row.scales, row.flip, row.dim) == ("rmac", 0.5, [1, 0.7071], True, 8)
    page = staff.get(reverse("admin:search_featuremodel_change", args=[row.pk])).content.decode()
    assert 'value="1, 0.7071"' in page
    listed = staff.get(reverse("admin:search_featuremodel_changelist")).content.decode()
    assert "rmac · power 0.5 · scales 1, 0.7071 · flip" in listed.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("given", ["", " ", "[]"])
def test_empty_fields_are_the_usual(staff: Client, given: str) -> None:
    assert staff.post(reverse(ADD), fields(power="", scales=given)).status_code == 302
    row = FeatureModel.objects.get()
    assert (row.power, row.scales, row.flip) == (1.0, [], False)
    plain = factories.FeatureModelFactory()
    assert row.spec == plain.spec


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("power", "0", "above 0"),
        ("power", "1.5", "not be above 1"),
        ("power", "half", "number"),
        ("gem_p", "-1", "above 0"),
        ("scales", "one", "numbers with commas"),
        ("scales", '"1"', "numbers with commas"),
        ("scales", "true", "numbers with commas"),
        ("scales", "0.1", "between 0.25 and 2"),
        ("scales", "1, 3", "between 0.25 and 2"),
        ("scales", "NaN", "between 0.25 and 2"),
        ("scales", "1,1,1,1,1,1", "at most 5"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(staff: Client, field: str, value: str, said: str) -> None:
    response = staff.post(reverse(ADD), fields(**{field: value}))
    errors = response.context["adminform"].form.errors
    assert list(errors) == [field]
    assert said in str(errors[field])
    assert not FeatureModel.objects.exists()


def test_a_network_of_one_size_takes_no_scales(staff: Client) -> None:
    response = staff.post(reverse(ADD), fields(scales="1, 0.5"))
    assert "128 pixels only" in response.content.decode()
    assert not FeatureModel.objects.exists()


def test_a_copy_has_them_too(staff: Client) -> None:
    row = factories.FeatureModelFactory(power=0.5, flip=True, pooling="rmac")
    staff.post(reverse("admin:search_featuremodel_changelist"), {"action": "copy", "_selected_action": row.pk})
    copy = FeatureModel.objects.exclude(pk=row.pk).get()
    assert copy.spec == row.spec
