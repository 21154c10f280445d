"""Calibrating scores in the admin, and what the page shows of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from search.models import FeatureModel, SearchIndex
from tests import factories
from tests.search.gallery import make_index

pytestmark = pytest.mark.django_db


@pytest.fixture
def index() -> SearchIndex:
    return make_index(120)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def page(client: Client, index: SearchIndex) -> str:
    return client.get(reverse("admin:search_searchindex_change", args=[index.pk])).content.decode()


def calibrate(client: Client, index: SearchIndex, **more: Any) -> str:
    data = {"action": "calibrate", "_selected_action": index.pk, **more}
    return client.post(reverse("admin:search_searchindex_changelist"), data, follow=True).content.decode()


def test_it_asks_on_what_and_offers_the_collections_own_benchmarks(index: SearchIndex, staff: Client) -> None:
    own = factories.BenchmarkFactory(collection=index.collection, name="our labels")
    other = factories.BenchmarkFactory(name="of another")
    html = calibrate(staff, index)
    assert own.name in html
    assert other.name not in html
    assert "No labels" in html
    index.refresh_from_db()
    assert index.calibration == {}


def test_without_labels_it_is_estimated_and_shown(index: SearchIndex, staff: Client) -> None:
    assert "Not calibrated" in page(staff, index)
    assert "are calibrated" in calibrate(staff, index, confirmed="yes", benchmark="")
    html = page(staff, index)
    assert "without labels" in html
    assert 'aria-label="probability over score"' in html


def test_too_few_labels_are_refused_in_words(index: SearchIndex, staff: Client) -> None:
    benchmark = factories.BenchmarkFactory(collection=index.collection)
    html = calibrate(staff, index, confirmed="yes", benchmark=benchmark.pk)
    assert "too few to calibrate" in html
    assert "Label at least 10 queries" in html


def test_a_benchmark_of_another_collection_is_not_taken(index: SearchIndex, staff: Client) -> None:
    other = factories.BenchmarkFactory()
    calibrate(staff, index, confirmed="yes", benchmark=other.pk)
    index.refresh_from_db()
    assert index.calibration["benchmark"] == ""


def test_one_of_other_descriptors_is_said_to_be_out_of_date(index: SearchIndex, staff: Client) -> None:
    calibrate(staff, index, confirmed="yes")
    FeatureModel.objects.update(fingerprint="e" * 64)
    assert "Out of date" in page(staff, index)


def test_who_may_only_look_calibrates_nothing(index: SearchIndex, client: Client) -> None:
    user = factories.StaffFactory(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(codename="view_searchindex"))
    client.force_login(user)
    assert "Calibrate scores" not in page(client, index)
    calibrate(client, index, confirmed="yes")
    index.refresh_from_db()
    assert index.calibration == {}
