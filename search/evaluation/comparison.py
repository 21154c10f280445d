"""Two measurements of the same queries: is one better, by how much, and could it be chance.

The interval is the percentile bootstrap over queries (B. Efron, R. Tibshirani, An Introduction to the Bootstrap,
1993, ch. 13); the test is Fisher's randomisation test on pairs, the one that M. Smucker, J. Allan and B. Carterette
recommend for retrieval ("A comparison of statistical significance tests for information retrieval evaluation",
CIKM 2007). Both know the queries alone: how much another catalog or another camera would change, they cannot say.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)
Floats = NDArray[np.float64]

RESAMPLES, LEVEL, SEED = 10_000, 0.95, 0
CELLS = 4_000_000  # random numbers at once: 32 MB
# Sums of the same numbers in another order differ in their last bits; as a tie they are one.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison(Generic[Key]):
    """``differences``: second less first, by query, of the queries that both scored."""

    differences: dict[Key, float]
    first: float | None  # means over those queries
    second: float | None
    low: float | None  # of the mean difference, 95 % bootstrap interval
    high: float | None
    p_value: float | None

    @property
    def difference(self) -> float | None:
        """The mean of the differences."""
        return None if self.first is None or self.second is None else float(np.mean([*self.differences.values()]))

    @property
    def better(self) -> int:
        return sum(value > ROUNDING for value in self.differences.values())

    @property
    def worse(self) -> int:
        return sum(value < -ROUNDING for value in self.differences.values())

    @property
    def same(self) -> int:
        return len(self.differences) - self.better - self.worse

    def changed_most(self, count: int) -> list[Key]:
        """The queries that differ, by falling size of the difference."""
        changed = [key for key, value in self.differences.items() if abs(value) > ROUNDING]
        return sorted(changed, key=lambda key: -abs(self.differences[key]))[:count]


def compare(first: Mapping[Key, float | None], second: Mapping[Key, float | None]) -> Comparison[Key]:
    """Compare per-query scores; queries that either lacks are left out. The same input gives the same figures."""
    pairs = {key: (value, second.get(key)) for key, value in first.items()}
    both = {key: (one, other) for key, (one, other) in pairs.items() if one is not None and other is not None}
    if not both:
        return Comparison({}, None, None, None, None, None)
    x = np.array([*both.values()], np.float64)
    differences = x[:, 1] - x[:, 0]
    low, high = bootstrap_interval(differences)
    means = x.mean(axis=0)
    of_query = dict(zip(both, differences.tolist(), strict=True))
    return Comparison(of_query, float(means[0]), float(means[1]), low, high, randomisation_test(differences))


def bootstrap_interval(
    differences: Floats, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> tuple[float, float]:
    """Percentile interval of the mean of ``differences`` (n,): as many queries drawn again, with repetition."""
    n, rng = len(differences), np.random.default_rng(seed)
    means = [differences[rng.integers(0, n, (rows, n))].mean(axis=1) for rows in _blocks(resamples, n)]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def randomisation_test(differences: Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> float:
    """How often signs thrown by chance make the mean of ``differences`` (n,) as large as it is, in either direction.

    p = (b + 1) / (m + 1), with b of m throws as large or larger: never 0, and right at any m (B. Phipson,
    G. Smyth, "Permutation p-values should never be zero", 2010).
    """
    n, rng = len(differences), np.random.default_rng(seed)
    observed = abs(differences.sum())
    edge = observed - ROUNDING * max(1.0, float(np.abs(differences).sum()))
    as_large = 0
    for rows in _blocks(resamples, n):
        signs = rng.integers(0, 2, (rows, n), np.int8) * 2 - 1
        as_large += int((np.abs(signs @ differences) >= edge).sum())
    return (as_large + 1) / (resamples + 1)


def _blocks(total: int, width: int) -> Iterator[int]:
    rows = max(1, CELLS // max(1, width))
    for start in range(0, total, rows):
        yield min(rows, total - start)
