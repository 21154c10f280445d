"""Whatever changes a collection's pictures, or what rules may know of them, is noted by the database itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from catalog.models import Collection, Image, ImageRole, Product
from search import catalog_changes
from search.catalog_changes import Catalog, catalog_of, changes_purge
from search.models import CatalogChange, SearchIndex
from tests.factories import CollectionFactory, ImageFactory, ProductFactory
from tests.search.gallery import make_index

pytestmark = pytest.mark.django_db
PICTURES, PRODUCTS = "pictures", "products"


@pytest.fixture
def index() -> SearchIndex:
    return make_index(4)


def sql(text: str) -> Callable[[Collection], object]:
    def run(collection: Collection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(text, [collection.pk])

    return run


def first_of(collection: Collection) -> Any:
    return Image.objects.filter(pk=collection.images.first().pk)


def _save(collection: Collection) -> None:
    product = collection.products.first()
    product.price = Decimal(7)
    product.save()


def _bulk(collection: Collection) -> None:
    products = list(collection.products.all())
    for product in products:
        product.stock = 9
    Product.objects.bulk_update(products, ["stock"])


NOTED: dict[str, tuple[Callable[[Collection], object], set[str]]] = {
    "a save": (_save, {PRODUCTS}),
    "many at once": (_bulk, {PRODUCTS}),
    "an update": (lambda c: c.products.update(brand="new"), {PRODUCTS}),
    "attributes": (lambda c: c.products.update(attributes={"a": ["b"]}), {PRODUCTS}),
    "SQL by hand": (sql("UPDATE catalog_product SET category = 'x' WHERE collection_id = %s"), {PRODUCTS}),
    "a picture of another product": (lambda c: first_of(c).update(product=None), {PRODUCTS}),
    "a picture hidden": (lambda c: first_of(c).update(role=ImageRole.QUERY), {PICTURES}),
    "a picture deleted": (lambda c: c.images.first().delete(), {PICTURES}),
    "a product deleted with its pictures": (lambda c: c.products.first().delete(), {PICTURES}),
    "embeddings deleted by hand": (sql("DELETE FROM search_embedding WHERE image_id IN (SELECT id FROM catalog_image "
                                     "WHERE collection_id = %s)"), set()),
    "a picture added": (lambda c: ImageFactory(product=None, collection=c), {PICTURES}),
    "a query picture": (lambda c: ImageFactory(product=None, collection=c, role=ImageRole.QUERY), set()),
    "a new title": (lambda c: c.products.update(title="new", url="https://shop.example/"), set()),
    "a save that changes nothing": (lambda c: [product.save() for product in c.products.all()], set()),
    "a product without a picture": (lambda c: ProductFactory(collection=c), set()),
    "another collection": (lambda _: make_index(2).collection.products.update(stock=99), set()),
}  # fmt: skip


@pytest.mark.parametrize("what", NOTED)
def test_what_is_noted(index: SearchIndex, what: str) -> None:
    change, kinds = NOTED[what]
    before = catalog_of(index.collection_id)
    change(index.collection)
    after = catalog_of(index.collection_id)
    assert {kind for kind in (PICTURES, PRODUCTS) if getattr(after, kind) != getattr(before, kind)} == kinds


def test_a_product_that_moves_is_noted_in_both(index: SearchIndex) -> None:
    other = CollectionFactory()
    before = catalog_of(index.collection_id), catalog_of(other.pk)
    index.collection.products.filter(pk=index.collection.products.first().pk).update(collection=other)
    after = catalog_of(index.collection_id), catalog_of(other.pk)
    assert before[0].products != after[0].products
    assert before[1].products != after[1].products


def test_what_is_rolled_back_did_not_happen(index: SearchIndex) -> None:
    before = catalog_of(index.collection_id)
    with transaction.atomic():
        index.collection.products.update(stock=9)
        assert catalog_of(index.collection_id) != before
        transaction.set_rollback(True)
    assert catalog_of(index.collection_id) == before


def test_no_two_states_look_alike(index: SearchIndex) -> None:
    seen: list[Catalog] = [catalog_of(index.collection_id)]
    for stock in (5, 6, 5, 6):
        index.collection.products.update(stock=stock)
        seen.append(catalog_of(index.collection_id))
    assert len(set(seen)) == len(seen)


def test_a_change_that_is_committed_late_counts(index: SearchIndex) -> None:
    """Its id was given before those that are there already."""
    now = timezone.now()
    key = index.collection_id
    CatalogChange.objects.create(pk=10**6 + 5, collection_id=key, kind=PRODUCTS, created=now)
    before = catalog_of(key)
    CatalogChange.objects.create(pk=10**6 + 1, collection_id=key, kind=PRODUCTS, created=now)
    assert catalog_of(key) != before


def test_old_changes_go_but_for_the_last(index: SearchIndex) -> None:
    old, key = timezone.now() - timedelta(days=2), index.collection_id
    CatalogChange.objects.all().delete()
    for number in range(1, 4):
        CatalogChange.objects.create(pk=10**6 + number, collection_id=key, kind=PRODUCTS, created=old)
    CatalogChange.objects.create(pk=10**6, collection_id=key + 1, kind=PRODUCTS, created=old)
    assert changes_purge() == 2
    assert set(CatalogChange.objects.values_list("pk", flat=True)) == {10**6 + 3, 10**6}


def test_a_deleted_collection_leaves_no_error(index: SearchIndex) -> None:
    Embedding = index.feature_model.embeddings.model
    Embedding.objects.all().delete()
    collection = index.collection
    SearchIndex.objects.all().delete()
    collection.delete()
    assert not Image.objects.exists()


def test_migrating_makes_the_triggers_anew_and_counts_as_a_change(index: SearchIndex) -> None:
    before = catalog_of(index.collection_id)
    catalog_changes.unwatch(plan=[object()])
    index.collection.products.update(stock=9)
    assert catalog_of(index.collection_id) == before
    catalog_changes.watch(plan=[object()])
    after = catalog_of(index.collection_id)
    assert after.products != before.products
    assert after.pictures != before.pictures
    catalog_changes.watch()
    assert catalog_of(index.collection_id) == after
    index.collection.products.update(stock=10)
    assert catalog_of(index.collection_id) != after
