"""Answers that were kept: the same as made anew, and kept no longer than everything that shaped them."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from django.core.cache import caches
from django.db import connection
from django.utils import translation

from catalog.models import Image, ImageRole, Product
from search import query_cache, request, selectors, serving
from search.builds import build_activate, build_create, build_run
from search.calibrations import calibrate
from search.catalog_changes import WATCHES
from search.embedding import embed_pending
from search.filters import Filters
from search.models import QueryCacheCount, SearchIndex, SearchLog
from search.query_cache import Answer, answers, descriptors
from search.ranking import Candidate, rules_from
from search.ranking.candidates import Facts
from search.ranking.rule_parameters import rule_modules
from search.ranking.ruling import run_rules
from search.services import Example, Expansion, Results, search_by_examples, search_by_picture
from tests.factories import CollectionFactory, ImageFactory
from tests.search.gallery import add_pictures, make_index
from tests.search.indexes.descriptors import clustered

pytestmark = pytest.mark.django_db
RULES = [{"rule": "in_stock_first"}, {"rule": "boost", "category": "category 3", "by": 0.1}]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What changes is followed by the next search, not a second later."""
    monkeypatch.setattr(serving, "CHECK_EVERY_S", 0.0)
    monkeypatch.setattr(selectors, "CHECK_EVERY_S", 0.0)
    monkeypatch.setattr(selectors, "SHARE_OF_TIME", 0.0)
    serving.forget()
    yield
    serving.forget()


@pytest.fixture
def index() -> SearchIndex:
    return make_index(60)


def picture_of(index: SearchIndex, number: int = 0) -> Image:
    return index.collection.images.order_by("id")[number]


def ask(index: SearchIndex, **asked: Any) -> Results:
    examples = asked.pop("examples", None) or [Example(image=picture_of(index))]
    return search_by_examples(index.collection, examples, index=asked.pop("by", None), **{"k": 5, **asked})


def shown(results: Results) -> Any:
    """Of an answer all that may not differ, whether it was kept or made."""
    hits = [(hit.image, hit.score, hit.rank, hit.reasons, hit.probability) for hit in results.hits]
    tiers = [replace(tier, ms=0.0) for tier in results.tiers]
    return hits, tiers, results.has_more, results.cut_off, results.index, results.build, results.descriptors


def test_a_kept_answer_is_the_one_that_was_made(index: SearchIndex, settings: Any) -> None:
    SearchIndex.objects.update(rules=RULES, expansion={"method": "average", "k": 3}, cut_off=0.2)
    calibrate(index)
    build_activate(build_run(build_create(index).pk))
    asked: dict[str, Any] = {"offset": 2, "filters": Filters(categories=("category 3", "category 4")), "k": 7}
    made, kept = ask(index, **asked), ask(index, **asked)
    settings.ANSWER_CACHE_S = 0
    anew = ask(index, **asked)
    assert (made.cached, kept.cached, anew.cached) == (False, True, False)
    assert shown(made) == shown(kept) == shown(anew)
    assert made.hits[0].probability is not None
    assert any(hit.reasons for hit in made.hits)
    assert [type(hit.score) for hit in kept.hits] == [float] * len(kept.hits)


def test_an_answer_is_kept_for_all_processes(index: SearchIndex) -> None:
    """The key is made of what the database says, nothing of this process."""
    add_pictures(index, 5, seed=3)
    ask(index)
    build_activate(build_run(build_create(index).pk))
    add_pictures(index, 5, seed=4)
    ask(index)
    serving.forget()
    assert ask(index).cached


def test_what_is_said_of_time_and_log(index: SearchIndex) -> None:
    made, kept = ask(index), ask(index)
    assert "cached" not in made.timings_ms
    assert set(kept.timings_ms) == {"decode", "network", "database", "cached", "total"}
    assert [("cached" in line.timings_ms, line.hits) for line in SearchLog.objects.order_by("id")] == [
        (False, 5),
        (True, 5),
    ]
    count = QueryCacheCount.objects.get(index=index)
    assert (count.hits, count.misses, count.descriptor_hits, count.descriptor_misses) == (1, 1, 0, 0)


def asked_of(index: SearchIndex) -> dict[str, dict[str, Any]]:
    """Each differs in one thing from the first."""
    one, two = Example(image=picture_of(index)), Example(image=picture_of(index, 1))
    return {
        "plain": {},
        "k": {"k": 6},
        "offset": {"offset": 1},
        "category": {"filters": Filters(categories=("category 1",))},
        "stock": {"filters": Filters(in_stock=True)},
        "picture": {"examples": [two]},
        "examples": {"examples": [one, two]},
        "weight": {"examples": [replace(one, weight=2.0), two]},
        "unlike": {"examples": [one, replace(two, weight=-1.0)]},
        "itself": {"exclude_examples": False},
        "expansion": {"expansion": Expansion("average", 3)},
        "probability": {"min_probability": 0.01},
        "index": {"by": _another(index)},
    }


