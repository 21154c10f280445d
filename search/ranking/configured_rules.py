"""Rules as a collection has configured them, checked and ready to run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from catalog.errors import LookalikeError, gettext_noop
from search.ranking.candidates import Candidate, Reason
from search.ranking.rule_parameters import parameters_of, refusal, rule_modules, usage
from search.types import Descriptors

Apply = Callable[..., list[Candidate]]
NO_FLOOR = float("-inf")
ALWAYS = float("inf")


class BadRule(LookalikeError):
    code = "bad_rule"
    text = gettext_noop("The business rule %(rule)s cannot be used: %(reason)s.")
    cure = gettext_noop("There are: %(choices)s.")


def _no_vectors(ids: Sequence[int]) -> Descriptors:
    return np.zeros((len(ids), 1), np.float32)


def _none_named(skus: Sequence[str]) -> list[Candidate]:
    return []


@dataclass(frozen=True)
class Context:
    """What a rule may ask for beyond the candidates.

    ``vectors``: descriptors (n, dim) of candidates by id. ``named``: the pictures of products by SKU, as
    candidates with their true scores, those only that the search's filters let through.
    """

    vectors: Callable[[Sequence[int]], Descriptors] = _no_vectors
    named: Callable[[Sequence[str]], list[Candidate]] = _none_named


NO_CONTEXT = Context()


@dataclass(frozen=True)
class Rule:
    """One configured rule.

    ``drops``: it leaves out and never moves, and so sees every candidate. ``lasting``: what it left out
    no later rule may bring back. ``dropped_text``: why it leaves out, over ``values``. ``holds_s``: for how long it
    does the same with the same candidates.
    """

    name: str
    run: Apply
    needs: tuple[str, ...] = ()
    floor: float = NO_FLOOR
    drops: bool = False
    lasting: bool = False
    dropped_text: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    holds_s: float = ALWAYS

    def apply(self, candidates: list[Candidate], context: Context = NO_CONTEXT) -> list[Candidate]:
        """Those that stay, in their new order, each new reason under this rule's name."""
        after = self.run(candidates, *(getattr(context, need) for need in self.needs))
        return [self._signed(candidate) for candidate in after]

    def _signed(self, candidate: Candidate) -> Candidate:
        if not candidate.reasons or candidate.reasons[-1].rule:
            return candidate
        reasons = tuple(
            reason if reason.rule else Reason(self.name, reason.text, reason.params) for reason in candidate.reasons
        )
        return Candidate(candidate.id, candidate.score, candidate.facts, reasons, candidate.lift)

    def left_out(self, candidate: Candidate) -> Candidate:
        """The candidate with why this rule dropped it."""
        return self._signed(candidate.because(self.dropped_text, **{k: _shown(v) for k, v in self.values.items()}))


def _shown(value: object) -> object:
    """A parameter as it stands in a sentence."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    return ", ".join(value) if isinstance(value, list | tuple) else value


def rules_from(configuration: Iterable[object]) -> list[Rule]:
    """The rules of ``SearchIndex.rules``, in order. Raises BadRule, naming the rule and the choices."""
    if not isinstance(configuration, list | tuple):
        raise _bad(configuration, "the rules are not a list")
    return [_rule(entry) for entry in configuration]


def _rule(entry: object) -> Rule:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("rule"), str):
        raise _bad(entry, 'it is not written as {"rule": name, ...}')
    name, values = entry["rule"], {str(key): value for key, value in entry.items() if key != "rule"}
    if name not in rule_modules():
        raise _bad(name, "there is none of this name")
    module = rule_modules()[name]
    needs = _needs(module)
    _check(name, module, values, needs)
    dropped = str(getattr(module, "DROPPED", ""))
    return Rule(
        name,
        partial(module.apply, **values),
        needs,
        floor=module.floor(**values) if hasattr(module, "floor") else NO_FLOOR,
        drops=module.drops(**values) if hasattr(module, "drops") else bool(dropped),
        lasting=getattr(module, "LASTING", False),
        dropped_text=dropped,
        values={one.name: values.get(one.name, one.default) for one in parameters_of(name)},
        holds_s=module.holds_s(**values) if hasattr(module, "holds_s") else ALWAYS,
    )


def _needs(module: ModuleType) -> tuple[str, ...]:
    parameters = inspect.signature(module.apply).parameters.values()
    return tuple(one.name for one in parameters if one.kind is not one.KEYWORD_ONLY)[1:]


def _check(name: str, module: ModuleType, values: dict[str, Any], needs: tuple[str, ...]) -> None:
    context = [getattr(NO_CONTEXT, need) for need in needs]
    try:
        inspect.signature(module.apply).bind([], *context, **values)
        for parameter in parameters_of(name):
            if parameter.name in values and (reason := refusal(parameter, values[parameter.name])):
                raise ValueError(reason)
        module.apply([], *context, **values)
    except (TypeError, ValueError) as error:
        raise _bad(name, str(error)) from error


def _bad(rule: object, reason: str) -> BadRule:
    return BadRule(rule=rule, reason=reason, choices=", ".join(map(usage, rule_modules())))
