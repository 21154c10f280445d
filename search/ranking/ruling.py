"""Lets a collection's rules work on candidates, in their order, and counts what each did."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from search.ranking.candidates import Candidate
from search.ranking.configured_rules import NO_CONTEXT, Context, Rule
from search.ranking.tiers import Tier, moved


@dataclass(frozen=True)
class Ruled:
    """``left_out``: what rules dropped, each with why; gathered only where it is asked for."""

    hits: list[Candidate]
    tiers: list[Tier] = field(default_factory=list)  # one a rule
    left_out: list[Candidate] = field(default_factory=list)


def run_rules(
    rules: Sequence[Rule],
    candidates: list[Candidate],
    depth: int,
    context: Context = NO_CONTEXT,
    *,
    explain: bool = False,
) -> Ruled:
    """``candidates`` by falling score, as the rules leave them.

    Rules that move see the first ``depth`` alone, so that what they do does not depend on how deep a
    page lies; rules that drop go on behind.
    """
    head, tail = candidates[:depth], candidates[depth:]
    tiers: list[Tier] = []
    left_out: list[Candidate] = []
    brought_in = False
    for number, rule in enumerate([*rules, *(rule for rule in rules if rule.lasting)]):
        if number >= len(rules) and not brought_in:
            break  # what lasting rules left out cannot have come back
        started, before = time.perf_counter(), [*head, *tail]
        head, tail = _applied(rule, head, tail, context)
        after = [*head, *tail]
        tiers.append(_tier(rule, before, after, 1000 * (time.perf_counter() - started)))
        brought_in = brought_in or tiers[-1].in_ - tiers[-1].dropped < tiers[-1].out
        if explain:
            still = {candidate.id for candidate in after}
            left_out += [rule.left_out(candidate) for candidate in before if candidate.id not in still]
    return Ruled([*head, *tail], tiers, left_out)


def _applied(
    rule: Rule, head: list[Candidate], tail: list[Candidate], context: Context
) -> tuple[list[Candidate], list[Candidate]]:
    if not rule.drops:
        head = rule.apply(head, context)
        there = {candidate.id for candidate in head} if tail else set()
        return head, [candidate for candidate in tail if candidate.id not in there]
    if not tail:
        return rule.apply(head, context), tail
    first, both = len(rule.apply(head, context)), rule.apply([*head, *tail], context)
    return both[:first], both[first:]


def _tier(rule: Rule, before: list[Candidate], after: list[Candidate], ms: float) -> Tier:
    old, new = [candidate.id for candidate in before], [candidate.id for candidate in after]
    return Tier(rule.name, ms, len(old), len(new), moved(old, new), len(set(old) - set(new)))
