"""What rules would do, before they are saved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from search import serving
from search.ranking import BadRule
from search.rule_preview import preview
from tests.search.gallery import make_index

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


def test_before_after_and_what_was_left_out_with_reasons() -> None:
    index = make_index(120, rules=[{"rule": "min_score", "score": 1.0}])  # saved rules play no part
    image = index.collection.images.order_by("id").first()
    assert image is not None
    rules = [{"rule": "block", "categories": ["category 2"]}, {"rule": "in_stock_first"}]
    found = preview(index, rules, image, k=30)
    assert [hit.rank for hit in found.before] == list(range(1, 31))
    assert [hit.score for hit in found.before] == sorted((hit.score for hit in found.before), reverse=True)
    assert image.pk not in {hit.image.pk for hit in [*found.before, *found.after, *found.dropped]}
    assert all(hit.image.product.stock for hit in found.after)
    assert all(hit.image.product.category != "category 2" for hit in found.after)
    assert {reason.rule for hit in found.after for reason in hit.reasons} == {"in_stock_first"}
    assert all(hit.reasons[-1].rule == "block" for hit in found.dropped)
    assert [hit.rank for hit in found.dropped] == [0] * len(found.dropped)
    assert [tier.name for tier in found.tiers] == ["coarse", "fine", "block", "in_stock_first"]
    assert found.tiers[2].dropped == 12
    assert found.tiers[3].moved > 0


def test_a_picture_brought_in_by_a_pin_is_shown() -> None:
    index = make_index(600, fine_depth=20, rules_depth=20)
    image = index.collection.images.order_by("id").first()
    assert image is not None
    far = preview(index, [], image, k=500).before[-1]
    found = preview(index, [{"rule": "pin", "skus": [far.image.product.sku]}], image)
    assert found.after[0].image == far.image
    assert found.after[0].score == pytest.approx(far.score, abs=1e-3)
    assert len(found.after) == 12


def test_bad_rules_are_refused() -> None:
    index = make_index(3)
    with pytest.raises(BadRule):
        preview(index, [{"rule": "boost"}], index.collection.images.first())


def test_few_queries_whatever_k() -> None:
    index = make_index(60)
    image = index.collection.images.first()
    preview(index, [], image)
    counts = []
    for k in (5, 50):
        with CaptureQueriesContext(connection) as queries:
            preview(index, [{"rule": "one_per_product"}], image, k=k)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


def test_reasons_are_in_the_readers_language() -> None:
    index = make_index(60)
    with translation.override("en"):
        found = preview(index, [{"rule": "in_stock_first"}], index.collection.images.first(), k=40)
    assert any("moved up" in reason.text for hit in found.after for reason in hit.reasons)
