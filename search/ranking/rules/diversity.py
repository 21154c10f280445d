"""Spreads the first hits: each next one is alike to the query and unlike those before it.

Maximal marginal relevance (J. Carbonell, J. Goldstein, "The use of MMR, diversity-based reranking for
reordering documents and producing summaries", SIGIR 1998): the next hit is the one with the highest

    weight * standing - (1 - weight) * max(inner product with the hits before it)

``weight`` is their lambda: 1 leaves the order as it is by standing, 0 looks at nothing but difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np

from catalog.errors import gettext_noop
from search.ranking.candidates import Candidate
from search.types import Descriptors

MOST = 1000  # within: the time grows with its square
TITLE = gettext_noop("Diversity")
SAYS = gettext_noop("Spreads the first hits: pictures that look like one shown before come later.")
UP = gettext_noop("unlike the hits before it: moved up %(places)s")
DOWN = gettext_noop("like a hit before it: moved down %(places)s")


def apply(
    candidates: list[Candidate],
    vectors: Callable[[Sequence[int]], Descriptors],
    *,
    weight: Annotated[float, gettext_noop("1: only alike to the query. 0: only unlike each other.")] = 0.7,
    within: Annotated[int, gettext_noop("Among this many first hits.")] = 50,
) -> list[Candidate]:
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must lie between 0 and 1, not {weight}")
    if not 1 <= within <= MOST:
        raise ValueError(f"within must lie between 1 and {MOST}, not {within}")
    head, tail = candidates[:within], candidates[within:]
    if len(head) < 2:
        return candidates
    places = _places(head, vectors([candidate.id for candidate in head]), weight)
    return [_moved(head[old], old - new) for new, old in enumerate(places)] + tail


def _places(head: list[Candidate], x: Descriptors, weight: float) -> list[int]:
    """The order to show them in; of equal ones the one that stands first."""
    alike = np.asarray(x, np.float64) @ np.asarray(x, np.float64).T
    relevance = weight * np.array([candidate.standing for candidate in head])
    nearest = np.full(len(head), -np.inf)  # inner product with the nearest that is placed
    left, places = np.ones(len(head), bool), list[int]()
    for _ in head:
        # Before the first is placed there is nothing to be unlike.
        marginal = relevance - (1 - weight) * nearest if places else np.array([c.standing for c in head])
        best = int(np.argmax(np.where(left, marginal, -np.inf)))
        places.append(best)
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    return places


def _moved(candidate: Candidate, up: int) -> Candidate:
    if up == 0:
        return candidate
    return candidate.because(UP, places=up) if up > 0 else candidate.because(DOWN, places=-up)
