"""The first two tiers: candidates from the coarse index, scored with the original descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import Index, Selection
from search.indexes.exact import ExactIndex
from search.ranking.selectivity import MOST, exact_up_to
from search.ranking.tiers import Tier, Timer
from search.types import Descriptors, Ids, Scores

FILTERED_DEEPER = 4
NONE: Ids = np.empty(0, np.int64)


class Originals(Protocol):
    """The descriptors an index was made of, as exact as they are stored."""

    @property
    def ids(self) -> Ids:
        """All ids, rising."""

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of ``ids`` are held."""

    def vectors(self, ids: Ids) -> Descriptors:
        """(len(ids), dim) float32. Raises KeyError for an id that is not held."""

    def scores(self, query: Descriptors, ids: Ids) -> Scores:
        """Inner products of ``query`` (dim,) with the originals of ``ids``, all of which are held."""


@dataclass(frozen=True)
class Found:
    """Candidates by (-score, id) of the original descriptors. ``exhausted``: there are no others."""

    ids: Ids
    scores: Scores
    exhausted: bool
    tiers: tuple[Tier, Tier]  # coarse and fine


@dataclass(frozen=True)
class Retrieval:
    """Immutable and safe to search from many threads.

    ``index`` and ``originals`` belong to a build (None before the first); ``side`` holds exactly what
    came since; ``superseded`` are ids of the build whose descriptor in ``side`` is newer.
    ``exact_up_to``: filtered sets up to this size are scored one by one; None: where that costs less.
    """

    side: ExactIndex
    index: Index | None = None
    originals: Originals | None = None
    superseded: Ids = field(default_factory=lambda: NONE)
    search_params: Mapping[str, Any] = field(default_factory=dict)
    exact_up_to: int | None = None

    def found(
        self, query: Descriptors, depth: int, enough: int, allowed: Selection | None, excluded: Ids, timer: Timer
    ) -> Found:
        """The best ``depth``. Where the index finds fewer than ``enough``, everything is scored."""
        with timer("coarse"):
            side_scores, side_ids = self._beside(query, depth, allowed, excluded)
            ids, ranked, all_of_them = self._coarse(query, depth, enough, allowed, excluded)
        with timer("fine"):
            scores = side_scores
            if self.originals is not None and len(ids):
                scores = self.originals.scores(query, ids)
                if len(side_ids):
                    scores = np.concatenate([scores, side_scores])
            ids = np.concatenate([ids, side_ids]) if len(side_ids) else ids
            exhausted = all_of_them and len(side_ids) < depth and len(ids) <= depth
            order = np.lexsort((ids, -scores))[:depth]
        return Found(ids[order], scores[order], exhausted, self._tiers(allowed, ranked, len(ids), order, timer.ms))

    def vectors(self, ids: Ids | Sequence[int]) -> Descriptors:
        """(n, dim) descriptors of pictures held, the newer ones where there are two. Raises KeyError."""
        wanted = np.asarray(ids, np.int64)
        beside = np.isin(wanted, self.side.ids)
        x = np.empty((len(wanted), self.side.dim), np.float32)
        x[beside] = self.side.vectors(wanted[beside])
        if not beside.all():
            if self.originals is None:
                raise KeyError(f"not held: {wanted[~beside][:3].tolist()}")
            x[~beside] = self.originals.vectors(wanted[~beside])
        return x

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of ``ids`` can be found at all."""
        there = np.isin(ids, self.side.ids)
        return there if self.originals is None else there | self.originals.holds(ids)

    def exact_limit(self) -> int:
        """Size up to which a filtered set is scored one by one."""
        if self.exact_up_to is not None or self.index is None:
            return self.exact_up_to or 0
        return exact_up_to(len(self.index))

    def _tiers(
        self, allowed: Selection | None, ranked: int, out: int, order: NDArray[np.intp], ms: Mapping[str, float]
    ) -> tuple[Tier, Tier]:
        """``ranked``: how many the index itself put in order; with them ``order`` is compared."""
        total = len(self.side) + (len(self.index) if self.index is not None else 0)
        searched = total if allowed is None else min(total, len(allowed))
        stayed = order if ranked == len(order) == out else np.argsort(np.argsort(order[order < ranked]))
        shifted = int(np.count_nonzero(stayed != np.arange(len(stayed))))
        return (
            Tier("coarse", ms["coarse"], searched, out, 0, max(0, searched - out)),
            Tier("fine", ms["fine"], out, len(order), shifted, out - len(order)),
        )

    def _beside(self, query: Descriptors, depth: int, allowed: Selection | None, excluded: Ids) -> tuple[Scores, Ids]:
        if not len(self.side):
            return np.empty(0, np.float32), NONE
        scores, ids = self.side.search(query[None], min(depth, len(self.side)), allowed, excluded=excluded)
        real = ids[0] >= 0
        return scores[0][real], ids[0][real]

    def _coarse(
        self, query: Descriptors, depth: int, enough: int, allowed: Selection | None, excluded: Ids
    ) -> tuple[Ids, int, bool]:
        """Ids of the build worth scoring, how many of them are in the index's order, and whether they are all."""
        if self.index is None or self.originals is None:
            return NONE, 0, True
        banned = np.concatenate([excluded, self.superseded]) if len(self.superseded) else excluded
        if allowed is not None and len(allowed) <= self.exact_limit():
            return self._held(allowed.ids, banned), 0, True
        fetch = depth if allowed is None else self._filtered_fetch(depth, len(allowed))
        ids = self._listed(query, fetch, allowed, banned)
        if len(ids) >= (enough if allowed is None else fetch):
            return ids[:depth], min(depth, len(ids)), False
        # An index that looks in some cells only may come home with too few.
        held = self.originals.ids if allowed is None else allowed.ids
        cells = self._cells()
        if len(held) <= MOST or not cells:
            return self._held(held, banned), 0, True
        # More of them are scored than usual: codes tell little among what is far from the query.
        fetch = FILTERED_DEEPER * depth
        ids = self._listed(query, fetch, allowed, banned, nprobe=cells)
        return ids, len(ids), len(ids) < fetch

    def _listed(self, query: Descriptors, fetch: int, allowed: Selection | None, banned: Ids, **wider: int) -> Ids:
        """What the index has, best first."""
        assert self.index is not None
        params = {**self.search_params, **wider}
        found = self.index.search(query[None], fetch, allowed, excluded=banned, **params)[1][0]
        ids: Ids = found[found >= 0]
        return ids

    def _cells(self) -> int:
        """How many there are, of an index that looks in some of its cells; else 0."""
        knob = getattr(self.index, "knobs", {}).get("nprobe")
        return int(knob.most) if knob else 0

    def _filtered_fetch(self, depth: int, allowed: int) -> int:
        """How many to ask for under a filter. A list that is not full tells that what passes lies elsewhere than
        where the index looked; of one that looks in some cells, a longer list tells it more surely."""
        return min(allowed, depth * (FILTERED_DEEPER if self._cells() else 1))

    def _held(self, ids: Ids, excluded: Ids) -> Ids:
        """``ids``, rising, as far as the build holds them."""
        assert self.originals is not None
        ids = ids[self.originals.holds(ids)]
        return ids[~np.isin(ids, excluded)] if len(excluded) else ids
