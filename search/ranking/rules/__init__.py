"""Business rules: one a file, found by being there.

A file holds ``TITLE`` and ``SAYS`` (shown in the admin) and a function

    apply(candidates, [vectors,] [named,] *, <parameters>) -> candidates

It gets candidates ordered by (-score, id), or as the rule before it left them, and returns those that
stay in their new order. On each that it moved it says why: ``candidate.because(text, ...)``. ``vectors``
and ``named`` are what a Context gives, for a rule that asks for them by these names. The keyword-only
parameters are the rule's configuration: ``Annotated[type, what it is]``; a ValueError from
``apply([], ...)`` refuses a value. What else a file may hold:

DROPPED             why a candidate was left out, a %-template over the parameters. Such a rule only drops: it sees
                    every candidate, however deep; all other rules see the first ``rules_depth``
drops(*, <parameters>) -> bool     where it depends on the parameters whether the rule drops or moves
floor(*, <parameters>) -> float    the score below which nothing can stay
holds_s(*, <parameters>) -> float  seconds for which it does the same with the same candidates, if time changes it
LASTING = True      what it forbids is also forbidden to rules behind it (of those that drop)
"""

from search.ranking.configured_rules import BadRule, Context, Rule, rules_from
from search.ranking.rule_parameters import Parameter, parameters_of, rule_modules, says_of, title_of, usage

__all__ = [
    "BadRule",
    "Context",
    "Parameter",
    "Rule",
    "parameters_of",
    "rule_modules",
    "rules_from",
    "says_of",
    "title_of",
    "usage",
]
