"""One shape for every answer that is not a success: ``{"error": {"code", "message", "fields"?}}``.

``code`` is for programs and never translated, ``message`` is in the reader's language, ``fields``
names what is wrong with which part of the request.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelInvalid
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import Http404
from django.utils.translation import gettext
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from catalog.errors import LookalikeError, NotFound, gettext_noop

logger = logging.getLogger(__name__)


class AddressUnknown(NotFound):
    text = gettext_noop("There is nothing at %(path)s.")
    cure = gettext_noop("The addresses are listed at /api/v1/docs/; each ends with a slash.")


class CollectionMissing(NotFound):
    code = "collection_not_found"
    text = gettext_noop("There is no collection %(slug)s.")
    cure = gettext_noop("Those you may see are listed at /api/v1/collections/.")


class ProductMissing(NotFound):
    code = "product_not_found"
    text = gettext_noop("There is no product with the SKU %(sku)s in this collection.")


class ImageMissing(NotFound):
    code = "image_not_found"
    text = gettext_noop("There is no picture %(id)s in this collection.")


class IndexMissing(NotFound):
    code = "index_not_found"
    text = gettext_noop("There is no index %(name)s in this collection.")


class JobMissing(NotFound):
    code = "job_not_found"
    text = gettext_noop("There is no job %(id)s of this kind in this collection.")


class BenchmarkMissing(NotFound):
    code = "benchmark_not_found"
    text = gettext_noop("There is no benchmark %(name)s in this collection.")


class SkuTaken(LookalikeError):
    code = "sku_taken"
    text = gettext_noop("There is a product with the SKU %(sku)s already.")
    cure = gettext_noop("Change it with PATCH, or replace it with PUT at its own address.")
    status = 409


class JobFinished(LookalikeError):
    code = "job_finished"
    text = gettext_noop("The job is finished already (%(state)s).")
    status = 409


class UploadTooLarge(LookalikeError):
    code = "too_large"
    text = gettext_noop("The request has %(size)s bytes; at most %(limit)s bytes are taken here.")
    status = 413


class KeyReused(LookalikeError):
    code = "idempotency_key_reused"
    text = gettext_noop("This Idempotency-Key was used for another request.")
    cure = gettext_noop("Use a new key for every new request.")
    status = 422


class KeyInProgress(LookalikeError):
    code = "idempotency_key_in_progress"
    text = gettext_noop("A request with this Idempotency-Key is still running.")
    cure = gettext_noop("Wait for its answer.")
    status = 409


class CacheAway(LookalikeError):
    code = "unavailable"
    text = gettext_noop("Whether this Idempotency-Key was used before cannot be told now: Redis does not answer.")
    cure = gettext_noop("Try again in a moment, or send the request without the key.")
    status = 503


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Answer any exception of an API view in the one shape; unexpected ones are logged and told as a plain 500."""
    set_rollback()
    if isinstance(exc, LookalikeError):
        if exc.status >= 500:
            logger.error("%s", exc)
        return _answer(exc.status, exc.code, exc.render(gettext))
    if isinstance(exc, ModelInvalid):
        exc = exceptions.ValidationError(exc.message_dict if hasattr(exc, "error_dict") else exc.messages)
    exc = _as_api_exception(exc)
    if isinstance(exc, exceptions.APIException):
        return _api_answer(exc)
    return _unexpected(exc, context)


def _as_api_exception(exc: Exception) -> Exception:
    """What Django raises, as what DRF would have raised."""
    if isinstance(exc, Http404):
        return exceptions.NotFound()
    if isinstance(exc, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(exc, RequestDataTooBig):
        return _Refused(413, "too_large", gettext("The request is larger than this site takes."))
    if isinstance(exc, SuspiciousOperation):
        return _Refused(400, "bad_request", gettext("The request is malformed."))
    return exc


class _Refused(exceptions.APIException):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message, code)
        self.status_code, self.default_code = status, code


def _api_answer(exc: exceptions.APIException) -> Response:
    headers = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if isinstance(exc, exceptions.ValidationError):
        message, fields = _validation(exc.detail)
    else:
        message, fields = str(exc.detail), {}
    return _answer(exc.status_code, exc.default_code, message, fields, headers)


def _validation(detail: Any) -> tuple[str, dict[str, list[str]]]:
    """The message and the fields of a validation error; nested names are joined with dots."""
    fields: dict[str, list[str]] = {}
    for name, text in _flat(detail):
        fields.setdefault(name, []).append(text)
    general = fields.pop("", [])
    return " ".join(general) or gettext("Some fields are not valid."), fields


def _flat(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for name, value in detail.items():
            part = "" if name in ("non_field_errors", "__all__") else str(name)
            yield from _flat(value, ".".join(filter(None, (path, part))))
    elif isinstance(detail, list | tuple):
        for item in detail:
            yield from _flat(item, path)
    else:
        yield path, str(detail)


def _unexpected(exc: Exception, context: Mapping[str, Any]) -> Response:
    request = getattr(context.get("request"), "_request", None)
    if isinstance(exc, OperationalError):
        logger.error("The database did not answer: %s", exc)
        message = gettext("The database does not answer. Try again in a moment.")
        return _answer(503, "unavailable", message, headers={"Retry-After": "1"})
    logger.error("Unexpected error at %s", getattr(request, "path", "?"), exc_info=exc)
    got_request_exception.send(sender=type(context.get("view")), request=request)
    return _answer(500, "internal_error", gettext("Something went wrong on our side. It has been logged."))


def _answer(
    status: int,
    code: str,
    message: str,
    fields: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if fields:
        error["fields"] = fields
    return Response({"error": error}, status=status, headers=dict(headers or {}))
