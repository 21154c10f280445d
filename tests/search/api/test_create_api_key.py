"""``manage.py create_api_key``."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.signals import m2m_changed

from catalog.models import Collection
from search.models import ApiKey
from tests.search.api.conftest import Api

pytestmark = pytest.mark.django_db


def create(*args: str) -> str:
    out = io.StringIO()
    call_command("create_api_key", *args, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_key_alone_is_printed_and_works(private: Collection) -> None:
    printed = create("shop")
    key = printed.strip()
    assert printed == f"{key}\n"
    assert key.startswith("lk_")
    assert Api(key).get("collections/secret/").status_code == 200
    row = ApiKey.objects.get()
    assert (row.name, row.scope, row.collections.count()) == ("shop", "read", 0)
    assert key not in (row.hash, row.prefix)


def test_scope_collections_and_rate(collection: Collection, private: Collection) -> None:
    key = create("shop", "--scope", "write", "--collection", "secret", "--rate", "5/min").strip()
    api = Api(key)
    response = api.put("collections/secret/products/A/", {})
    assert (response.status_code, response["X-RateLimit-Limit"]) == (201, "5")
    assert api.get("collections/lamps/").status_code == 404


@pytest.mark.parametrize(
    "args", [("--collection", "none"), ("--rate", "often"), ("--scope", "root")], ids=["collection", "rate", "scope"]
)
def test_what_is_wrong_makes_no_key(args: tuple[str, str], collection: Collection) -> None:
    with pytest.raises(CommandError):
        create("shop", *args)
    assert not ApiKey.objects.exists()


def test_no_key_sees_everything_while_it_is_bound(collection: Collection) -> None:
    """If binding fails, there is no key."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError

    m2m_changed.connect(fail, sender=ApiKey.collections.through)
    try:
        with pytest.raises(RuntimeError):
            create("shop", "--collection", "lamps")
    finally:
        m2m_changed.disconnect(fail, sender=ApiKey.collections.through)
    assert not ApiKey.objects.exists()
