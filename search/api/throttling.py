"""Rate limits: a counter a window in Django's cache, for each key, user or address.

With the local memory cache each process counts for itself; with Redis they count together.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from search.models import ApiKey

logger = logging.getLogger(__name__)

_PERIODS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Rate:
    """``count`` requests in each window of ``period_s`` seconds."""

    count: int
    period_s: int

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """Read '600/min', '5/s', '1000/hour', '10/day'. Empty: no limit. Raises ValueError."""
        if not text.strip():
            return None
        count, _slash, period = text.partition("/")
        period_s = _PERIODS_S.get(period.strip()[:1].lower())
        if period_s is None or int(count) < 0:
            raise ValueError(f"{text!r} is no rate; write for example 600/min")
        return cls(int(count), period_s)


@dataclass(frozen=True)
class Usage:
    """Where a caller stands in its window; becomes the X-RateLimit-* headers."""

    limit: int
    remaining: int
    reset_s: int  # seconds until the window ends

    def headers(self) -> dict[str, str]:
        names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
        return dict(zip(names, map(str, (self.limit, self.remaining, self.reset_s)), strict=True))


class RateThrottle(BaseThrottle):
    """Sets ``request.rate_usage`` (a Usage), which the base view writes into the headers."""

    _wait_s: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        who, rate = caller(request), rate_of(request)
        if rate is None:
            return True
        now = time.time()
        window = int(now // rate.period_s)
        used = _count(f"api-rate:{who}:{rate.period_s}:{window}", rate.period_s)
        self._wait_s = (window + 1) * rate.period_s - now
        usage = Usage(rate.count, max(0, rate.count - used), max(1, round(self._wait_s)))
        request._request.rate_usage = usage  # type: ignore[attr-defined]
        return used <= rate.count

    def wait(self) -> float | None:
        return self._wait_s


def _count(key: str, period_s: int) -> int:
    cache.add(key, 0, timeout=period_s + 5)
    try:
        return cache.incr(key)
    except ValueError:  # evicted between the two
        return 1


def rate_of(request: Request) -> Rate | None:
    """The key's own rate, else the site's. A malformed rate of a key counts as none given."""
    if isinstance(request.auth, ApiKey) and request.auth.rate:
        try:
            return Rate.parse(request.auth.rate)
        except ValueError as error:
            logger.warning("Key %s: %s", request.auth.pk, error)
    known = request.auth is not None or request.user.is_authenticated
    return Rate.parse(settings.API_RATE_KEY if known else settings.API_RATE_ANONYMOUS)


def caller(request: Request) -> str:
    """Whose requests are counted, and whose Idempotency-Keys are kept, together."""
    if isinstance(request.auth, ApiKey):
        return f"key-{request.auth.pk}"
    if request.user.is_authenticated:
        return f"user-{request.user.pk}"
    return f"address-{network(client_address(request))}"


def client_address(request: Request) -> str:
    """The peer's address; behind NUM_PROXIES proxies of ours the one the outermost saw.

    Without that setting X-Forwarded-For is not read: anyone can write anything into it.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    proxies = api_settings.NUM_PROXIES or 0
    return forwarded[-min(proxies, len(forwarded))] if proxies and forwarded else peer


def network(address: str) -> str:
    """One subscriber: an IPv4 address, or an IPv6 /64, which is what one gets."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network(f"{parsed}/64", strict=False).network_address)
    return str(parsed)
