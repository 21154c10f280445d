"""Filters as selections: kept, brought up to date, prepared once a build."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Image, ImageRole, Product
from catalog.services import product_upsert
from search import selectors, serving
from search.builds import build_create, build_run
from search.filters import Filters
from search.indexes import Selection, build_index
from search.models import SearchIndex
from search.prepared_selections import PreparedSelections
from search.ranking import rules_from
from search.selectors import allowed_for, permitted_for
from tests.search.gallery import add_pictures, make_index
from tests.search.indexes.descriptors import clustered

pytestmark = pytest.mark.django_db
IN_STOCK = Filters(in_stock=True)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A monotonic clock that stands still unless moved."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(selectors, "time", clock)
    return clock


def passing(index: SearchIndex, filters: Filters) -> list[int]:
    return sorted(filters.apply(Image.objects.filter(collection=index.collection)).values_list("pk", flat=True))


def allowed(index: SearchIndex, filters: Filters = IN_STOCK) -> list[int]:
    selection = allowed_for(index, filters)
    assert selection is not None
    return selection.ids.tolist()


def test_no_filter_is_no_selection() -> None:
    assert allowed_for(make_index(3), Filters()) is None


def test_it_is_what_the_database_says_and_read_once(clock: Any) -> None:
    index = make_index(40)
    first = allowed_for(index, IN_STOCK)
    assert first is not None
    assert first.ids.tolist() == passing(index, IN_STOCK)
    with CaptureQueriesContext(connection) as queries:
        assert allowed_for(index, IN_STOCK) is first
    assert len(queries) == 0


def test_unchanged_it_stays_the_same_object_for_a_few_short_looks(clock: Any) -> None:
    index = make_index(40)
    first = allowed_for(index, IN_STOCK)
    for _ in range(3):
        clock.now += 1.0
        with CaptureQueriesContext(connection) as queries:
            assert allowed_for(index, IN_STOCK) is first
        assert len(queries) <= 4


def test_another_collection_and_other_filters_are_others() -> None:
    one, two = make_index(10), make_index(10)
    assert not set(allowed(one)) & set(allowed(two))
    assert allowed(one, Filters(categories=("category 3",))) == passing(one, Filters(categories=("category 3",)))


def change_by_service(product: Product) -> None:
    product_upsert(product.collection, product.sku, stock=7)


def change_by_save(product: Product) -> None:
    product.stock = 7
    product.save()


def change_in_bulk(product: Product) -> None:
    product.stock, product.updated = 7, timezone.now()
    Product.objects.bulk_update([product], ["stock", "updated"])


@pytest.mark.parametrize("change", [change_by_service, change_by_save, change_in_bulk])
def test_a_changed_product_is_noticed_within_a_second(change: Any, clock: Any) -> None:
    index = make_index(30)
    before = allowed(index)
    sold_out = Product.objects.filter(collection=index.collection, stock=0).first()
    assert sold_out is not None
    change(sold_out)
    assert allowed(index) == before
    clock.now += 1.0
    assert allowed(index) == passing(index, IN_STOCK)
    assert len(allowed(index)) == len(before) + 1


def test_what_no_longer_passes_leaves(clock: Any) -> None:
    index = make_index(30)
    before = allowed(index)
    Product.objects.filter(images=before[0]).update(stock=0, updated=timezone.now())
    clock.now += 1.0
    assert allowed(index) == before[1:]


def test_new_pictures_come_in(clock: Any) -> None:
    index = make_index(30)
    allowed(index)
    add_pictures(index, 5, seed=9)
    clock.now += 1.0
    assert allowed(index) == passing(index, IN_STOCK)


def test_a_change_committed_behind_a_later_one_is_noticed(clock: Any) -> None:
    """Its time was given before the commit: the newest time does not move when it appears."""
    index = make_index(30)
    sold_out = list(Product.objects.filter(collection=index.collection, stock=0)[:2])
    Product.objects.filter(pk=sold_out[0].pk).update(stock=5, updated=timezone.now())
    allowed(index)
    earlier = timezone.now() - selectors.WINDOW / 2
    Product.objects.filter(collection=index.collection).exclude(pk=sold_out[0].pk).update(
        updated=earlier - selectors.WINDOW
    )
    clock.now += 1.0
    allowed(index)
    Product.objects.filter(pk=sold_out[1].pk).update(stock=5, updated=earlier)
    clock.now += 1.0
    assert allowed(index) == passing(index, IN_STOCK)


def test_what_nobody_announced_counts_after_ten_minutes(clock: Any) -> None:
    index = make_index(30)
    Product.objects.update(updated=timezone.now() - 3 * selectors.WINDOW)
    before = allowed(index)
    Product.objects.update(stock=0)
    clock.now += 1.0
    assert allowed(index) == before
    clock.now += selectors.REREAD_S
    assert allowed(index) == []


def test_many_changes_are_read_afresh(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "AFRESH_FROM", 10)
    index = make_index(50)
    allowed(index)
    Product.objects.filter(collection=index.collection).update(stock=1, updated=timezone.now())
    clock.now += 1.0
    assert allowed(index) == passing(index, IN_STOCK)
    assert len(allowed(index)) == 50


def test_a_selection_that_is_slow_to_read_is_read_less_often(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(10)
    real = selectors._marker

    def slow(collection_id: int) -> Any:
        clock.now += 0.5
        return real(collection_id)

    monkeypatch.setattr(selectors, "_marker", slow)
    allowed(index)
    Product.objects.filter(collection=index.collection).update(stock=1, updated=timezone.now())
    clock.now += 4.4
    assert len(allowed(index)) == 5
    clock.now += 0.2
    assert len(allowed(index)) == 10


def test_a_deleted_or_hidden_picture_is_never_shown() -> None:
    """Without waiting: the selection still names it, the rows do not."""
    from search.services import search_by_image

    index = make_index(60)
    image = index.collection.images.first()
    hits = [hit.image.pk for hit in search_by_image(index.collection, image, k=5, filters=IN_STOCK).hits]
    Image.objects.filter(pk=hits[0]).delete()
    Image.objects.filter(pk=hits[1]).update(role=ImageRole.QUERY)
    after = [hit.image.pk for hit in search_by_image(index.collection, image, k=5, filters=IN_STOCK).hits]
    assert len(after) == 5
    assert not set(hits[:2]) & set(after)


def test_the_least_lately_used_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(40)
    monkeypatch.setattr(selectors, "KEPT_BYTES", 8 * 25)
    allowed(index)
    allowed(index, Filters(categories=("category 1",)))
    assert len(selectors._kept) == 2
    allowed(index, Filters(price_min=Decimal(30)))
    assert len(selectors._kept) == 2
    allowed(index, Filters(price_min=Decimal(0)))
    assert len(selectors._kept) == 1


def test_threads_read_it_once(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index(10)
    reads, ids = [], Selection(np.arange(3))

    def counted(kept: Any) -> Selection:
        reads.append(threading.get_ident())
        return ids

    monkeypatch.setattr(selectors.Kept, "_all", counted)
    monkeypatch.setattr(selectors, "_marker", lambda _: ())
    monkeypatch.setattr(selectors, "_newest", lambda _: 0)
    barrier, found = threading.Barrier(8), []

    def ask() -> None:
        barrier.wait()
        found.append(allowed_for(index, IN_STOCK))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    assert found == [ids] * 8


def test_a_bitmap_is_made_once_a_build_and_filter() -> None:
    x = clustered(2000, 32)
    index = build_index("Flat", 32)
    index.add(np.arange(2000), x)
    made, prepared = [], PreparedSelections(most_bytes=40_000)
    real = index.prepare
    index.prepare = lambda ids: made.append(len(ids)) or real(ids)  # type: ignore[method-assign]
    some, other = Selection(np.arange(0, 2000, 2)), Selection(np.arange(0, 2000, 3))
    ready = prepared.of(index, some)
    assert prepared.of(index, some) is ready
    assert prepared.of(index, other) is not ready
    assert made == [1000, 667]
    assert ready.ids is some.ids
    np.testing.assert_array_equal(index.search(x[:3], 20, ready)[1], index.search(x[:3], 20, some.ids)[1])
    assert prepared.nbytes() <= 40_000
    prepared.of(index, Selection(np.arange(1, 2000)))  # 16 kB: the bound is 40 kB, so the first has to go
    prepared.of(index, Selection(np.arange(2, 2000)))
    assert prepared.nbytes() <= 40_000
    prepared.of(index, some)
    assert made[-1] == 1000


def test_a_filtered_search_reads_no_ids_and_makes_no_bitmap_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from search.services import search_by_image

    index = make_index(4500, factory="Flat")
    assert build_run(build_create(index).pk).state == "done"
    serving.forget()
    image = index.collection.images.first()
    search_by_image(index.collection, image, k=5, filters=IN_STOCK)
    monkeypatch.setattr(selectors.Kept, "_all", lambda _: pytest.fail("read again"))
    served = serving.live(index).state().saved.index  # type: ignore[union-attr]
    monkeypatch.setattr(served, "prepare", lambda _: pytest.fail("prepared again"))
    monkeypatch.setattr(selectors, "CHECK_EVERY_S", 60.0)
    assert len(search_by_image(index.collection, image, k=5, filters=IN_STOCK).hits) == 5


RULES = [
    {"rule": "block", "skus": ["00001"]},
    {"rule": "block", "categories": ["category 3"], "attributes": {"colour": ["blue"]}},
    {"rule": "price_range", "lowest": 5, "highest": 19.5},
    {"rule": "price_range", "highest": 7, "keep_unknown": True},
]


@pytest.mark.parametrize("rule", RULES)
def test_what_rules_leave_out_is_left_out_by_the_database_too(rule: dict[str, Any]) -> None:
    """The rule and its query agree on every picture, also on one without a product or a price."""
    from search.facts import facts_by_id
    from search.ranking import Candidate

    index = make_index(40)
    Product.objects.filter(collection=index.collection, sku="00006").update(price=None)
    Image.objects.filter(product__sku="00007").update(product=None)
    facts = facts_by_id(Image.objects.filter(collection=index.collection).values_list("pk", flat=True))
    candidates = [Candidate(pk, 0.5, fact) for pk, fact in sorted(facts.items())]
    (configured,) = rules_from([rule])
    by_rule = [candidate.id for candidate in configured.apply(candidates)]
    selection = permitted_for(index, [configured])
    assert selection is not None
    assert selection.ids.tolist() == by_rule
    assert 0 < len(by_rule) < 40


def test_rules_that_leave_nothing_out_by_product_need_no_query() -> None:
    rules = rules_from([{"rule": "one_per_product"}, {"rule": "price_range", "mode": "prefer"}])
    assert permitted_for(make_index(3), rules) is None


@pytest.mark.parametrize("filters", [Filters(), IN_STOCK])
def test_a_page_is_filled_when_all_that_is_near_is_blocked(filters: Filters, monkeypatch: pytest.MonkeyPatch) -> None:
    from search.services import search_by_image

    monkeypatch.setattr("search.ranking.pipeline.MAX_DEPTH", 300)
    index = make_index(1500, fine_depth=50, rules=[{"rule": "block", "categories": ["near"]}])
    image = index.collection.images.first()
    assert image is not None
    hits = search_by_image(index.collection, image, k=700).hits
    near = [hit.image.product_id for hit in hits]
    Product.objects.filter(pk__in=near).update(category="near", updated=timezone.now())
    serving.forget()
    after = search_by_image(index.collection, image, k=20, filters=filters).hits
    assert len(after) == 20
    assert not {hit.image.product_id for hit in after} & set(near)
    if filters:
        assert all(hit.image.product.stock for hit in after)
