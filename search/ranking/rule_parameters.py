"""Which rules there are and what can be set on them, read from their files: for the admin's form and for checks."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

RULES = "search.ranking.rules"
KINDS = {int: "integer", float: "number", str: "text", bool: "yes_no"}


@dataclass(frozen=True)
class Parameter:
    """One setting of a rule.

    ``kind``: integer, number, text, yes_no, choice (one of ``choices``), texts (a list of them) or
    values (a mapping from name to a list of texts). ``says`` is a message id, in English.
    """

    name: str
    kind: str
    default: Any  # None where it is required, or may be left empty
    required: bool
    says: str
    choices: tuple[str, ...] = ()


@cache
def rule_modules() -> Mapping[str, ModuleType]:
    """Name to module of every rule there is."""
    package = importlib.import_module(RULES)
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    return {name: importlib.import_module(f"{RULES}.{name}") for name in sorted(names)}


def title_of(name: str) -> str:
    """The rule's name for people, a message id in English; KeyError where there is no such rule."""
    return str(getattr(rule_modules()[name], "TITLE", name))


def says_of(name: str) -> str:
    """What the rule does, a message id in English."""
    module = rule_modules()[name]
    return str(getattr(module, "SAYS", module.__doc__ or ""))


def parameters_of(name: str) -> list[Parameter]:
    """The settings of a rule in the order of its file; KeyError where there is no such rule."""
    function = rule_modules()[name].apply
    hints = get_type_hints(function, include_extras=True)
    own = inspect.signature(function).parameters.values()
    return [_parameter(one, hints[one.name]) for one in own if one.kind is one.KEYWORD_ONLY]


def _parameter(one: inspect.Parameter, hint: Any) -> Parameter:
    kind, *notes = (hint.__origin__, *hint.__metadata__) if hasattr(hint, "__metadata__") else (hint,)
    required = one.default is one.empty
    return Parameter(
        name=one.name,
        kind=_kind(kind),
        default=None if required else one.default,
        required=required,
        says=str(notes[0]) if notes else "",
        choices=tuple(get_args(kind)) if get_origin(kind) is Literal else (),
    )


def _kind(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, UnionType):  # X | None
        return _kind(next(part for part in get_args(hint) if part is not type(None)))
    if origin is Literal:
        return "choice"
    if origin in (list, tuple):
        return "texts"
    return "values" if origin in (dict, Mapping) else KINDS[hint]


def usage(name: str) -> str:
    """How a rule is written: its name and its parameters with their defaults."""
    shown = [
        parameter.name if parameter.required else f"{parameter.name}={parameter.default!r}"
        for parameter in parameters_of(name)
    ]
    return f"{name}({', '.join(shown)})"


def refusal(parameter: Parameter, value: object) -> str:
    """Why ``value`` cannot be the parameter's; empty if it can."""
    if value is None and not parameter.required and parameter.default is None:
        return ""
    if _fits(parameter, value):
        return ""
    expected = f"one of {', '.join(parameter.choices)}" if parameter.choices else f"of kind {parameter.kind}"
    return f"{parameter.name} must be {expected}, not {value!r}"


def _fits(parameter: Parameter, value: object) -> bool:
    if isinstance(value, bool) or parameter.kind == "yes_no":
        return isinstance(value, bool) and parameter.kind == "yes_no"
    match parameter.kind:
        case "integer":
            return isinstance(value, int)
        case "number":
            return isinstance(value, int | float) and math.isfinite(value)
        case "choice":
            return value in parameter.choices
        case "texts":
            return _are_texts(value)
        case "values":
            return isinstance(value, Mapping) and all(isinstance(k, str) and _are_texts(v) for k, v in value.items())
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
