"""Model cards: ``NAME.json`` beside ``NAME.onnx``, what a network's training expects of its pictures.

What is read: ``range``, the two values that black and white have at the network's input before mean and std
(default [0, 255]); ``mean`` and ``std``, in that range; ``size``, or ``resize`` and ``crop``, in pixels;
``interpolation``; ``fit``; ``output``, the name of the output to take; ``dim``, its length, or an object of the
lengths of several outputs. Everything else is for people, see FACTS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from search.extraction.errors import BadConfiguration
from search.extraction.preprocess import Preprocessing

PREPROCESSING = tuple(field.name for field in fields(Preprocessing))
READ = ("range", "size", *PREPROCESSING, "output", "dim")
TEXTS = ("name", "licence", "license", "about", "description", "author", "source", "url", "version")
# Of any form. A new one may be added here; what is nobody's business can go under "facts".
FACTS = (
    *("facts", "notes", "data", "recipe", "seed", "teachers", "figures", "parity", "parameters", "trunk"),
    *("training", "quantisation", "quantised_from", "calibration", "licences", "limits", "created", "sha256"),
)
KNOWN = (*READ, *TEXTS, *FACTS)


@dataclass(frozen=True)
class Card:
    """What is read of a card. ``dims``: lengths by output; "" is the output that it names, or the first."""

    preprocessing: Preprocessing = Preprocessing()  # noqa: RUF009  (it is frozen)
    output: str = ""
    dims: Mapping[str, int] = field(default_factory=dict)

    def dim_of(self, output: str) -> int:
        """The length that the card tells of this output; 0: it tells none."""
        return self.dims.get(output, self.dims.get("", 0) if output in ("", self.output) else 0)


def card_of(path: Path) -> dict[str, Any]:
    """The card beside an ONNX file as it is written, or nothing. Raises BadConfiguration where it is none."""
    card = path.with_suffix(".json")
    try:
        values = json.loads(card.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadConfiguration(reason=f"the card {card.name} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise BadConfiguration(reason=f"the card {card.name} is not a JSON object")
    return values


def read_card(path: Path) -> Card:
    """The card beside an ONNX file, checked; the usual values where there is none. Raises BadConfiguration."""
    values = card_of(path)
    try:
        _check_keys(values)
        return Card(_preprocessing(values), values.get("output", ""), _dims(values))
    except BadConfiguration as error:
        reason = error.params["reason"]
        raise BadConfiguration(reason=f"the card {path.with_suffix('.json').name}: {reason}") from error


def _check_keys(values: Mapping[str, Any]) -> None:
    if unknown := [name for name in values if name not in KNOWN]:
        near = get_close_matches(unknown[0], READ, 1)
        hint = f"do you mean {near[0]}?" if near else f"known are {', '.join(READ)}; other facts go under facts"
        raise BadConfiguration(reason=f"unknown {', '.join(unknown)}; {hint}")
    for name in ("output", *TEXTS):
        if not isinstance(values.get(name, ""), str):
            raise BadConfiguration(reason=f"{name}={values[name]!r} is no text")


def _preprocessing(values: Mapping[str, Any]) -> Preprocessing:
    given = {name: values[name] for name in PREPROCESSING if name in values}
    if "size" in values:
        if both := {"resize", "crop"} & set(values):
            raise BadConfiguration(reason=f"it has size and {' and '.join(sorted(both))}, which say the same thing")
        given |= {"resize": values["size"], "crop": values["size"]}
    how = Preprocessing().overridden(given)
    return how if "range" not in values else _in_pixels(how, given, values["range"])


def _in_pixels(how: Preprocessing, given: Mapping[str, Any], ends: Any) -> Preprocessing:
    """Mean and std from the card's range to pixel values: (low + p (high - low) / 255 - mean) / std."""
    try:
        low, high = (float(end) for end in ends)
    except (TypeError, ValueError):
        low = high = 0.0
    if isinstance(ends, str) or not low < high < float("inf"):
        raise BadConfiguration(reason=f"range={ends!r} is not two rising numbers such as [0, 1]")
    step = 255 / (high - low)
    means, stds = how.mean if "mean" in given else (0.0,) * 3, how.std if "std" in given else (1.0,) * 3
    return how.overridden({"mean": [(mean - low) * step for mean in means], "std": [std * step for std in stds]})


def _dims(values: Mapping[str, Any]) -> dict[str, int]:
    dim = values.get("dim", {})
    dims = dim if isinstance(dim, dict) else {"": dim}
    for name, value in dims.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadConfiguration(reason=f"dim{f' of {name}' if name else ''}={value!r} is not a number above zero")
    return dims