def _another(index: SearchIndex) -> SearchIndex:
    found, _ = SearchIndex.objects.get_or_create(
        collection=index.collection, name="another", is_default=False, defaults={"feature_model": index.feature_model}
    )
    return found


def test_each_question_has_its_own_answer(index: SearchIndex) -> None:
    calibrate(index)
    asked = asked_of(index)
    made = [ask(index, **one) for one in asked.values()]
    assert [name for name, results in zip(asked, made, strict=True) if results.cached] == []
    kept = [ask(index, **one) for one in asked.values()]
    assert [name for name, results in zip(asked, kept, strict=True) if not results.cached] == []
    assert list(map(shown, kept)) == list(map(shown, made))


def _build(index: SearchIndex) -> None:
    build_activate(build_run(build_create(index).pk))


def _set(**fields: Any) -> Callable[[SearchIndex], None]:
    return lambda index: SearchIndex.objects.filter(pk=index.pk).update(**fields) and None


def _last(index: SearchIndex) -> Image:
    """A picture that no answer of these tests shows."""
    first = ask(index, k=59).hits
    return first[-1].image


CHANGES: dict[str, Callable[[SearchIndex], object]] = {
    "a build": _build,
    "rules": _set(rules=[{"rule": "min_score", "score": 0.3}]),
    "search parameters": _set(search_params={"nprobe": 3}),
    "fine depth": _set(fine_depth=50),
    "rules depth": _set(rules_depth=50),
    "expansion": _set(expansion={"method": "average", "k": 2}),
    "calibration": calibrate,
    "a picture beside the build": lambda index: add_pictures(index, 1, clustered(1, 32, seed=9)),
    "a picture deleted": lambda index: _last(index).delete(),
    "a hit deleted": lambda index: ask(index).hits[0].image.delete(),
    "its product deleted": lambda index: ask(index).hits[0].image.product.delete(),
    "a picture hidden": lambda index: Image.objects.filter(pk=_last(index).pk).update(role=ImageRole.QUERY),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_index_or_the_pictures_counts(index: SearchIndex, what: str) -> None:
    ask(index)
    assert ask(index).cached
    CHANGES[what](index)
    assert not ask(index).cached
    ask(index)  # the first may have found pictures gone, and looks past them from then on
    assert ask(index).cached


OF_PRODUCTS: dict[str, dict[str, Any]] = {
    "stock": {"stock": 77},
    "price": {"price": 3},
    "attributes": {"attributes": {"colour": "green"}},
    "category": {"category": "other"},
    "brand": {"brand": "other"},
    "sku": {"sku": "other"},
}


@pytest.mark.parametrize("what", OF_PRODUCTS)
def test_a_change_of_a_product_counts_where_there_are_rules(index: SearchIndex, what: str) -> None:
    SearchIndex.objects.update(rules=RULES)
    ask(index)
    # Not the service, not even a save: whoever changes it, and however, it counts.
    Product.objects.filter(pk=_last(index).product_id).update(**OF_PRODUCTS[what])
    assert not ask(index).cached
    Image.objects.filter(pk=_last(index).pk).update(product=None)
    assert not ask(index).cached
    assert ask(index).cached


def test_without_rules_products_change_as_they_like_and_hits_show_it(index: SearchIndex) -> None:
    product = ask(index).hits[0].image.product
    Product.objects.filter(pk=product.pk).update(stock=77, title="New", price=3)
    kept = ask(index)
    assert kept.cached
    assert (kept.hits[0].image.product.title, kept.hits[0].image.product.stock) == ("New", 77)


def test_with_rules_a_new_title_changes_nothing_but_the_title(index: SearchIndex) -> None:
    SearchIndex.objects.update(rules=RULES)
    product = ask(index).hits[0].image.product
    product.title = "New"
    product.save()
    kept = ask(index)
    assert kept.cached
    assert kept.hits[0].image.product.title == "New"


def test_filters_see_products_change(index: SearchIndex) -> None:
    filters = Filters(in_stock=True)
    first = ask(index, filters=filters)
    Product.objects.filter(pk=first.hits[0].image.product_id).update(title="Same stock")
    assert ask(index, filters=filters).cached
    product = first.hits[0].image.product
    product.stock = 0
    product.save()
    second = ask(index, filters=filters)
    assert not second.cached
    assert first.hits[0].image not in [hit.image for hit in second.hits]


def test_what_happens_elsewhere_does_not_count(index: SearchIndex) -> None:
    SearchIndex.objects.update(rules=RULES)
    other, beside = make_index(20), _another(index)
    assert not ask(index).cached
    SearchIndex.objects.filter(pk__in=[other.pk, beside.pk]).update(rules=[], fine_depth=7)
    other.collection.images.first().delete()
    Product.objects.filter(collection=other.collection).update(stock=5)
    _build(other)
    _build(beside)
    ImageFactory(product=None, collection=index.collection, role=ImageRole.QUERY)
    assert ask(index).cached


def test_another_cut_off_is_told_of_the_same_answer(index: SearchIndex) -> None:
    ask(index)
    SearchIndex.objects.update(cut_off=0.75)
    kept = ask(index)
    assert (kept.cached, kept.cut_off) == (True, 0.75)


def test_collections_share_nothing(index: SearchIndex) -> None:
    """Not even of the same pictures: not answers, not descriptors."""
    other = make_index(60)
    x = clustered(60, 32)
    assert np.array_equal(x, clustered(60, 32))
    first, second = ask(index), ask(other)
    assert not second.cached
    assert {hit.image.collection_id for hit in second.hits} == {other.collection_id}
    assert [hit.score for hit in first.hits] == [hit.score for hit in second.hits]
    keys = {query_cache.descriptor_key(one.pk, "0" * 64, None, "f") for one in (index.collection, other.collection)}
    assert len(keys) == 2


def test_reasons_are_kept_untranslated(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    SearchIndex.objects.update(rules=RULES)
    english = ask(index)
    monkeypatch.setattr(request, "gettext", lambda text: "文 " + text if translation.get_language() != "en" else text)
    with translation.override("zh-hans"):
        chinese = ask(index)
    assert chinese.cached
    said = [reason.text for hit in english.hits for reason in hit.reasons]
    assert said
    assert [reason.text for hit in chinese.hits for reason in hit.reasons] == [f"文 {text}" for text in said]


def test_a_hit_that_is_gone_is_not_shown_even_where_nobody_noted_it(index: SearchIndex) -> None:
    for one in WATCHES:
        with connection.cursor() as cursor:
            on = f" ON {one.table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {one.name}{on}")
    first = ask(index)
    assert ask(index).cached
    Image.objects.filter(pk=first.hits[2].image.pk).update(role=ImageRole.QUERY)
    second = ask(index)
    assert not second.cached
    assert first.hits[2].image not in [hit.image for hit in second.hits]
    assert len(second.hits) == 5


def test_time_bounds_what_rules_of_time_are_kept(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_for: list[float] = []
    monkeypatch.setattr(answers, "put", lambda _key, _value, at_most_s: kept_for.append(at_most_s))
    SearchIndex.objects.update(rules=[*RULES, {"rule": "freshness", "margin": 0.05, "half_life_days": 30}])
    ask(index)
    SearchIndex.objects.update(rules=RULES)
    ask(index)
    assert kept_for == [pytest.approx(74.8, abs=0.1), math.inf]


def test_every_rule_that_knows_an_age_says_how_long_it_holds() -> None:
    looking = [name for name, module in rule_modules().items() if "age_days" in inspect.getsource(module)]
    assert looking == ["freshness"]
    rule = rules_from([{"rule": "freshness", "margin": 0.5, "half_life_days": 1}])[0]
    pair = [Candidate(1, 0.5, Facts(age_days=0.0)), Candidate(2, 0.5, Facts(age_days=0.0))]
    later = [replace(one, facts=Facts(age_days=rule.holds_s / 86_400)) for one in pair]
    lifts = [rule.apply(ones)[0].lift for ones in (pair, later)]
    assert 0 < lifts[0] - lifts[1] <= 1e-6


def test_zero_turns_each_off(index: SearchIndex, settings: Any) -> None:
    for name in ("ANSWER_CACHE_S", "ANSWER_CACHE_SIZE"):
        setattr(settings, name, 0)
        assert [ask(index).cached for _ in range(2)] == [False, False]
        setattr(settings, name, 100)
    assert not QueryCacheCount.objects.exists()
    assert [ask(index).cached for _ in range(2)] == [False, True]


def test_a_picture_goes_through_the_network_once(picture: Callable[..., bytes], settings: Any) -> None:
    collection = CollectionFactory()
    for seed in range(3):
        ImageFactory(product=None, collection=collection, seed=seed)
    embed_pending(collection, collection.indexes.get().feature_model)
    made = search_by_picture(collection, picture(1))
    kept = search_by_picture(collection, picture(1), k=2)  # another question of the same picture
    box = search_by_picture(collection, picture(1), box=(1, 2, 40, 30), k=2)
    assert (made.timings_ms["network"] > 0, kept.timings_ms["decode"], kept.cached) == (True, 0, False)
    assert [hit.score for hit in kept.hits] == [hit.score for hit in made.hits[:2]]
    assert box.timings_ms["decode"] > 0
    count = QueryCacheCount.objects.get()
    assert (count.descriptor_hits, count.descriptor_misses) == (1, 2)
    settings.DESCRIPTOR_CACHE_S = 0
    assert search_by_picture(collection, picture(1), k=2).timings_ms["decode"] > 0


def test_a_descriptor_is_known_by_everything_it_depends_on() -> None:
    known = ("a" * 64, (1, 2, 3, 4), "fingerprint", (("frame", 1),))
    others = [
        ("b" * 64, *known[1:]),
        (known[0], (1, 2, 3, 5), *known[2:]),
        (known[0], None, *known[2:]),
        (*known[:2], "other", known[3]),
        (*known[:3], (("frame", 2),)),
        (*known[:3], (("frame", 1), ("window", "lung"))),
    ]
    keys = [query_cache.descriptor_key(1, *one) for one in (known, *others)]  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("foreign", [b"", b"[]", b"\x80\x04K\x01.", b'{"hits": 1}', b"[1,2,3]", b"null", "text", None])
def test_what_is_no_answer_is_not_taken_for_one(index: SearchIndex, foreign: object, monkeypatch: Any) -> None:
    made = ask(index)
    monkeypatch.setattr(caches["answers"], "get", lambda _key: foreign)
    again = ask(index)
    assert (again.cached, shown(again)) == (False, shown(made))


def test_a_foreign_descriptor_is_not_searched_by() -> None:
    for data in (b"", b"x", b"\0" * 127, np.full(32, np.nan, np.float32).tobytes(), np.zeros(31, np.float32).tobytes()):
        assert query_cache.descriptor_of_bytes(data, 32) is None
    x = clustered(1, 32)[0]
    assert np.array_equal(query_cache.descriptor_of_bytes(x.tobytes(), 32), x)  # type: ignore[arg-type]


def test_an_answer_outlives_its_bytes() -> None:
    rules = {name: rules_from([{"rule": name, **_needed(name)}])[0] for name in rule_modules()}

    facts = [Facts(n // 2, f"{n}", n % 2, None, "a" if n % 3 else "b", "b", {"c": "d"}, float(n)) for n in range(8)]
    candidates = [Candidate(n, 0.9 - n / 100, one) for n, one in enumerate(facts)]
    for name, rule in rules.items():
        hits = run_rules([rule], candidates, 100).hits
        answer = Answer(tuple(query_cache.Answered(h.id, h.score, 0.1 + h.id / 3, h.reasons) for h in hits), True, ())
        again = Answer.from_bytes(answer.to_bytes())
        assert again == answer, name
        assert [str(r) for h in again.hits for r in h.reasons] == [str(r) for h in answer.hits for r in h.reasons]


def _needed(name: str) -> dict[str, Any]:
    return {
        "pin": {"skus": ["3"]},
        "min_score": {"score": 0.1},
        "boost": {"category": "b"},
        "bury": {"category": "b"},
        "block": {"skus": ["3"]},
        "price_range": {"lowest": 1.0, "highest": 2.0},
    }.get(name, {})


def test_equal_questions_at_once_are_answered_once() -> None:
    cache, made, waited = answers, [], []
    start = threading.Barrier(6)

    def one() -> None:
        start.wait()
        with cache.turn("key") as had_to_wait:
            waited.append(had_to_wait)
            if cache.get("key") is None:
                made.append(threading.get_ident())
                cache.put("key", b"value")

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert sorted(waited)[0] is False
    assert not cache._turns


def test_different_questions_do_not_wait_for_each_other() -> None:
    with answers.turn("a") as first, answers.turn("b") as second, descriptors.turn("a") as third:
        assert (first, second, third) == (False, False, False)


def test_a_search_that_fails_keeps_nothing_and_blocks_nobody(index: SearchIndex, monkeypatch: Any) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(serving.Live, "search", fail)
        with pytest.raises(RuntimeError):
            ask(index)
    assert not ask(index).cached
    assert ask(index).cached
