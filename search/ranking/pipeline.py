"""The three tiers: coarse (the index), fine (original descriptors), rules (the business)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search.indexes.base import Allowed, Selection, ordered, selection_of
from search.ranking.candidates import Candidate, Facts
from search.ranking.configured_rules import Context, Rule
from search.ranking.retrieval import NONE, Found, Retrieval
from search.ranking.ruling import Ruled, run_rules
from search.ranking.tiers import Tier, Timer, moved
from search.types import Descriptors, Ids

MAX_DEPTH = 16_384  # candidates looked at for one page, however many the rules drop
GROWTH = 4

Lookup = Callable[[Sequence[int]], Mapping[int, Facts]]
BySku = Callable[[Sequence[str]], Mapping[int, Facts]]


@dataclass(frozen=True)
class Ranking:
    """``hits``: one page. ``missing``: ids that the lookup did not know, to be masked from now on.

    ``tiers``: coarse, fine, rules; ``rules``: each rule on its own. ``left_out``: what the rules dropped,
    if asked for. ``cut_short``: the search was given up at MAX_DEPTH, before the page was full. ``narrowed``: it was
    asked again with what the rules leave over as a filter, which may be some seconds old.
    """

    hits: list[Candidate]
    has_more: bool
    missing: frozenset[int]
    timings_ms: dict[str, float] = field(default_factory=dict)
    tiers: list[Tier] = field(default_factory=list)
    rules: list[Tier] = field(default_factory=list)
    left_out: list[Candidate] = field(default_factory=list)
    cut_short: bool = False
    narrowed: bool = False


@dataclass(frozen=True)
class Pipeline(Retrieval):
    """See Retrieval; with the rules on top.

    ``fine_depth``: coarse candidates that are scored with their originals; ``rules_depth``: how many of
    the best the rules may move. Pages that lie deeper make the search go deeper. ``by_sku``: pictures of
    products and their facts, for rules that name products.
    """

    rules: Sequence[Rule] = ()
    fine_depth: int = 200
    rules_depth: int = 200
    by_sku: BySku | None = None

    def search(
        self,
        query: Descriptors,
        k: int,
        lookup: Lookup,
        *,
        offset: int = 0,
        allowed: Allowed | None = None,
        excluded: Ids = NONE,
        explain: bool = False,
    ) -> Ranking:
        """Hits ``offset`` to ``offset + k`` for ``query`` (dim,), as many as there are.

        ``lookup`` tells the facts of ids and leaves out those that exist no more: they are never
        shown, and the search goes on without them. ``explain``: also tell what the rules left out.
        """
        if allowed is not None and not isinstance(allowed, Selection):
            allowed = selection_of(allowed)
        need = offset + k + 1  # one more tells whether there is a next page
        depth, enough = max(self.fine_depth, self.rules_depth if self.rules else 0, need), need
        timer, missing, banned = Timer(), set[int](), excluded
        while True:
            found = self.found(query, depth, enough, allowed, banned, timer)
            known, new_missing = self._known(found, need, lookup, timer)
            if new_missing:
                missing |= new_missing
                banned = np.concatenate([banned, np.fromiter(new_missing, np.int64, len(new_missing))])
            with timer("rules"):
                ruled = self._ruled(query, known, allowed, banned, explain)
            full = len(ruled.hits) >= need or found.exhausted
            below = self._below_floor(known)
            if full or (not new_missing and (below or depth >= MAX_DEPTH)):
                return Ranking(
                    hits=ruled.hits[offset : offset + k],
                    has_more=len(ruled.hits) > offset + k,
                    missing=frozenset(missing),
                    timings_ms=timer.ms,
                    tiers=[*found.tiers, _rules_tier(known, ruled, timer.ms["rules"])],
                    rules=ruled.tiers,
                    left_out=ruled.left_out,
                    cut_short=not full and not below,
                )
            # Deeper each time also where pictures are gone: after a mass delete the best thousands may be.
            depth = min(depth * GROWTH, max(MAX_DEPTH, depth))
            enough = need if new_missing else depth

    def context(self, query: Descriptors, allowed: Selection | None = None, excluded: Ids = NONE) -> Context:
        """What rules may ask for in a search by ``query`` (dim,)."""
        return Context(self.vectors, lambda skus: self._named(query, skus, allowed, excluded))

    def _known(self, found: Found, need: int, lookup: Lookup, timer: Timer) -> tuple[list[Candidate], set[int]]:
        """Candidates with their facts. Without rules only the ones that can be shown are looked up."""
        ids = found.ids.tolist()
        asked = ids if self.rules else ids[:need]
        with timer("database"):
            facts = lookup(asked)
            if len(facts) < len(asked) < len(ids):
                asked, facts = ids, {**facts, **lookup(ids[need:])}
        pairs = zip(asked, found.scores[: len(asked)].tolist(), strict=True)
        known = [Candidate(id_, score, facts[id_]) for id_, score in pairs if id_ in facts]
        return known, set(asked) - facts.keys() if len(known) < len(asked) else set()

    def _ruled(
        self, query: Descriptors, known: list[Candidate], allowed: Selection | None, excluded: Ids, explain: bool
    ) -> Ruled:
        if not self.rules:
            return Ruled(known)
        return run_rules(self.rules, known, self.rules_depth, self.context(query, allowed, excluded), explain=explain)

    def _named(
        self, query: Descriptors, skus: Sequence[str], allowed: Selection | None, excluded: Ids
    ) -> list[Candidate]:
        """Pictures of the products ``skus`` that may be found, by (-score, id)."""
        facts = self.by_sku(skus) if self.by_sku is not None else {}
        ids = np.sort(np.fromiter(facts, np.int64, len(facts)))
        ids = ids[self.holds(ids) & ~np.isin(ids, excluded)]
        if allowed is not None:
            ids = ids[allowed.holds(ids)]
        scores, ids = ordered(self.vectors(ids) @ query, ids, len(ids))
        return [Candidate(i, s, facts[i]) for i, s in zip(ids.tolist(), scores.tolist(), strict=True)]

    def _below_floor(self, known: list[Candidate]) -> bool:
        """Whether whatever lies deeper is below a minimum score."""
        floor = max((rule.floor for rule in self.rules), default=float("-inf"))
        return bool(known) and known[-1].score < floor


def _rules_tier(known: list[Candidate], ruled: Ruled, ms: float) -> Tier:
    if not ruled.tiers:
        return Tier("rules", ms, len(known), len(ruled.hits))
    before, after = [candidate.id for candidate in known], [candidate.id for candidate in ruled.hits]
    return Tier("rules", ms, len(before), len(after), moved(before, after), len(set(before) - set(after)))
