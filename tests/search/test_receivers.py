"""Added pictures are announced once a batch and embedded by a task."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.services import images_announce
from search.models import SearchIndex
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr("search.tasks.embed_pending.delay_on_commit", lambda *args: calls.append(args))
    return calls


def test_a_collection_without_an_index_gets_its_default_one(enqueued: list[tuple[Any, ...]]) -> None:
    collection = factories.CollectionFactory()
    images_announce(collection, [1, 2])
    index = SearchIndex.objects.get(collection=collection)
    assert enqueued == [(collection.pk, index.feature_model_id)]


def test_every_feature_model_in_use_is_asked_once(enqueued: list[tuple[Any, ...]]) -> None:
    first = factories.SearchIndexFactory()
    collection = first.collection
    factories.SearchIndexFactory(
        collection=collection, name="again", feature_model=first.feature_model, is_default=False
    )
    other = factories.SearchIndexFactory(collection=collection, name="other", is_default=False)
    images_announce(collection, [1])
    expected = {(collection.pk, first.feature_model_id), (collection.pk, other.feature_model_id)}
    assert len(enqueued) == len(expected)
    assert set(enqueued) == expected
