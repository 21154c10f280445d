"""Facts of pictures: the same whichever way they are read, with few and short looks into the database."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Image, ImageRole, Product
from search.facts import facts_by_id, facts_by_sku, facts_of
from search.ranking import Facts
from tests.search.gallery import make_index

pytestmark = pytest.mark.django_db


def test_all_ways_tell_the_same() -> None:
    index = make_index(5)
    made = timezone.now() - timedelta(days=3)
    Product.objects.filter(sku="00003").update(brand="Acme", attributes={"size": [1, "L"]}, created=made)
    image = Image.objects.select_related("product").get(product__sku="00003")
    whole = facts_of(image)
    assert whole.age_days == pytest.approx(3, abs=0.01)
    assert (whole.sku, whole.brand, whole.category) == ("00003", "Acme", "category 3")
    assert (whole.stock, whole.price, whole.attributes) == (1, Decimal(3), {"size": [1, "L"]})
    for other in (facts_by_id([image.pk])[image.pk], facts_by_sku(index.collection_id, ["00003"])[image.pk]):
        assert other.age_days == pytest.approx(whole.age_days, abs=0.01)
        assert {**vars(other), "age_days": 0} == {**vars(whole), "age_days": 0}


def test_a_picture_without_a_product_has_none() -> None:
    make_index(1)
    Image.objects.update(product=None)
    image = Image.objects.select_related("product").get()
    assert facts_of(image) == facts_by_id([image.pk])[image.pk] == Facts()


def test_only_what_is_there_and_may_be_seen() -> None:
    index, other = make_index(4), make_index(4)
    ids = list(index.collection.images.order_by("pk").values_list("pk", flat=True))
    Image.objects.filter(pk=ids[0]).update(role=ImageRole.QUERY)
    gallery = Image.objects.filter(role=ImageRole.GALLERY)
    assert set(facts_by_id([*ids, 10**9], gallery)) == set(ids[1:])
    assert set(facts_by_sku(index.collection_id, ["00000", "00001", "no"])) == {ids[1]}
    assert not set(facts_by_sku(other.collection_id, ["00001"])) & set(ids)


@pytest.mark.skipif("connection.vendor != 'sqlite'")
def test_no_look_walks_through_a_collection() -> None:
    """SQLite takes an index of the collection for a query that names it, even where keys are given."""
    index = make_index(50)
    with CaptureQueriesContext(connection) as queries:
        facts_by_sku(index.collection_id, ["00001", "00002"])
    plans = []
    with connection.cursor() as cursor:
        for query in queries.captured_queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans += [row[3] for row in cursor.fetchall()]
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN") or plan.endswith("(collection_id=?)")]
