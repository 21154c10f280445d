"""Business rules: one a file, found by being there.

A file holds a function ``apply(candidates, *, <parameters>) -> candidates``. It gets candidates ordered
by (-score, id), returns those that stay in their new order and says on each it moved why
(``candidate.because``). The keyword-only parameters are the rule's configuration and carry their type;
a ValueError from ``apply([], ...)`` refuses a value. An optional ``floor(*, <parameters>) -> float``
names the score below which nothing can stay. The module's docstring is shown in the admin.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import ModuleType
from typing import Any, get_type_hints

from catalog.errors import LookalikeError, gettext_noop
from search.ranking.candidates import Candidate

Apply = Callable[[list[Candidate]], list[Candidate]]


class BadRule(LookalikeError):
    code = "bad_rule"
    text = gettext_noop("The business rule %(rule)s cannot be used: %(reason)s.")
    cure = gettext_noop("There are: %(choices)s.")


@dataclass(frozen=True)
class Rule:
    """One configured rule."""

    name: str
    apply: Apply
    floor: float = float("-inf")


@cache
def rule_modules() -> Mapping[str, ModuleType]:
    """Name to module of every rule there is."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return {name: importlib.import_module(f"{__name__}.{name}") for name in sorted(names)}


def usage(name: str) -> str:
    """How a rule is written: its name and its parameters with their defaults."""
    parameters = inspect.signature(rule_modules()[name].apply).parameters.values()
    shown = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    return f"{name}({', '.join(shown)})"


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
    _check(name, module, values)
    floor = module.floor(**values) if hasattr(module, "floor") else float("-inf")
    return Rule(name, partial(module.apply, **values), floor)


def _check(name: str, module: ModuleType, values: dict[str, Any]) -> None:
    hints = get_type_hints(module.apply)
    try:
        inspect.signature(module.apply).bind([], **values)
        for key, value in values.items():
            if not _fits(value, hints[key]):
                raise ValueError(f"{key} must be of type {hints[key].__name__}, not {value!r}")
        module.apply([], **values)
    except (TypeError, ValueError) as error:
        raise _bad(name, str(error)) from error


def _fits(value: object, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _bad(rule: object, reason: str) -> BadRule:
    return BadRule(rule=rule, reason=reason, choices=", ".join(map(usage, rule_modules())))
