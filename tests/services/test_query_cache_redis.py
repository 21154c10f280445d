"""The caches on a real Redis: shared, safe against foreign values, and not needed."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from retrieval_site import redis_cache
from search import serving
from search.models import SearchIndex
from search.services import Example, Results, search_by_examples
from tests.conftest import missing
from tests.search.gallery import make_index
from tests.services import servers

pytestmark = [pytest.mark.django_db, pytest.mark.redis]
PLAIN = "retrieval_site.redis_cache.PlainBytes"


def configured(url: str) -> dict[str, Any]:
    """As settings.py does with REDIS_URL."""
    patience = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
    one: dict[str, Any] = {"BACKEND": "retrieval_site.redis_cache.RedisOrLocal", "LOCATION": url}
    plain = {"OPTIONS": {**patience, "serializer": PLAIN}}
    return {
        "default": one | {"OPTIONS": patience},
        "descriptors": one | plain | {"KEY_PREFIX": "descriptors-a"},
        "answers": one | plain | {"KEY_PREFIX": "answers-a"},
    }


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    serving.forget()
    redis_cache._away.clear()
    yield
    serving.forget()
    redis_cache._away.clear()


@pytest.fixture
def on_redis(redis_url: str, settings: Any) -> str:
    settings.CACHES = configured(redis_url)
    return redis_url


def ask(index: SearchIndex, k: int = 5) -> Results:
    image = index.collection.images.order_by("id").first()
    return search_by_examples(index.collection, [Example(image=image)], k=k)


def found(results: Results) -> list[tuple[int, float]]:
    return [(hit.image.pk, hit.score) for hit in results.hits]


def test_answers_are_shared_through_redis(on_redis: str) -> None:
    import redis

    index = make_index(30)
    made = ask(index)
    serving.forget()  # as another process would
    kept = ask(index)
    assert (made.cached, kept.cached) == (False, True)
    assert found(kept) == found(made)
    server = redis.Redis.from_url(on_redis)
    keys = server.keys("*answers-a*")
    assert len(keys) == 1
    assert 0 < server.ttl(keys[0]) <= 600
    assert server.get(keys[0]).startswith(b"[1,")


def test_a_foreign_pickle_is_never_loaded(on_redis: str) -> None:
    import redis

    index = make_index(30)
    made = ask(index)
    server, ran = redis.Redis.from_url(on_redis), []

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (time.sleep, (60,))

    for key in server.keys("*answers-a*"):
        server.set(key, pickle.dumps(Attack()))
    began = time.monotonic()
    again = ask(index)
    assert time.monotonic() - began < 30
    assert (again.cached, found(again), ran) == (False, found(made), [])


def test_only_bytes_are_kept(on_redis: str) -> None:
    with pytest.raises(TypeError, match="keeps bytes"):
        caches["answers"].set("a", {"a": 1})


def test_without_redis_the_site_searches_and_says_so_once(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        server = servers.redis()
        url = server.__enter__()
    except servers.ServerMissing as reason:
        missing(str(reason))
    try:
        settings.CACHES = configured(url)
        monkeypatch.setattr(redis_cache, "RETRY_S", 0.2)
        index = make_index(30)
        made = ask(index)
        assert ask(index).cached
    finally:
        server.__exit__(None, None, None)
    with caplog.at_level(logging.WARNING, logger="retrieval_site.redis_cache"):
        away = [ask(index) for _ in range(3)]
        time.sleep(0.3)
        away += [ask(index) for _ in range(2)]
    assert [found(results) for results in away] == [found(made)] * 5
    assert [results.cached for results in away] == [False, True, True, True, True]  # this process's memory
    assert [record.message.split(" (")[0] for record in caplog.records] == ["Redis does not answer"]
    _check_api(index)


def _check_api(index: SearchIndex) -> None:
    """The rate is still counted, health tells of the outage, and nothing is done that must be done once."""
    client, picture = Client(raise_request_exception=False), index.collection.images.first().pk
    body = {"collection": index.collection.slug, "image_id": picture}
    answers = [client.post("/api/v1/search/", body, content_type="application/json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    left = [int(answer["X-RateLimit-Remaining"]) for answer in answers]
    assert left[1] == left[0] - 1
    once = client.post("/api/v1/search/", body, content_type="application/json", headers={"Idempotency-Key": "k"})
    assert once.status_code == 503
    assert client.get("/api/v1/health/").json()["cache"]["status"] == "failing"


def test_redis_comes_back(on_redis: str, caplog: pytest.LogCaptureFixture) -> None:
    redis_cache._away[on_redis] = time.monotonic() - 1
    with caplog.at_level(logging.WARNING, logger="retrieval_site.redis_cache"):
        caches["answers"].set("a", b"b")
    assert caches["answers"].get("a") == b"b"
    assert [record.message for record in caplog.records] == ["Redis answers again."]
