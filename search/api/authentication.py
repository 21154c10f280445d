"""API keys: ``Authorization: Bearer lk_…`` or ``X-API-Key: lk_…``."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from search.models import ApiKey

USED_EVERY = timedelta(minutes=1)


class ApiKeyAuthentication(BaseAuthentication):
    """Sets ``request.auth`` to the ApiKey.

    Unknown, malformed and inactive keys cost the same (one hash, one look-up by it) and are told the same.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        presented = presented_key(request)
        if presented is None:
            return None
        key = active_key(presented)
        if key is None:
            raise AuthenticationFailed(_("This API key is unknown or switched off."))
        _note_use(key)
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def active_key(presented: str) -> ApiKey | None:
    # Django would spend more time on building this query, anew for each request, than the database on answering it.
    return next(iter(ApiKey.objects.raw(_active_sql(), [ApiKey.digest(presented)])), None)


@cache
def _active_sql() -> str:
    """Over one parameter, a hash."""
    sql, _ = ApiKey.objects.filter(hash="", is_active=True).order_by().query.sql_with_params()
    return sql


def presented_key(request: Request | HttpRequest) -> str | None:
    """The key a request carries, if it carries one; other kinds of Authorization are not ours."""
    scheme, _space, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("X-API-Key")


def _note_use(key: ApiKey) -> None:
    """Write down that the key is in use, at most once a minute: a read must not cost a write."""
    now = timezone.now()
    if key.last_used is None or key.last_used < now - USED_EVERY:
        stale = Q(last_used__isnull=True) | Q(last_used__lt=now - USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used=now)
