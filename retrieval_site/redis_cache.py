"""Django's Redis cache, on which the site does not depend: while Redis is away, this process's memory stands in."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

RETRY_S = 5.0  # a server that failed is left alone this long: no request waits for it in vain meanwhile
_away: dict[str, float] = {}  # server -> until when; of the process, as Django makes a cache object a thread


class PlainBytes:
    """A serializer for caches of bytes. Nothing is unpickled: whoever else writes into Redis cannot run code here."""

    def dumps(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise TypeError(f"this cache keeps bytes, not {type(value).__name__}")
        return value

    def loads(self, data: bytes) -> bytes:
        return data


class RedisOrLocal(RedisCache):
    """See RedisCache. An outage is logged once; ``is_away`` tells of it.

    What is counted or kept meanwhile is each process's own, as without Redis.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options: dict[str, Any] = dict(params.get("OPTIONS", {}))
        most = options.pop("MAX_ENTRIES", 10_000)
        super().__init__(server, {**params, "OPTIONS": options})
        self._server = str(server)
        self._local = LocMemCache(
            f"instead of {server} {self.key_prefix}", {**params, "OPTIONS": {"MAX_ENTRIES": most}}
        )

    @property
    def is_away(self) -> bool:
        return time.monotonic() < _away.get(self._server, 0.0)

    def _either(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if not self.is_away:
            try:
                answer = getattr(super(), name)(*args, **kwargs)
            except (RedisError, OSError) as error:
                self._note(error)
            else:
                if _away.pop(self._server, None) is not None:
                    logger.warning("Redis answers again.")
                return answer
        return getattr(self._local, name)(*args, **kwargs)

    def _note(self, error: Exception) -> None:
        if self._server not in _away:
            logger.warning("Redis does not answer (%s): each process keeps what it would, until it does.", error)
        _away[self._server] = time.monotonic() + RETRY_S

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("add", key, value, *args, **kwargs)

    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("get", key, *args, **kwargs)

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("set", key, value, *args, **kwargs)

    def touch(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("touch", key, *args, **kwargs)

    def delete(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("delete", key, *args, **kwargs)

    def has_key(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("has_key", key, *args, **kwargs)

    def incr(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("incr", key, *args, **kwargs)

    def get_many(self, keys: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("get_many", list(keys), *args, **kwargs)

    def set_many(self, data: Mapping[Any, Any], *args: Any, **kwargs: Any) -> Any:
        return self._either("set_many", data, *args, **kwargs)

    def delete_many(self, keys: Any, *args: Any, **kwargs: Any) -> Any:
        return self._either("delete_many", list(keys), *args, **kwargs)

    def clear(self) -> Any:
        self._local.clear()
        return self._either("clear")
