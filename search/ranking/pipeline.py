"""The three tiers: coarse (the index), fine (original descriptors), rules (the business)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from search.indexes.base import Index, ordered
from search.ranking.candidates import Candidate, Facts
from search.ranking.rules import Rule
from search.types import Descriptors, Ids, Scores

EXACT_UP_TO = 2_000  # allowed ids scored one by one: a few ms, and no index can do better than exact
MAX_DEPTH = 16_384  # candidates looked at for one page, however many the rules drop
GROWTH = 4

Lookup = Callable[[Sequence[int]], Mapping[int, Facts]]
_NONE: Ids = np.empty(0, np.int64)


class Originals(Protocol):
    """The descriptors an index was made of, as exact as they are stored."""

    ids: Ids  # rising

    def scores(self, query: Descriptors, ids: Ids) -> Scores:
        """Inner products of ``query`` (dim,) with the originals of ``ids``, all of which are held."""


@dataclass(frozen=True)
class Ranking:
    """``hits``: one page. ``missing``: ids that the lookup did not know, to be masked from now on."""

    hits: list[Candidate]
    has_more: bool
    missing: frozenset[int]
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """Immutable and safe to search from many threads.

    ``index`` and ``originals`` belong to a build (None before the first); ``side`` holds exactly what
    came since; ``superseded`` are ids of the build whose descriptor in ``side`` is newer.
    """

    side: Index
    index: Index | None = None
    originals: Originals | None = None
    superseded: Ids = field(default_factory=lambda: _NONE)
    search_params: Mapping[str, Any] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    fine_depth: int = 200

    def search(
        self,
        query: Descriptors,
        k: int,
        lookup: Lookup,
        *,
        offset: int = 0,
        allowed: Ids | None = None,
        excluded: Ids = _NONE,
    ) -> Ranking:
        """Hits ``offset`` to ``offset + k`` for ``query`` (dim,), as many as there are.

        ``lookup`` tells the facts of ids and leaves out those that exist no more: they are never
        shown, and the search goes on without them.
        """
        need = offset + k + 1  # one more tells whether there is a next page
        depth, enough = max(self.fine_depth, need), need
        timer, missing = _Timer(), set[int]()
        while True:
            gone = np.fromiter(missing, np.int64, len(missing))
            candidates, exhausted = self._candidates(query, depth, enough, allowed, np.union1d(excluded, gone), timer)
            known, new_missing = self._known(candidates, need, lookup, timer)
            missing |= new_missing
            with timer("rules"):
                hits = self._ruled(known)
            if len(hits) >= need or exhausted or (not new_missing and self._hopeless(known, depth)):
                page = hits[offset : offset + k]
                return Ranking(page, len(hits) > offset + k, frozenset(missing), timer.ms)
            # Deeper each time also where pictures are gone: after a mass delete the best thousands may be.
            depth = min(depth * GROWTH, MAX_DEPTH)
            enough = need if new_missing else depth

    def _candidates(
        self, query: Descriptors, depth: int, enough: int, allowed: Ids | None, excluded: Ids, timer: _Timer
    ) -> tuple[list[Candidate], bool]:
        """The best ``depth`` by their original descriptors, and whether there are no others."""
        with timer("coarse"):
            side_scores, side_ids = self.side.search(query[None], depth, allowed, excluded=excluded)
            not_these = np.union1d(excluded, self.superseded)
            build_ids, all_of_them = self._coarse(query, depth, enough, allowed, not_these)
        with timer("fine"):
            scores, ids = side_scores[0], side_ids[0]
            exhausted = all_of_them and int(np.count_nonzero(ids >= 0)) < depth
            if self.originals is not None and len(build_ids):
                scores = np.concatenate([scores, self.originals.scores(query, build_ids)])
                ids = np.concatenate([ids, build_ids])
            exhausted = exhausted and int(np.count_nonzero(ids >= 0)) <= depth
            scores, ids = ordered(scores, ids, min(depth, len(ids)))
        pairs = zip(ids.tolist(), scores.tolist(), strict=True)
        return [Candidate(id_, score) for id_, score in pairs if id_ >= 0], exhausted

    def _coarse(
        self, query: Descriptors, depth: int, enough: int, allowed: Ids | None, excluded: Ids
    ) -> tuple[Ids, bool]:
        """Ids of the build worth scoring, and whether they are all there are."""
        if self.index is None or self.originals is None:
            return _NONE, True
        if allowed is not None and len(allowed) <= EXACT_UP_TO:
            return self._held(allowed, excluded), True
        _, found = self.index.search(query[None], depth, allowed, excluded=excluded, **self.search_params)
        ids = found[0][found[0] >= 0]
        if len(ids) >= enough:
            return ids, False
        # An index that probes some cells only may come home with too few; then all are scored.
        held = self._held(self.originals.ids if allowed is None else allowed, excluded)
        return held, True

    def _held(self, ids: Ids, excluded: Ids) -> Ids:
        assert self.originals is not None
        return np.setdiff1d(np.intersect1d(ids, self.originals.ids), excluded, assume_unique=True)

    def _known(
        self, candidates: list[Candidate], need: int, lookup: Lookup, timer: _Timer
    ) -> tuple[list[Candidate], set[int]]:
        """Candidates with their facts. Without rules only the ones that can be shown are looked up."""
        ids = [candidate.id for candidate in candidates]
        asked = ids if self.rules else ids[:need]
        with timer("database"):
            facts = lookup(asked)
            if len(facts) < len(set(asked)) and len(asked) < len(ids):
                asked, facts = ids, {**facts, **lookup(ids[need:])}
        known = [Candidate(c.id, c.score, facts[c.id]) for c in candidates if c.id in facts]
        return known, set(asked) - facts.keys()

    def _ruled(self, candidates: list[Candidate]) -> list[Candidate]:
        for rule in self.rules:
            candidates = rule.apply(candidates)
        return candidates

    def _hopeless(self, known: list[Candidate], depth: int) -> bool:
        """Whether looking deeper cannot bring another hit, or would cost too much."""
        floor = max((rule.floor for rule in self.rules), default=float("-inf"))
        return depth >= MAX_DEPTH or (bool(known) and known[-1].score < floor)


class _Timer:
    """Adds up the milliseconds of named parts."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = dict.fromkeys(("coarse", "fine", "rules", "database"), 0.0)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.ms[part] += 1000 * (time.perf_counter() - start)
