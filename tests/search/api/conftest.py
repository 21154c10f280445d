"""Clients that check every answer against the schema, keys, and a small gallery with real descriptors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from catalog.models import Collection
from search.models import ApiKey, Scope
from tests import factories
from tests.search.api import contract


class Api:
    """``api.get("collections/")``: JSON in and out, under /api/v1/, with a key or without."""

    def __init__(self, key: str | None = None, client: Client | None = None) -> None:
        self.client = client or Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, body: Any = None, *, form: Any = None, **headers: str) -> Any:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        extra: dict[str, Any] = {}
        if form is not None:
            extra = {"data": form}
        elif body is not None:
            extra = {"data": body if isinstance(body, bytes) else json.dumps(body), "content_type": "application/json"}
        url = path if path.startswith(("/", "http")) else f"/api/v1/{path}"
        response = getattr(self.client, method.lower())(url, headers=sent, **extra)
        if response.get("Content-Type", "").startswith("application/json"):
            contract.check(response, method.upper())
        return response

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("PUT", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.call("PATCH", path, body, **more)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, **headers)


def error_of(response: Any) -> dict[str, Any]:
    """The error of an answer; asserts that there is nothing beside it."""
    body = response.json()
    assert set(body) == {"error"}, body
    return body["error"]


def upload(data: bytes, name: str = "picture.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "image/jpeg")


@pytest.fixture
def collection(db: None) -> Collection:
    return factories.CollectionFactory(slug="lamps", name="Lamps", is_public=True)


@pytest.fixture
def private(db: None) -> Collection:
    return factories.CollectionFactory(slug="secret", name="Secret", is_public=False)


@pytest.fixture
def make_key(db: None) -> Callable[..., str]:
    """``make_key(Scope.WRITE, collection, rate="5/min")``: a new key in clear."""

    def make(scope: Scope = Scope.READ, *collections: Collection, **fields: Any) -> str:
        key: ApiKey = factories.ApiKeyFactory(scope=scope, all_collections=not collections, **fields)
        key.collections.set(collections)
        return key.clear  # type: ignore[attr-defined]

    return make


@pytest.fixture
def anonymous() -> Api:
    return Api()


@pytest.fixture
def reader(make_key: Callable[..., str]) -> Api:
    return Api(make_key(Scope.READ))


@pytest.fixture
def writer(make_key: Callable[..., str]) -> Api:
    return Api(make_key(Scope.WRITE))


@pytest.fixture
def admin(make_key: Callable[..., str]) -> Api:
    return Api(make_key(Scope.ADMIN))


@pytest.fixture
def gallery(collection: Collection) -> Collection:
    """Six products with a picture each, embedded with the classical baseline, not built."""
    from search.builds import index_for
    from search.embedding import embed_pending

    index = index_for(collection)
    for number in range(6):
        product = factories.ProductFactory(
            collection=collection,
            sku=f"LAMP-{number}",
            category="desk" if number % 2 else "floor",
            price=10 * (number + 1),
            stock=number % 3,
            attributes={"color": "red" if number < 2 else "blue", "watts": 9},
        )
        factories.ImageFactory(product=product, seed=number + 1)
    embed_pending(collection, index.feature_model)
    return collection
