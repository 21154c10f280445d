"""Never shows what is named: by SKU, category, brand or attribute value. What pin brings in is held to it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate
from search.ranking.rules._matching import has_value

Texts = list[str] | tuple[str, ...]
TITLE = gettext_noop("Block")
SAYS = gettext_noop("Never shows certain products, categories, brands or attributes.")
DROPPED = gettext_noop("blocked")
LASTING = True


def apply(
    candidates: list[Candidate],
    *,
    skus: Annotated[Texts, gettext_noop("These products.")] = (),
    categories: Annotated[Texts, gettext_noop("Products of these categories.")] = (),
    brands: Annotated[Texts, gettext_noop("Products of these brands.")] = (),
    attributes: Annotated[
        Mapping[str, Texts] | None, gettext_noop('Products with these values, for example {"colour": ["red"]}.')
    ] = None,
) -> list[Candidate]:
    if not (skus or categories or brands or attributes):
        raise ValueError("name what is blocked: skus, categories, brands or attributes")
    never_skus, never_categories, never_brands = set(skus), set(categories), set(brands)
    return [
        candidate
        for candidate in candidates
        if not (
            (candidate.facts.sku and candidate.facts.sku in never_skus)
            or (candidate.facts.category and candidate.facts.category in never_categories)
            or (candidate.facts.brand and candidate.facts.brand in never_brands)
            or any(has_value(candidate.facts.attributes, name, values) for name, values in (attributes or {}).items())
        )
    ]
