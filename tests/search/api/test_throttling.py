"""Rate limits: counted per key, user or address, told in headers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from catalog.models import Collection
from search.api import throttling
from search.api.throttling import Rate, client_address, network
from search.models import ApiKey
from tests.factories import UserFactory
from tests.search.api.conftest import Api, error_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch: Any) -> dict[str, float]:
    """A clock of our own, a minute boundary behind it."""
    at = {"now": 60_000_010.0}
    monkeypatch.setattr(throttling.time, "time", lambda: at["now"])
    return at


def test_a_key_has_its_own_rate(clock: dict[str, float], make_key: Callable[..., str]) -> None:
    api = Api(make_key(rate="2/min"))
    remaining = [api.get("collections/")["X-RateLimit-Remaining"] for _ in range(2)]
    assert remaining == ["1", "0"]
    refused = api.get("collections/")
    assert refused.status_code == 429
    assert error_of(refused)["code"] == "throttled"
    assert (refused["X-RateLimit-Limit"], refused["X-RateLimit-Remaining"]) == ("2", "0")
    assert refused["Retry-After"] == refused["X-RateLimit-Reset"] == "50"


def test_the_next_window_starts_anew(clock: dict[str, float], make_key: Callable[..., str]) -> None:
    api = Api(make_key(rate="1/min"))
    assert [api.get("collections/").status_code for _ in range(2)] == [200, 429]
    clock["now"] += 49.9
    assert api.get("collections/").status_code == 429
    clock["now"] += 0.2
    assert api.get("collections/").status_code == 200


def test_keys_do_not_count_together(clock: dict[str, float], make_key: Callable[..., str]) -> None:
    one, other = Api(make_key(rate="1/min")), Api(make_key(rate="1/min"))
    assert [one.get("collections/").status_code for _ in range(2)] == [200, 429]
    assert other.get("collections/").status_code == 200


def test_without_a_key_the_address_counts(clock: dict[str, float], settings: Any, db: None) -> None:
    settings.API_RATE_ANONYMOUS = "1/min"
    api = Api()

    def status(address: str, **headers: str) -> int:
        return api.client.get("/api/v1/collections/", REMOTE_ADDR=address, headers=headers).status_code

    assert [status("192.0.2.1"), status("192.0.2.1"), status("192.0.2.2")] == [200, 429, 200]
    assert status("192.0.2.1", **{"X-Forwarded-For": "198.51.100.7"}) == 429  # says who, proves nothing
    assert [status("2001:db8::1"), status("2001:db8::2"), status("2001:db8:0:1::1")] == [200, 429, 200]


def test_the_sites_rates_hold_where_a_key_has_none(clock: dict[str, float], settings: Any, reader: Api) -> None:
    settings.API_RATE_KEY, settings.API_RATE_ANONYMOUS = "7/hour", "3/s"
    assert reader.get("collections/")["X-RateLimit-Limit"] == "7"
    assert Api().get("collections/")["X-RateLimit-Limit"] == "3"
    api = Api()
    api.client.force_login(UserFactory())
    assert api.get("collections/")["X-RateLimit-Limit"] == "7"


def test_an_empty_rate_is_no_limit(settings: Any, reader: Api) -> None:
    settings.API_RATE_KEY = ""
    assert not reader.get("collections/").has_header("X-RateLimit-Limit")


def test_a_malformed_rate_of_a_key_falls_back(settings: Any, make_key: Callable[..., str], caplog: Any) -> None:
    settings.API_RATE_KEY = "9/min"
    assert Api(make_key(rate="lots")).get("collections/")["X-RateLimit-Limit"] == "9"
    assert "lots" in caplog.text


def test_refusals_carry_the_headers_too(reader: Api, collection: Collection) -> None:
    assert reader.get("collections/none/")["X-RateLimit-Limit"] == "600"


def test_unknown_keys_are_not_counted_as_keys(db: None) -> None:
    assert Api("lk_no").get("collections/").status_code == 401
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/min", Rate(600, 60)),
        ("5/s", Rate(5, 1)),
        ("10/day", Rate(10, 86400)),
        ("3/hour", Rate(3, 3600)),
        ("", None),
    ],
)
def test_rates(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["5", "5/", "/min", "x/min", "5/year", "-1/min"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (None, "198.51.100.7", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.5, 198.51.100.7", "198.51.100.7"),
        (2, "203.0.113.5, 198.51.100.7", "203.0.113.5"),
        (3, "203.0.113.5, 198.51.100.7", "203.0.113.5"),
    ],
)
def test_addresses_behind_proxies(proxies: int | None, forwarded: str, address: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(throttling.api_settings, "NUM_PROXIES", proxies, raising=False)
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = Request(RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers=headers))
    assert client_address(request) == address


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("", "unknown"),
    ],
)
def test_networks(address: str, who: str) -> None:
    assert network(address) == who
