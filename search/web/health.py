"""Is the site able to work: database, cache and broker."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable

from celery import current_app
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

log = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when all of them answer, else 503. Causes go to the log, not to strangers."""
    checks = {name: _passes(name, check) for name, check in CHECKS.items()}
    healthy = all(checks.values())
    said = {name: "ok" if passed else "failed" for name, passed in checks.items()}
    return JsonResponse({"status": "ok" if healthy else "failed", "checks": said}, status=200 if healthy else 503)


def _passes(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:  # whatever a driver raises: the answer is that it does not work
        log.exception("health: %s", name)
        return False
    return True


def check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def check_cache() -> None:
    token = secrets.token_hex(8)
    cache.set(f"healthz:{token}", token, 10)
    if cache.get(f"healthz:{token}") != token:
        raise OSError("the cache does not keep what it was given")
    if getattr(cache, "is_away", False):
        raise OSError("Redis is away; this process's memory stands in for it")


def check_broker() -> None:
    """A folder must be writable; a server must answer within two seconds."""
    options = current_app.conf.broker_transport_options or {}
    for key in ("data_folder_in", "data_folder_out"):
        if (folder := options.get(key)) and not os.access(folder, os.W_OK | os.X_OK):
            raise OSError(f"cannot write into {folder}")
    with current_app.connection_for_write(connect_timeout=2) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)


CHECKS: dict[str, Callable[[], None]] = {"database": check_database, "cache": check_cache, "broker": check_broker}
