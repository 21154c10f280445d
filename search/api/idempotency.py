"""``Idempotency-Key``: the same POST sent twice is done once and answered the same for a day.

Only successes are kept: after an error the same key may be tried again. What was answered lies in
Django's cache, so several processes need a shared one (Redis) for this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.core.cache import cache
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from search.api.errors import CacheAway, KeyInProgress, KeyReused
from search.api.throttling import caller

KEEP_S = 24 * 3600
LOCK_S = 600  # longer than any request
MAX_KEY = 200
_RUNNING = "running"

Handler = Callable[..., Response]


def idempotent(handler: Handler) -> Handler:
    """Decorate a view's ``post``. Without the header it changes nothing."""

    @wraps(handler)
    def post(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key")
        if not key:
            return handler(view, request, *args, **kwargs)
        if len(key) > MAX_KEY:
            raise ValidationError({"Idempotency-Key": [_("At most %(most)d characters.") % {"most": MAX_KEY}]})
        return _once(_slot(request, key), fingerprint(request), lambda: handler(view, request, *args, **kwargs))

    return post


def _once(slot: str, body: str, handle: Callable[[], Response]) -> Response:
    fresh = cache.add(slot, {"body": body, "state": _RUNNING}, timeout=LOCK_S)
    if getattr(cache, "is_away", False):  # each process would do it once
        raise CacheAway
    if not fresh:
        kept = cache.get(slot)
        if kept is not None:
            return _replay(kept, body)
    try:
        response = handle()
    except BaseException:
        cache.delete(slot)
        raise
    rendered = JSONRenderer().render(response.data) if response.data is not None else b""
    kept = {"body": body, "state": "done", "status": response.status_code, "data": rendered}
    cache.set(slot, kept, timeout=KEEP_S)
    return response


def _replay(kept: Mapping[str, Any], body: str) -> Response:
    if kept["body"] != body:
        raise KeyReused
    if kept["state"] == _RUNNING:
        raise KeyInProgress
    data = json.loads(kept["data"]) if kept["data"] else None
    return Response(data, status=kept["status"], headers={"Idempotency-Replayed": "true"})


def _slot(request: Request, key: str) -> str:
    """Of this caller, at this address: one app's keys never meet another's."""
    what = "\n".join((caller(request), request.path, key))
    return f"api-once:{hashlib.sha256(what.encode()).hexdigest()}"


def fingerprint(request: Request) -> str:
    """Hash of what was sent, by value: a multipart boundary differs on every try."""
    digest = hashlib.sha256()
    data = request.data
    if isinstance(data, QueryDict):
        for name, values in sorted(data.lists()):
            digest.update(repr((name, [_part(value) for value in values])).encode())
    else:
        digest.update(json.dumps(data, sort_keys=True, default=str).encode())
    digest.update(request.META.get("QUERY_STRING", "").encode())
    return digest.hexdigest()


def _part(value: Any) -> str:
    if not isinstance(value, UploadedFile):
        return str(value)
    digest = hashlib.sha256()
    for chunk in value.chunks():
        digest.update(chunk)
    value.seek(0)
    return digest.hexdigest()
