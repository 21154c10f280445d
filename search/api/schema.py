"""How an endpoint is written down in the OpenAPI schema: one decorator, the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import SAFE_METHODS

from catalog.errors import LookalikeError
from search.api.errors import CollectionMissing, KeyInProgress, KeyReused, UploadTooLarge
from search.api.serializers.common import ErrorSerializer
from search.models import Scope

JSON = "application/json"
FORM = "multipart/form-data"

Decorated = Callable[[Any], Any]
Status = int | tuple[int, str]  # with its media type, if that is not JSON
Answers = Mapping[Status, tuple[Any, Any]]  # to (serializer or None, example or None)

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key with the same body is done once and answered the same for 24 hours.",
)
NO_COLLECTION = CollectionMissing(slug="lamps")
INVALID = ("invalid", "Some fields are not valid.", {"price": ["A valid number is required."]})
_STATUS_TEXT = {
    400: "The request is not valid.",
    401: "No key where one is needed, or one that is unknown or switched off.",
    403: "The key's scope does not allow it.",
    404: "Not there, or not for this key.",
    409: "It does not fit the present state.",
    413: "Too large.",
    415: "Not in a form that can be read.",
    422: "The Idempotency-Key was used for another request.",
    429: "Too many requests; Retry-After says how many seconds to wait.",
    503: "Not available at the moment.",
}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]  # drf-spectacular is untyped here
    target_class = "search.api.authentication.ApiKeyAuthentication"
    name = ["apiKey", "apiKeyHeader"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        about = "A key made with `manage.py create_api_key` or in the admin."
        return [
            {"type": "http", "scheme": "bearer", "description": about},
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": about},
        ]


class KeyedSchema(AutoSchema):  # type: ignore[misc]
    """Says where no key works too, from the scopes the view really asks for."""

    def get_auth(self) -> list[dict[str, list[str]]]:
        needed = self.view.read_scope if self.method in SAFE_METHODS else self.view.write_scope
        choices = [{name: scopes} for together in super().get_auth() for name, scopes in together.items()]
        return [*choices, *([{}] if needed == Scope.READ else [])]  # any one of them; the empty one is no key


def endpoint(
    operation: str,
    summary: str,
    *,
    tag: str,
    answers: Answers,
    body: Any = None,
    asks: Mapping[str, Mapping[str, Any]] | None = None,
    scope: Scope = Scope.READ,
    errors: Iterable[LookalikeError] = (NO_COLLECTION,),
    parameters: Iterable[OpenApiParameter] = (),
    description: str = "",
    once: bool = False,
) -> Decorated:
    """Decorate one method of a view.

    ``asks``: media type -> example body. ``errors``: the refusals of its own it may answer with; those
    every endpoint shares are added. ``once``: it honours Idempotency-Key.
    """
    parameters = list(parameters)
    refusals = [*errors, *((KeyReused(), KeyInProgress()) if once else ())]
    responses: dict[Status, OpenApiResponse] = {status: _success(*answer) for status, answer in answers.items()}
    has_body = body is not None
    responses |= _refusals(refusals, checked=has_body or bool(parameters), has_body=has_body, scope=scope)
    needs = f"Needs the scope `{scope.value}`." if scope != Scope.READ else "Public collections need no key."
    describe = extend_schema(
        operation_id=operation,
        summary=summary,
        description="\n\n".join(filter(None, (description, needs))),
        tags=[tag],
        request=body,
        responses=responses,
        parameters=[*parameters, *((IDEMPOTENCY_KEY,) if once else ())],
        examples=[
            OpenApiExample("Request", value=value, media_type=media, request_only=True)
            for media, value in (asks or {}).items()
        ],
    )

    def decorate(method: Any) -> Any:
        method.schema = KeyedSchema  # what extend_schema builds upon
        return describe(method)

    return decorate


def _success(serializer: Any, example: Any) -> OpenApiResponse:
    examples = [OpenApiExample("Answer", value=example, response_only=True)] if example is not None else []
    return OpenApiResponse(serializer, description="", examples=examples)


def _refusals(
    errors: Iterable[LookalikeError], *, checked: bool, has_body: bool, scope: Scope
) -> dict[Status, OpenApiResponse]:
    found: dict[int, list[OpenApiExample]] = {}
    if checked:
        _note(found, 400, *INVALID)
    if has_body:
        too_large, other = UploadTooLarge(size=50_000_000, limit=33_554_432), "Unsupported media type in request."
        _note(found, 413, too_large.code, str(too_large))
        _note(found, 415, "unsupported_media_type", other)
    _note(found, 401, "authentication_failed", "This API key is unknown or switched off.")
    if scope != Scope.READ:
        _note(found, 403, "permission_denied", "You do not have permission to perform this action.")
    for error in errors:
        _note(found, error.status, error.code, str(error))
    _note(found, 429, "throttled", "Request was throttled. Expected available in 12 seconds.")
    return {
        status: OpenApiResponse(ErrorSerializer, description=_STATUS_TEXT.get(status, ""), examples=examples)
        for status, examples in sorted(found.items())
    }


def _note(
    found: dict[int, list[OpenApiExample]],
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, list[str]] | None = None,
) -> None:
    value = {"error": {"code": code, "message": message, **({"fields": fields} if fields else {})}}
    found.setdefault(status, []).append(OpenApiExample(code, value=value, response_only=True))
