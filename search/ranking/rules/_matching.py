"""Which products a rule means: by category, brand, or an attribute's value. Not a rule itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from search.ranking.candidates import Candidate


def chosen_once(category: str, brand: str, attribute: str, value: str) -> str:
    """How a rule's one target reads in a sentence. Raises ValueError unless exactly one is named."""
    if bool(category) + bool(brand) + bool(attribute or value) != 1:
        raise ValueError("name a category, a brand, or an attribute with its value, and only one of them")
    if bool(attribute) != bool(value):
        raise ValueError("an attribute needs a value, and a value its attribute")
    return category or brand or f"{attribute} {value}"


def is_of(candidate: Candidate, category: str, brand: str, attribute: str, value: str) -> bool:
    """Whether the candidate's product is of the one target that is named."""
    facts = candidate.facts
    if category:
        return facts.category == category
    if brand:
        return facts.brand == brand
    return has_value(facts.attributes, attribute, (value,))


def has_value(attributes: Mapping[str, object], name: str, values: Iterable[str]) -> bool:
    """Whether the attribute is one of ``values``, or a list that holds one; compared as text, as filters do."""
    there = attributes.get(name)
    if there is None:
        return False
    texts = {_text(one) for one in (there if isinstance(there, list | tuple) else (there,))}
    return not texts.isdisjoint(values)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
