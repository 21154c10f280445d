"""Shows each product once, by its best picture. Pictures without a product stay as they are."""

from __future__ import annotations

from collections import Counter

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate

TITLE = gettext_noop("One hit per product")
SAYS = gettext_noop("Shows each product once, by its best picture. Pictures without a product stay as they are.")
DROPPED = gettext_noop("another picture of this product is shown")
LASTING = True
REASON = gettext_noop("best of %(count)s pictures of this product")


def apply(candidates: list[Candidate]) -> list[Candidate]:
    count = Counter(candidate.facts.product for candidate in candidates)
    # The best by score, not the first in the list: another rule may have re-ordered it before.
    best: dict[int, Candidate] = {}
    for candidate in candidates:
        product = candidate.facts.product
        if product is not None and (product not in best or candidate.score > best[product].score):
            best[product] = candidate
    kept: list[Candidate] = []
    shown: set[int] = set()
    for candidate in candidates:
        product = candidate.facts.product
        if product is None:
            kept.append(candidate)
        elif product not in shown:
            shown.add(product)
            pictures = count[product]
            kept.append(best[product].because(REASON, count=pictures) if pictures > 1 else best[product])
    return kept
