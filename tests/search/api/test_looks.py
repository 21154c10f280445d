"""What a query looks like, in the answer of a search."""

from __future__ import annotations

import numpy as np
import pytest

from search.models import Embedding, SearchIndex
from search.vectors import from_bytes
from tests.search.api.conftest import Api
from tests.search.branches import BranchSite, branch_site, embed

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> BranchSite:
    site = branch_site(36)
    site.collection.indexes.all().delete()
    for name, model, default in (("read", site.model, True), ("plain", site.base, False)):
        SearchIndex.objects.create(collection=site.collection, name=name, feature_model=model, is_default=default)
    rows = Embedding.objects.filter(feature_model=site.base).order_by("image_id")
    x = site.branch.apply(np.stack([from_bytes(row.vector, site.base.dim) for row in rows]))
    embed(site.images, site.model, x)
    return site


def test_attributes_come_with_their_confidence(site) -> None:
    answer = Api().post("search/", {"collection": "kitchen", "image_id": site.images[4].pk, "k": 3}).json()
    assert [(seen["attribute"], seen["value"]) for seen in answer["looks_like"]] == [
        ("category", "bowls"),
        ("colour", "blue"),
    ]
    assert all(0.5 < seen["confidence"] <= 1 for seen in answer["looks_like"])


def test_they_are_the_filters_of_the_next_search(site) -> None:
    asked = {"collection": "kitchen", "image_id": site.images[4].pk, "k": 30}
    category, colour = Api().post("search/", asked).json()["looks_like"]
    narrowed = {**asked, "category": [category["value"]], "attributes": {colour["attribute"]: colour["value"]}}
    hits = Api().post("search/", narrowed).json()["hits"]
    assert hits
    assert {(hit["product"]["category"], hit["product"]["attributes"]["colour"]) for hit in hits} == {("bowls", "blue")}


def test_an_index_without_a_branch_says_nothing(site) -> None:
    asked = {"collection": "kitchen", "image_id": site.images[4].pk, "index": "plain"}
    assert Api().post("search/", asked).json()["looks_like"] == []
