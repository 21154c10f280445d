"""Pooling against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from search.extraction.pooling import gem, l2_normalise, pool, regions, rmac, signed_power
from search.extraction.spec import Pooling

maps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-10, 10, width=32),
)


def by_loops(x: np.ndarray, pooling: Pooling, p: float) -> np.ndarray:
    n, c, h, w = x.shape
    out = np.zeros((n, c))
    for i in range(n):
        for j in range(c):
            values = [float(x[i, j, y, z]) for y in range(h) for z in range(w)]
            if pooling is Pooling.MEAN:
                out[i, j] = sum(values) / len(values)
            elif pooling is Pooling.MAX:
                out[i, j] = max(values)
            else:
                out[i, j] = (sum(max(v, 1e-6) ** p for v in values) / len(values)) ** (1 / p)
    return out


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.MAX, Pooling.GEM])
@given(x=maps, p=st.floats(1, 6))
def test_against_loops(pooling: Pooling, x: np.ndarray, p: float) -> None:
    result = pool(x, pooling, p)
    assert result.dtype == np.float32
    assert np.allclose(result, by_loops(x, pooling, p), rtol=1e-4, atol=1e-5)


def test_gem_lies_between_the_mean_and_the_maximum_and_reaches_both() -> None:
    x = np.random.default_rng(0).random((2, 5, 7, 7)).astype(np.float32)
    mean, maximum = x.mean((2, 3)), x.max((2, 3))
    assert np.allclose(gem(x, 1.0), mean, rtol=1e-5)
    assert np.allclose(gem(x, 1000.0), maximum, rtol=1e-2)
    assert (gem(x, 3.0) > mean).all()
    assert (gem(x, 3.0) < maximum).all()


def test_gem_of_very_large_and_very_small_responses_stays_finite() -> None:
    x = np.array([1e20, 1e-20, 3e38], np.float32).reshape(1, 3, 1, 1)
    assert np.allclose(gem(x, 10.0), [[1e20, 1e-6, 3e38]], rtol=1e-5)


def test_vectors_pass_through() -> None:
    x = np.ones((2, 3), np.float32)
    assert all(pool(x, pooling) is x for pooling in Pooling)


def test_l2_of_rows_of_any_size() -> None:
    x = np.array([[3, 4], [0, 0], [3e-30, 4e-30], [3e30, 4e30]], np.float32)
    assert np.allclose(l2_normalise(x), [[0.6, 0.8], [0, 0], [0.6, 0.8], [0.6, 0.8]])


# --- R-MAC ------------------------------------------------------------------------------------------


def published_grid(high: int, wide: int) -> list[tuple[int, int, int, int]]:
    """(y, x, height, width) with centres in floating point, as the MATLAB code lays them."""
    short = min(high, wide)
    gaps = [(max(high, wide) - short) / (steps - 1) for steps in range(2, 8)]
    misses = [abs((short**2 - short * gap) / short**2 - 0.4) for gap in gaps]
    best = misses.index(min(misses)) + 1
    more_wide, more_high = best * (wide > high), best * (high > wide)
    grid = [(0, 0, high, wide)]
    for level in (1, 2, 3):
        side = math.floor(2 * short / (level + 1))
        half = math.floor(side / 2 - 1)
        across = (wide - side) / max(level + more_wide - 1, 1)
        down = (high - side) / max(level + more_high - 1, 1)
        lefts = [math.floor(half + i * across) - half for i in range(level + more_wide)]
        tops = [math.floor(half + i * down) - half for i in range(level + more_high)]
        grid += [(top, left, side, side) for top in tops for left in lefts if side]
    return grid


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (4, 4), (7, 7), (10, 10), (14, 14), (56, 56)])
def test_regions_of_a_square_map(shape: tuple[int, int]) -> None:
    assert list(regions(*shape)) == published_grid(*shape)
    assert len(regions(*shape)) == (2 if shape == (1, 1) else 1 + 1 + 4 + 9)


@given(high=st.integers(1, 40), wide=st.integers(1, 40))
def test_regions_of_any_map_are_the_published_ones_and_lie_in_it(high: int, wide: int) -> None:
    found = regions(high, wide)
    assert list(found) == published_grid(high, wide)
    assert all(y >= 0 and y + h <= high and x >= 0 and x + w <= wide for y, x, h, w in found)


def test_regions_by_hand() -> None:
    assert regions(7, 7)[2:6] == ((0, 0, 4, 4), (0, 3, 4, 4), (3, 0, 4, 4), (3, 3, 4, 4))
    assert [x for _, x, _, _ in regions(7, 7)[6:9]] == [0, 2, 4]
    # 6 x 10: an extra region of side 6 along the long side overlaps by 1 - 4 / 6, nearer to 0.4 than two (1 - 2 / 6)
    assert regions(6, 10)[:3] == ((0, 0, 6, 10), (0, 0, 6, 6), (0, 4, 6, 6))


@given(x=maps)
def test_rmac_against_loops(x: np.ndarray) -> None:
    n, c, high, wide = x.shape
    out = np.zeros((n, c))
    for i in range(n):
        for top, left, h, w in published_grid(high, wide):
            v = [
                max(float(x[i, j, y, z]) for y in range(top, top + h) for z in range(left, left + w)) for j in range(c)
            ]
            length = math.sqrt(sum(value * value for value in v))
            out[i] += [value / length if length else 0.0 for value in v]
    assert np.allclose(rmac(x), out, rtol=1e-4, atol=1e-5)
    assert np.array_equal(pool(x, Pooling.RMAC), rmac(x))


# --- power ------------------------------------------------------------------------------------------


def test_signed_power() -> None:
    x = np.array([[4, -9, 0, 1e-30]], np.float32)
    assert np.allclose(signed_power(x, 0.5), [[2, -3, 0, 1e-15]])
    assert signed_power(x, 0.5).dtype == np.float32
    assert signed_power(x, 1.0) is x
