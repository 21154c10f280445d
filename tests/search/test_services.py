"""Searching, as pages and API do it: real pictures, the real descriptor."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from PIL import Image as PillowImage

from catalog.images import BadBox, PictureError
from catalog.models import Collection, Image
from search import describing, request, search_log, serving
from search.builds import build_create, build_run, index_for
from search.embedding import embed_pending
from search.filters import Filters
from search.models import SearchIndex, SearchLog, UploadedQuery
from search.services import (
    BadExamples,
    BadPage,
    Example,
    Expansion,
    NotEmbeddedYet,
    NothingToSearch,
    collections_for,
    queries_purge,
    query_upload,
    search_by_examples,
    search_by_image,
    search_by_picture,
    search_by_query,
)
from tests.factories import CollectionFactory, ImageFactory, ProductFactory, StaffFactory, UserFactory, draw
from tests.search.gallery import make_index

pytestmark = pytest.mark.django_db
PARTS = {"decode", "network", "coarse", "fine", "rules", "database", "cache", "total"}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def shop() -> Collection:
    """Twelve products with a picture each."""
    collection = CollectionFactory()
    for n in range(12):
        ImageFactory(product=ProductFactory(collection=collection, stock=n % 2, category=f"c{n % 3}"), seed=n + 1)
    embed_pending(collection, index_for(collection).feature_model)
    return collection


def test_a_picture_finds_itself_first(shop: Collection, picture: Callable[..., bytes]) -> None:
    results = search_by_picture(shop, picture(5), k=4)
    assert [hit.rank for hit in results.hits] == [1, 2, 3, 4]
    assert results.hits[0].image == shop.images.order_by("id")[4]
    assert results.hits[0].score == pytest.approx(1.0, abs=0.01)
    assert [hit.score for hit in results.hits] == sorted((hit.score for hit in results.hits), reverse=True)
    assert results.has_more
    assert results.index == index_for(shop)
    assert results.build is None
    assert set(results.timings_ms) == PARTS
    assert results.timings_ms["network"] > 0
    assert results.timings_ms["total"] >= sum(v for k, v in results.timings_ms.items() if k != "total") * 0.9


def test_a_build_answers_like_exact_search(shop: Collection, picture: Callable[..., bytes]) -> None:
    before = search_by_picture(shop, picture(5), k=12)
    build = build_run(build_create(index_for(shop)).pk)
    serving.forget()
    after = search_by_picture(shop, picture(5), k=12)
    assert after.build == build
    assert [hit.image for hit in after.hits] == [hit.image for hit in before.hits]


def test_a_stored_picture_leaves_itself_out(shop: Collection) -> None:
    image = shop.images.order_by("id")[3]
    results = search_by_image(shop, image, k=11)
    assert image not in [hit.image for hit in results.hits]
    assert len(results.hits) == 11
    assert not results.has_more
    assert search_by_image(shop, image, k=1, exclude_self=False).hits[0].image == image


def test_pages_join_without_gap_or_overlap(shop: Collection, picture: Callable[..., bytes]) -> None:
    whole = [hit.image.pk for hit in search_by_picture(shop, picture(2), k=12).hits]
    pages = [search_by_picture(shop, picture(2), k=5, offset=offset) for offset in (0, 5, 10, 15)]
    assert [hit.image.pk for page in pages for hit in page.hits] == whole
    assert [page.has_more for page in pages] == [True, True, False, False]
    assert [hit.rank for hit in pages[1].hits] == [6, 7, 8, 9, 10]


@pytest.mark.parametrize(("k", "offset"), [(0, 0), (-1, 0), (5, -1), (1001, 0), (1, 1000)])
def test_pages_that_cannot_be_are_refused(shop: Collection, k: int, offset: int) -> None:
    with pytest.raises(BadPage, match="1000"):
        search_by_picture(shop, b"", k=k, offset=offset)
    assert len(search_by_picture(shop, _jpeg(), k=1, offset=999).hits) == 0


def _jpeg() -> bytes:
    from tests.factories import picture

    return picture(1)


def test_a_box_searches_by_what_is_in_it(shop: Collection) -> None:
    """A stored picture pasted into a larger one is found by its box."""
    canvas = PillowImage.effect_noise((400, 300), 90).convert("RGB")
    canvas.paste(draw(7), (200, 100))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    box = (200, 100, 96, 72)
    by_box = search_by_picture(shop, buffer.getvalue(), k=1, box=box).hits[0]
    assert by_box.image == shop.images.order_by("id")[6]
    assert by_box.score > search_by_picture(shop, buffer.getvalue(), k=1).hits[0].score
    query = query_upload(shop, buffer.getvalue())
    assert search_by_query(shop, query, k=1, box=box).hits[0].image == by_box.image
    with pytest.raises(BadBox):
        search_by_picture(shop, buffer.getvalue(), box=(500, 0, 10, 10))


def test_filters_narrow_and_fill(shop: Collection, picture: Callable[..., bytes]) -> None:
    results = search_by_picture(shop, picture(1), k=20, filters=Filters(in_stock=True))
    assert len(results.hits) == 6
    assert all(hit.image.product.stock for hit in results.hits)
    assert search_by_picture(shop, picture(1), filters=Filters(categories=("none",))).hits == []


def test_reasons_come_in_the_readers_language(shop: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    SearchIndex.objects.update(rules=[{"rule": "in_stock_first"}])
    monkeypatch.setattr(request, "gettext", lambda text: text.upper().replace("(PLACES)S", "(places)s"))
    with translation.override("en"):
        results = search_by_picture(shop, _jpeg(), k=12)
    assert [bool(hit.image.product.stock) for hit in results.hits] == [True] * 6 + [False] * 6
    assert any("IN STOCK: MOVED UP" in reason.text for hit in results.hits for reason in hit.reasons)


def test_an_empty_collection_and_one_that_waits_say_so(picture: Callable[..., bytes]) -> None:
    collection = CollectionFactory(name="Empty shop")
    with pytest.raises(NothingToSearch, match="Empty shop has no pictures"):
        search_by_picture(collection, picture(1))
    ImageFactory(product=None, collection=collection)
    with pytest.raises(NotEmbeddedYet, match="still being prepared"):
        search_by_picture(collection, picture(1))
    embed_pending(collection, index_for(collection).feature_model)
    serving.forget()
    assert len(search_by_picture(collection, picture(1)).hits) == 1


def test_a_bad_picture_is_the_visitors_error(shop: Collection) -> None:
    for data in (b"", b"not a picture", _jpeg()[:500]):
        with pytest.raises(PictureError):
            search_by_picture(shop, data)
        with pytest.raises(PictureError):
            query_upload(shop, data)
    assert UploadedQuery.objects.count() == 0


def test_one_collection_never_shows_anothers_pictures(shop: Collection, picture: Callable[..., bytes]) -> None:
    other = CollectionFactory()
    ImageFactory(product=None, collection=other, seed=5)
    embed_pending(other, index_for(other).feature_model)
    assert {hit.image.collection_id for hit in search_by_picture(shop, picture(5), k=50).hits} == {shop.pk}
    assert len(search_by_picture(other, picture(5), k=50).hits) == 1


def test_paging_an_upload_costs_no_network(shop: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    query = query_upload(shop, _jpeg())
    first = search_by_query(shop, query, k=3)
    monkeypatch.setattr(describing, "extractor_for", None)
    again = search_by_query(shop, query, k=3)
    assert [hit.image for hit in again.hits] == [hit.image for hit in first.hits]
    with pytest.raises(TypeError):  # another box is another descriptor
        search_by_query(shop, query, k=3, box=(0, 0, 50, 50))


def test_an_upload_is_stored_once_a_day_and_its_preview_says_nothing(shop: Collection) -> None:
    exif = PillowImage.Exif()
    exif[0x010F], exif[0x0112] = "Secret camera", 6
    buffer = io.BytesIO()
    draw(3, (3000, 2000)).save(buffer, "JPEG", exif=exif)
    query = query_upload(shop, buffer.getvalue())
    assert query_upload(shop, buffer.getvalue()) == query
    assert (query.width, query.height) == (2000, 3000)
    assert query.file.name == f"queries/{query.sha256[:2]}/{query.sha256}.jpg"
    with default_storage.open(query.file.name) as file:
        assert file.read() == buffer.getvalue()
    with default_storage.open(query.preview.name) as file:
        data = file.read()
    preview = PillowImage.open(io.BytesIO(data))
    assert (preview.format, preview.size) == ("JPEG", (683, 1024))
    assert b"Secret" not in data
    assert not preview.getexif()
    UploadedQuery.objects.update(created=timezone.now() - timedelta(days=1, minutes=1))
    assert query_upload(shop, buffer.getvalue()) != query


def test_uploads_are_purged_after_their_time_and_files_with_the_last_row(shop: Collection) -> None:
    old = query_upload(shop, _jpeg())
    shared = query_upload(CollectionFactory(), _jpeg())
    alone = query_upload(shop, draw_png(9))
    UploadedQuery.objects.filter(pk__in=[old.pk, alone.pk]).update(created=timezone.now() - timedelta(days=8))
    assert queries_purge() == 2
    assert list(UploadedQuery.objects.all()) == [shared]
    assert default_storage.exists(shared.file.name)
    assert default_storage.exists(shared.preview.name)
    assert not default_storage.exists(alone.file.name)
    assert not default_storage.exists(alone.preview.name)


def test_uploads_whose_row_went_with_its_collection_are_swept() -> None:
    query = query_upload(CollectionFactory(), _jpeg())
    kept, young = query_upload(CollectionFactory(), draw_png(8)), query_upload(query.collection, draw_png(9))
    query.collection.delete()
    for row in (query, kept):
        for name in (row.file.name, row.preview.name):
            os.utime(default_storage.path(name), (0, 0))
    queries_purge()
    assert [default_storage.exists(row.file.name) for row in (query, kept, young)] == [False, True, True]
    assert [default_storage.exists(row.preview.name) for row in (query, kept, young)] == [False, True, True]


def draw_png(seed: int) -> bytes:
    buffer = io.BytesIO()
    draw(seed).save(buffer, "PNG")
    return buffer.getvalue()


def test_each_search_leaves_a_line_and_nothing_else(shop: Collection) -> None:
    results = search_by_picture(shop, _jpeg(), k=3, source="web")
    line = SearchLog.objects.get()
    assert (line.index, line.source, line.hits) == (results.index, "web", 3)
    assert line.best_score == pytest.approx(results.hits[0].score)
    assert set(line.timings_ms) == PARTS


def test_a_log_that_fails_breaks_no_search(shop: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr(SearchLog.objects, "bulk_create", fail)
    assert len(search_by_picture(shop, _jpeg(), k=3).hits) == 3


@pytest.mark.django_db(transaction=True)
def test_lines_are_written_a_moment_later_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_log, "WRITE_AFTER_S", 0.2)
    index = make_index(30)
    for _ in range(3):
        search_by_image(index.collection, index.collection.images.first(), k=3)
    assert SearchLog.objects.count() == 0
    deadline = time.monotonic() + 10
    while SearchLog.objects.count() < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert SearchLog.objects.count() == 3


def test_a_search_asks_the_database_few_questions(shop: Collection) -> None:
    image = shop.images.first()
    search_by_image(shop, image, k=10)
    with CaptureQueriesContext(connection) as queries:
        results = search_by_image(shop, image, k=10)
        [hit.image.product.title for hit in results.hits]
    asked = [query["sql"] for query in queries if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(asked) <= 4 + 3  # index, descriptor, hits, log; and the state, once a second


def test_what_a_user_may_search() -> None:
    public, mine, hidden = (CollectionFactory(is_public=n == 0) for n in range(3))
    member, stranger, staff = UserFactory(), UserFactory(), StaffFactory()
    mine.members.add(member)
    gone = StaffFactory(is_active=False)
    for user, wanted in {
        AnonymousUser(): {public},
        stranger: {public},
        member: {public, mine},
        staff: {public, mine, hidden},
        gone: {public},
    }.items():
        assert set(collections_for(user)) == wanted
    assert set(collections_for(None)) == {public}


def test_a_picture_without_embedding_is_described_on_the_spot(shop: Collection) -> None:
    new = ImageFactory(product=None, collection=shop, seed=77)
    results = search_by_image(shop, Image.objects.get(pk=new.pk), k=3)
    assert len(results.hits) == 3
    assert np.isfinite([hit.score for hit in results.hits]).all()


def test_several_pictures_find_what_is_like_all_of_them(shop: Collection, picture: Callable[..., bytes]) -> None:
    images = list(shop.images.order_by("id"))
    query = query_upload(shop, picture(3))
    results = search_by_examples(
        shop, [Example(image=images[0]), Example(query=query), Example(data=picture(9), weight=2)], k=11
    )
    assert {hit.image for hit in results.hits[:2]} == {images[2], images[8]}
    assert images[0] not in [hit.image for hit in results.hits]
    assert (results.descriptors, results.cut_off) == (3, None)
    x = np.stack([hit.score for hit in results.hits])
    assert (np.diff(x) <= 0).all()


def test_a_negative_pushes_itself_and_its_like_down(shop: Collection) -> None:
    images = list(shop.images.order_by("id"))

    def scores(*examples: Example) -> dict[int, float]:
        hits = search_by_examples(shop, examples, k=12, exclude_examples=False).hits
        return {hit.image.pk: hit.score for hit in hits}

    plain = scores(Example(image=images[0]))
    by_weight = [scores(Example(image=images[0]), Example(image=images[1], weight=-w))[images[1].pk] for w in (0.5, 1)]
    assert plain[images[1].pk] > by_weight[0] > by_weight[1]
    best = max(scores(Example(image=images[0]), Example(image=images[1], weight=-1)).items(), key=lambda pair: pair[1])
    assert best[0] == images[0].pk  # what is liked stays the best


def test_feedback_reads_all_its_descriptors_in_one_query(shop: Collection) -> None:
    images = list(shop.images.order_by("id"))
    search_by_examples(shop, [Example(image=image) for image in images[:2]])
    with CaptureQueriesContext(connection) as queries:
        search_by_examples(
            shop, [Example(image=image, weight=w) for image, w in zip(images[:6], [1, -1] * 3, strict=True)]
        )
    asked = [query["sql"] for query in queries if "search_embedding" in query["sql"] and '"vector"' in query["sql"]]
    assert len(asked) == 1


def test_examples_that_cannot_be_are_refused(shop: Collection) -> None:
    with pytest.raises(BadExamples, match="weight above zero"):
        search_by_examples(shop, [Example(image=shop.images.first(), weight=-1)])


def test_the_indexs_expansion_is_used_unless_the_search_says_otherwise(
    shop: Collection, picture: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    plain = search_by_picture(shop, picture(5))
    SearchIndex.objects.update(expansion={"method": "average", "k": 3})
    serving.forget()
    expanded = search_by_picture(shop, picture(5))
    assert expanded.timings_ms["expansion"] > 0
    assert [hit.score for hit in expanded.hits] != [hit.score for hit in plain.hits]
    again = search_by_examples(shop, [Example(data=picture(5))], expansion=Expansion.none())
    assert [hit.score for hit in again.hits] == pytest.approx([hit.score for hit in plain.hits])
    SearchIndex.objects.update(expansion={"method": "nonsense"})
    serving.forget()
    assert [hit.score for hit in search_by_picture(shop, picture(5)).hits] == pytest.approx(
        [hit.score for hit in plain.hits]
    )
    assert "is left out: method of the query expansion" in caplog.text


def test_media_stay_in_their_folder(shop: Collection, tmp_path: Path) -> None:
    query = query_upload(shop, _jpeg())
    assert Path(query.file.path).is_relative_to(tmp_path / "media" / "queries")
