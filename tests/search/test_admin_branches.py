"""A branch is started from a collection, and its run's page tells what it reads."""

from __future__ import annotations

import pytest
from django.urls import reverse

from catalog.jobs import JobState
from search.models import TrainingRun
from tests import factories
from tests.search.branches import branch_site

pytestmark = pytest.mark.django_db
RESULTS = {
    "weight": 0.45,
    "products": {"fitted": 60, "tuned": 20, "measured": 20},
    "proposals": 7,
    "heads": [{"attribute": "colour", "values": ["red", "blue", ""], "exclusive": True, "temperature": 1.1,
               "products": 20, "accuracy": 0.8, "majority": 0.45, "told": 0.5, "right_when_told": None, "ece": 0.04}],
    "mAP": [{"by": "", "queries": 40, "without": 0.61, "with": 0.74, "low": 0.1, "high": 0.16}],
    "left_out": [{"attribute": "year", "why": "numbers"}],
}  # fmt: skip


@pytest.fixture
def staff(client):
    client.force_login(factories.StaffFactory())
    return client


def test_it_begins_with_what_the_collection_is_searched_with(staff) -> None:
    site = branch_site(36)
    site.collection.indexes.all().delete()
    factories.SearchIndexFactory(collection=site.collection, feature_model=site.model)
    ticked = {"action": "learn_attributes", "_selected_action": [site.collection.pk]}
    where = reverse("admin:catalog_collection_changelist")
    assert "Started:" in staff.post(where, ticked, follow=True).content.decode()
    run = TrainingRun.objects.get()
    assert (run.kind, run.base, run.name) == ("branch", site.base, "known kitchen")
    staff.post(where, ticked)
    assert set(TrainingRun.objects.values_list("name", flat=True)) == {"known kitchen", "known kitchen 2"}


def test_what_cannot_be_learnt_is_said(staff) -> None:
    collection = factories.CollectionFactory()
    factories.ImageFactory(product=factories.ProductFactory(collection=collection))
    ticked = {"action": "learn_attributes", "_selected_action": [collection.pk]}
    answer = staff.post(reverse("admin:catalog_collection_changelist"), ticked, follow=True)
    assert "two values of eight products each" in answer.content.decode()
    assert not TrainingRun.objects.exists()


def test_the_page_of_the_run_tells_what_it_reads(staff) -> None:
    run = TrainingRun.objects.create(kind="branch", name="read", state=JobState.DONE, results=RESULTS)
    text = staff.get(reverse("admin:search_trainingrun_change", args=[run.pk])).content.decode()
    for told in ("80.0 %", "45.0 %", "0.610", "0.740", "+0.100 … +0.160", "the same product", "amounts, not kinds"):
        assert told in text
    assert "weighs 0.45 beside the descriptor" in text
