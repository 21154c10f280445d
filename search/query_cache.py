"""The two caches in front of a search: descriptors of pictures, and answers by everything that shapes them.

Values are bytes and JSON, never pickles: Redis may be shared. See docs/caching.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from django.conf import settings
from django.core.cache import caches

from search.ranking import Tier
from search.ranking.candidates import Reason
from search.types import Descriptors

FORMAT = 1  # of what is kept: another number, and what an older version kept is not read
MOST_S = 86_400  # see search.catalog_changes.KEEP

Box = tuple[int, int, int, int]
Options = Sequence[tuple[str, object]]


@dataclass
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0


class QueryCache:
    """One of settings.CACHES, for bytes; settings NAME_CACHE_SIZE and NAME_CACHE_S, either of which 0 turns it off."""

    def __init__(self, alias: str, name: str) -> None:
        self._alias, self._name = alias, name
        self._guard = threading.Lock()
        self._turns: dict[str, _Turn] = {}

    @property
    def is_on(self) -> bool:
        return bool(getattr(settings, f"{self._name}_CACHE_SIZE")) and self.seconds > 0

    @property
    def seconds(self) -> float:
        return min(float(getattr(settings, f"{self._name}_CACHE_S")), MOST_S)

    def get(self, key: str) -> bytes | None:
        kept = caches[self._alias].get(key)
        return kept if isinstance(kept, bytes) else None

    def put(self, key: str, value: bytes, at_most_s: float = math.inf) -> None:
        """For the time that the settings say, or ``at_most_s``; not at all for less than a second."""
        seconds = int(min(self.seconds, at_most_s))
        if seconds > 0:
            caches[self._alias].set(key, value, seconds)

    @contextmanager
    def turn(self, key: str) -> Iterator[bool]:
        """One thread of the process at a time makes what is missing under ``key``. True for one that had to wait."""
        with self._guard:
            turn = self._turns.setdefault(key, _Turn())
            turn.waiting += 1
            waited = turn.waiting > 1
        try:
            with turn.lock:
                yield waited
        finally:
            with self._guard:
                turn.waiting -= 1
                if not turn.waiting:
                    self._turns.pop(key, None)


descriptors = QueryCache("descriptors", "DESCRIPTOR")
answers = QueryCache("answers", "ANSWER")


def descriptor_key(collection_id: int, sha256: str, box: Box | None, fingerprint: str, options: Options = ()) -> str:
    """Of a picture's descriptor. ``options``: (name, value) of whatever else the decoding depended on.

    The collection is part of it: how quickly a picture is answered must not tell that another tenant sent it before.
    """
    return key_of("descriptor", collection_id, sha256, box, fingerprint, sorted(options))


def key_of(*parts: object) -> str:
    """Of anything that JSON can write."""
    text = json.dumps([FORMAT, *parts], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def digest(*arrays: np.ndarray[Any, Any]) -> str:
    """Of arrays, by value."""
    made = hashlib.blake2b(digest_size=16)
    for array in arrays:
        made.update(f"{array.dtype} {array.shape}".encode())
        made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


def descriptor_of_bytes(kept: bytes, dim: int) -> Descriptors | None:
    """(dim,) float32; None for anything else than that."""
    if dim and len(kept) != 4 * dim:
        return None
    x = np.frombuffer(kept, "<f4") if len(kept) % 4 == 0 else None
    return x if x is not None and np.isfinite(x).all() else None


@dataclass(frozen=True)
class Answered:
    """One hit without its rows: they are read anew each time. Reasons are not translated yet."""

    id: int
    score: float
    probability: float | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a search found, as it is kept."""

    hits: tuple[Answered, ...]
    has_more: bool
    tiers: tuple[Tier, ...]

    def to_bytes(self) -> bytes:
        hits = [
            [h.id, h.score, h.probability, [[r.rule, r.text, dict(r.params)] for r in h.reasons]] for h in self.hits
        ]
        tiers = [asdict(tier) for tier in self.tiers]
        return json.dumps([FORMAT, self.has_more, tiers, hits], separators=(",", ":"), default=str).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Answer | None:
        """None for what is no answer of this version."""
        try:
            version, has_more, tiers, hits = json.loads(data)
            if version != FORMAT:
                return None
            return cls(
                tuple(
                    Answered(id_, score, probability, tuple(Reason(*reason) for reason in reasons))
                    for id_, score, probability, reasons in hits
                ),
                has_more,
                tuple(Tier(**tier) for tier in tiers),
            )
        except (ValueError, TypeError):
            return None
