"""Holds answers to the OpenAPI schema: what is served is what is written down."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jsonschema
from drf_spectacular.generators import SchemaGenerator


@cache
def schema() -> dict[str, Any]:
    return SchemaGenerator().get_schema(public=True)


def operation(route: str, method: str) -> dict[str, Any]:
    """The operation of a Django route such as ``api/v1/collections/<slug:slug>/``."""
    path = "/" + re.sub(r"<\w+:(\w+)>", lambda found: "{" + found[1].replace("pk", "id") + "}", route)
    return schema()["paths"][path][method.lower()]


def errors_in(value: Any, content: dict[str, Any]) -> list[str]:
    """Where ``value`` differs from a JSON schema of the document."""
    root = {**strict(content), "components": strict(schema()["components"])}
    return [f"{list(e.absolute_path)}: {e.message}" for e in jsonschema.Draft7Validator(root).iter_errors(value)]


def strict(part: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: ``nullable`` becomes a type, and a field not written down is an error."""
    if isinstance(part, list):
        return [strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    done = {name: strict(value) for name, value in part.items()}
    if isinstance(done.get("properties"), dict) and "type" in done:
        done.setdefault("additionalProperties", False)
    if done.pop("nullable", False) is True:
        return {"anyOf": [done, {"type": "null"}]}
    return done


def check(response: Any, method: str) -> None:
    """Assert that a JSON answer is one the schema knows, status and body."""
    if response.status_code >= 400 and "error" in response.json():
        assert not errors_in(response.json(), {"$ref": "#/components/schemas/Error"}), response.json()
    route = response.resolver_match.route if response.resolver_match else ""
    if not route.startswith("api/v1/") or method == "HEAD" or response.status_code == 405:
        return
    described = operation(route, method)["responses"]
    assert str(response.status_code) in described, (method, route, response.status_code, response.content[:500])
    content = described[str(response.status_code)].get("content", {})
    if response.status_code < 400 and "application/json" in content:
        wrong = errors_in(response.json(), content["application/json"]["schema"])
        assert not wrong, (method, route, wrong, response.json())
