"""The OpenAPI document: valid, complete, up to date, its examples true to it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.staticfiles import finders
from django.core.management import call_command

from tests.search.api import contract
from tests.search.api.conftest import Api

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "openapi.yaml"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in contract.schema()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_it_is_valid_and_without_warnings(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "openapi.yaml"))


def test_the_committed_one_is_up_to_date(tmp_path: Path) -> None:
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(fresh), stdout=io.StringIO())
    remedy = "run: manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml"
    assert COMMITTED.read_text() == fresh.read_text(), remedy


def test_every_endpoint_is_described() -> None:
    for path, method, operation in operations():
        where = (method, path)
        assert operation["summary"], where
        assert len(operation["tags"]) == 1, where
        assert {"apiKey": []} in operation["security"], where
        assert "401" in operation["responses"], where
        assert "429" in operation["responses"] or path.endswith("/health/"), where
        if "{slug}" in path:
            assert "404" in operation["responses"], where
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(operation["responses"]), where


def test_a_key_is_optional_where_reading_is_public() -> None:
    for path, method, operation in operations():
        public = method == "get" or path.endswith("/search/") or "/explain/" in path
        keepers = "/imports/" in path or "/duplicates/" in path  # business of whoever keeps the catalog
        assert ({} in operation["security"]) is (public and not keepers), (method, path)
        assert ("403" in operation["responses"]) is not (public and not keepers), (method, path)


def test_every_json_body_and_answer_has_an_example() -> None:
    for path, method, operation in operations():
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            assert content.get("examples"), (method, path, media)
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json")
            assert content is None or content.get("examples") or status == "503", (method, path, status)


def test_examples_are_true_to_their_schemas() -> None:
    count = 0
    for path, method, operation in operations():
        contents = [*operation["responses"].values(), operation.get("requestBody", {})]
        for content in (response.get("content", {}).get("application/json", {}) for response in contents):
            for name, example in content.get("examples", {}).items():
                wrong = contract.errors_in(example["value"], content["schema"])
                assert not wrong, (method, path, name, wrong)
                count += 1
    assert count > 100


def test_both_ways_to_send_a_key_are_described() -> None:
    schemes = contract.schema()["components"]["securitySchemes"]
    assert (schemes["apiKey"]["type"], schemes["apiKey"]["scheme"]) == ("http", "bearer")
    assert (schemes["apiKeyHeader"]["in"], schemes["apiKeyHeader"]["name"]) == ("header", "X-API-Key")


def test_the_check_notices_what_is_not_written_down() -> None:
    """The tests' own check: an unknown field, a missing one, a null where there may be none."""
    collection = {"$ref": "#/components/schemas/Collection"}
    from search.api.examples import COLLECTION

    assert not contract.errors_in(COLLECTION, collection)
    assert contract.errors_in({**COLLECTION, "more": 1}, collection)
    assert contract.errors_in({**COLLECTION, "slug": None}, collection)
    assert contract.errors_in({k: v for k, v in COLLECTION.items() if k != "slug"}, collection)


@pytest.mark.django_db
def test_it_is_served(anonymous: Api) -> None:
    response = anonymous.client.get("/api/v1/schema/")
    assert response.status_code == 200
    served = yaml.safe_load(response.content)
    assert set(served["paths"]) == set(contract.schema()["paths"])


@pytest.mark.django_db
def test_the_page_of_it_needs_nothing_from_elsewhere(anonymous: Api) -> None:
    page = anonymous.client.get("/api/v1/docs/").content.decode()
    assert "/api/v1/schema/" in page
    assert "cdn" not in page
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/" in page
    assert finders.find("drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")
