"""How often the two caches had what searches asked for, by index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Min, Sum

from search.models import QueryCacheCount

COUNTED = ("hits", "misses", "descriptor_hits", "descriptor_misses")


@dataclass(frozen=True)
class CacheCounts:
    """Answers and descriptors that were there, and were not, since a day."""

    hits: int
    misses: int
    descriptor_hits: int
    descriptor_misses: int
    since: date

    @property
    def rate(self) -> float | None:
        """Share of searches whose answer was there; None where none was looked for."""
        return _share(self.hits, self.misses)

    @property
    def descriptor_rate(self) -> float | None:
        """Share of pictures whose descriptor was there, of those that have none stored."""
        return _share(self.descriptor_hits, self.descriptor_misses)


def cache_counts(index_ids: Iterable[int]) -> dict[int, CacheCounts]:
    """By index id, in one query; an index that was never searched with a cache on is left out."""
    rows = QueryCacheCount.objects.filter(index__in=list(index_ids)).order_by()
    summed = rows.values_list("index").annotate(*map(Sum, COUNTED), Min("day"))
    return {row[0]: CacheCounts(*row[1:]) for row in summed}


def _share(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
