"""Query expansion: a query's descriptor averaged with those of its best hits, at the cost of a second coarse search.

average  q + sum of the first k, normalised: AQE without its geometric check (O. Chum et al., "Total recall", 2007)
alpha    each neighbour weighted by (q . x) ** alpha (F. Radenovic et al., "Fine-tuning CNN image retrieval with no
         human annotation", 2018); alpha 0 is the average

For one search and for batches alike::

    x = expand(pipeline, x, Expansion.from_dict(index.expansion), excluded=[own, ...])

``x`` is (n, dim); ``excluded`` holds for each row the ids that must not vote: the query's own picture and copies of
it, in an evaluation. The rows that come back are unit vectors to be searched instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop
from search.indexes.base import ordered
from search.ranking import Pipeline
from search.types import Descriptors, Ids

Numbers = NDArray[np.float64]

AVERAGE, ALPHA, NONE = "average", "alpha", "none"
METHODS = (AVERAGE, ALPHA, NONE)
MOST_NEIGHBOURS, HIGHEST_ALPHA = 100, 20.0
# Coarse codes rank roughly: so many times k are scored with their original descriptors, and at least so many.
DEEPER, AT_LEAST = 4, 50
BLOCK = 256  # queries at once
_NONE: Ids = np.empty(0, np.int64)


class BadExpansion(LookalikeError):
    code = "bad_expansion"
    text = gettext_noop("%(name)s of the query expansion cannot be %(value)s.")
    cure = gettext_noop("Write %(expected)s.")


@dataclass(frozen=True)
class Expansion:
    """``k`` neighbours; ``alpha`` is of the method alpha alone. False where nothing is to be done."""

    method: str = NONE
    k: int = 5
    alpha: float = 3.0

    def __bool__(self) -> bool:
        return self.method != NONE

    @classmethod
    def none(cls) -> Self:
        return cls(NONE)

    @classmethod
    def from_dict(cls, given: object) -> Self:
        """Read ``{"method", "k", "alpha"}``; empty: none. Raises BadExpansion, naming the field."""
        if not isinstance(given, Mapping):
            raise BadExpansion(name="expansion", value=repr(given), expected='{"method": "alpha", "k": 5, "alpha": 3}')
        for name in given:
            if name not in ("method", "k", "alpha"):
                raise BadExpansion(name=name, value=repr(given[name]), expected="only method, k and alpha")
        if not given:
            return cls()
        found = cls(given.get("method", ALPHA), given.get("k", cls.k), given.get("alpha", cls.alpha))
        found._check()
        return cls(found.method, found.k, float(found.alpha))

    def _check(self) -> None:
        if self.method not in METHODS:
            raise BadExpansion(name="method", value=repr(self.method), expected=" or ".join(METHODS))
        if type(self.k) is not int or not 1 <= self.k <= MOST_NEIGHBOURS:
            raise BadExpansion(name="k", value=repr(self.k), expected=f"a whole number from 1 to {MOST_NEIGHBOURS}")
        number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool)
        if not number or not 0 <= self.alpha <= HIGHEST_ALPHA:
            raise BadExpansion(name="alpha", value=repr(self.alpha), expected=f"a number from 0 to {HIGHEST_ALPHA:g}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) if self else {}


def expand(
    pipeline: Pipeline, x: Descriptors, expansion: Expansion, excluded: Sequence[Ids] | None = None
) -> Descriptors:
    """Each row of ``x`` (n, dim) averaged with its best hits: float32 (n, dim), rows of length 1.

    ``excluded``: for each row, ids that are not its neighbours. A row without any neighbour stays as it is.
    """
    return expanded(pipeline, x, expansion, excluded)[0]


def expanded(
    pipeline: Pipeline, x: Descriptors, expansion: Expansion, excluded: Sequence[Ids] | None = None
) -> tuple[Descriptors, Numbers]:
    """As ``expand``, and the length (n,) that each mean had: a score times it is what a calibration is for."""
    if not expansion or not len(x):
        return x, np.ones(len(x))
    not_these = [_NONE] * len(x) if excluded is None else excluded
    means: list[Numbers] = []
    for start in range(0, len(x), BLOCK):
        part = slice(start, start + BLOCK)
        means += _means(pipeline, x[part], expansion, not_these[part])
    lengths = np.linalg.norm(means, axis=1)
    return (np.stack(means) / np.maximum(lengths, 1e-12)[:, None]).astype(np.float32), lengths


def mean_with(query: Descriptors, neighbours: Descriptors, expansion: Expansion) -> Numbers:
    """The weighted mean (dim,) of ``query`` (dim,) and its neighbours (k, dim), not normalised."""
    similar = np.clip(neighbours @ query, 0.0, None).astype(np.float64)
    weights = similar**expansion.alpha if expansion.method == ALPHA else np.ones(len(neighbours))
    mean: Numbers = (query + weights @ neighbours.astype(np.float64)) / (1 + weights.sum())
    return mean


def _means(pipeline: Pipeline, x: Descriptors, expansion: Expansion, excluded: Sequence[Ids]) -> list[Numbers]:
    found = _candidates(pipeline, x, expansion.k, max(map(len, excluded), default=0))
    means = []
    for query, candidates, banned in zip(x, found, excluded, strict=True):
        ids = np.setdiff1d(candidates[candidates >= 0], banned)
        vectors = pipeline.vectors(ids)
        _, best = ordered(vectors @ query, ids, min(expansion.k, len(ids)))
        means.append(mean_with(query, vectors[np.searchsorted(ids, best)], expansion))
    return means


def _candidates(pipeline: Pipeline, x: Descriptors, k: int, leaving: int) -> Ids:
    """(n, some) ids that the coarse search finds; -1 where there is none."""
    depth = max(DEEPER * k, AT_LEAST) + leaving
    _, ids = pipeline.side.search(x, min(depth, len(pipeline.side)))
    if pipeline.index is None or pipeline.originals is None:
        return ids
    _, of_build = pipeline.index.search(
        x, min(depth, len(pipeline.index)), excluded=pipeline.superseded, **pipeline.search_params
    )
    return np.concatenate([ids, of_build], axis=1)
