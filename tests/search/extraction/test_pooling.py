"""Pooling against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from search.extraction.pooling import gem, l2_normalise, pool
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


@pytest.mark.parametrize("pooling", list(Pooling))
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
