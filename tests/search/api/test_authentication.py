"""Keys: where they may stand, which are refused, and what a request with one writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Collection
from search.models import ApiKey, Scope
from tests.factories import StaffFactory, UserFactory
from tests.search.api.conftest import Api, error_of

pytestmark = pytest.mark.django_db


def test_both_headers_work(make_key: Callable[..., str], private: Collection) -> None:
    key = make_key()
    assert Api().get("collections/secret/", Authorization=f"Bearer {key}").status_code == 200
    assert Api().get("collections/secret/", Authorization=f"bearer {key}").status_code == 200
    assert Api().get("collections/secret/", X_API_Key=key).status_code == 200


@pytest.mark.parametrize("headers", [{"X_API_Key": "lk_no"}, {"Authorization": "Bearer lk_no"}, {"X_API_Key": ""}])
def test_unknown_keys_are_refused_even_where_none_is_needed(collection: Collection, headers: dict[str, str]) -> None:
    response = Api().get("collections/", **headers)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert error_of(response)["code"] == "authentication_failed"


def test_inactive_keys_are_refused_like_unknown_ones(make_key: Callable[..., str], collection: Collection) -> None:
    switched_off = Api(make_key(is_active=False)).get("collections/")
    unknown = Api("lk_unknown").get("collections/")
    assert switched_off.status_code == unknown.status_code == 401
    assert switched_off.content == unknown.content


def test_a_key_is_refused_from_the_moment_it_is_switched_off(make_key: Callable[..., str], db: None) -> None:
    api = Api(make_key())
    assert api.get("collections/").status_code == 200
    ApiKey.objects.update(is_active=False)
    assert api.get("collections/").status_code == 401


def test_the_prefix_or_the_hash_is_no_key(make_key: Callable[..., str]) -> None:
    make_key()
    row = ApiKey.objects.get()
    assert Api(row.prefix).get("collections/").status_code == 401
    assert Api(row.hash).get("collections/").status_code == 401


def test_known_and_unknown_keys_cost_the_same_queries(
    make_key: Callable[..., str], django_assert_num_queries: Any
) -> None:
    from django.test import RequestFactory
    from rest_framework.exceptions import AuthenticationFailed
    from rest_framework.request import Request

    from search.api.authentication import ApiKeyAuthentication

    known, off = make_key(last_used=timezone.now()), make_key(is_active=False)
    authenticate = ApiKeyAuthentication().authenticate
    for key in (known, off, "lk_unknown", "x", "é" * 5000):
        with django_assert_num_queries(1):
            try:
                authenticate(Request(RequestFactory().get("/", headers={"X-API-Key": key})))
            except AuthenticationFailed:
                assert key != known


def test_last_used_is_written_at_most_once_a_minute(make_key: Callable[..., str]) -> None:
    api = Api(make_key())
    api.get("collections/")
    first = ApiKey.objects.get().last_used
    assert first is not None
    api.get("collections/")
    assert ApiKey.objects.get().last_used == first
    ApiKey.objects.update(last_used=first - timedelta(seconds=61))
    api.get("collections/")
    assert ApiKey.objects.get().last_used > first - timedelta(seconds=1)


def test_a_signed_in_member_reads_what_the_site_shows(private: Collection) -> None:
    member = UserFactory()
    private.members.add(member)
    api = Api()
    assert api.get("collections/secret/").status_code == 404
    api.client.force_login(member)
    assert api.get("collections/secret/").status_code == 200
    assert api.put("collections/secret/products/A/", {}).status_code == 403


def test_a_staff_session_is_admin(private: Collection) -> None:
    api = Api()
    api.client.force_login(StaffFactory())
    assert api.put("collections/secret/products/A/", {}).status_code == 201
    assert api.get("collections/secret/imports/").status_code == 200


def test_a_session_needs_the_csrf_token_to_write(private: Collection) -> None:
    from django.test import Client

    api = Api(client=Client(enforce_csrf_checks=True, raise_request_exception=False))
    api.client.force_login(StaffFactory())
    response = api.put("collections/secret/products/A/", {})
    assert response.status_code == 403
    assert error_of(response)["code"] == "permission_denied"


def test_a_key_is_not_its_makers_session(make_key: Callable[..., str], private: Collection) -> None:
    """A read key made by a superuser reads, no more."""
    api = Api(make_key(Scope.READ, created_by=StaffFactory()))
    assert api.get("collections/secret/").status_code == 200
    assert api.put("collections/secret/products/A/", {}).status_code == 403
