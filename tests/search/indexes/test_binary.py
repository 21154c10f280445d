"""ITQ codes and Hamming search against NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.indexes import BadFactory, BrokenIndex, build_index, load_index
from search.indexes.binary_index import BinaryIndex
from search.indexes.itq import learn
from search.types import Descriptors, Ids
from tests.search.indexes.descriptors import clustered

X, QUERIES = clustered(3000, 128), clustered(40, 128, seed=1)


def filled(factory: str, x: Descriptors, ids: Ids, **params: int) -> BinaryIndex:
    index = build_index(factory, x.shape[1], **params)
    assert isinstance(index, BinaryIndex)
    index.train(x)
    index.add(ids, x)
    return index


def hamming(queries: Descriptors, x: Descriptors, bits: int) -> np.ndarray:
    coder = learn(x, bits)
    mine, theirs = (np.unpackbits(coder.encode(one), axis=1, bitorder="little") for one in (queries, x))
    return (mine[:, None, :] != theirs[None]).sum(axis=2)


def test_scores_and_order_are_those_of_hamming_distance() -> None:
    ids = np.random.default_rng(0).permutation(9000)[:3000].astype(np.int64)
    scores, found = filled("ITQ64", X, ids).search(QUERIES, 30)
    distances = hamming(QUERIES, X, 64)
    for row, distance in enumerate(distances):
        np.testing.assert_allclose(scores[row], 1 - 2 * np.sort(distance)[:30] / 64, atol=1e-6)
        expected = ids[np.lexsort((ids, distance))][:30]
        edge = scores[row] > scores[row][-1]  # more may share the last score than an index looks at
        np.testing.assert_array_equal(found[row][edge], expected[edge])


def test_the_rotation_brings_signs_nearer_and_finds_more() -> None:
    """The paper's claim, and its measure: quantisation error falls with the rounds; neighbours are kept better."""

    def error(rounds: int) -> float:
        coder = learn(X, 64, rounds)
        projected = (X - coder.mean) @ coder.axes
        return float(np.mean((np.sign(projected) * np.abs(projected).mean() - projected) ** 2))

    assert error(50) < 0.97 * error(0)
    coder = learn(X, 64)
    np.testing.assert_allclose(coder.axes.T @ coder.axes, np.eye(64), atol=1e-4)


def test_more_bits_keep_more() -> None:
    truth = np.argsort(-(QUERIES @ X.T), axis=1)[:, :10]

    def kept(factory: str) -> float:
        found = filled(factory, X, np.arange(3000)).search(QUERIES, 50)[1]
        return float(np.mean([np.isin(one, row).mean() for one, row in zip(truth, found, strict=True)]))

    assert 0.4 < kept("ITQ64") < kept("ITQ128")


@pytest.mark.parametrize("factory", ["ITQ64", "IVF8,ITQ64", "HNSW16,ITQ64"])
def test_it_is_saved_with_its_coder(factory: str, tmp_path: Path) -> None:
    index = filled(factory, X, np.arange(3000) * 3)
    index.save(tmp_path / "index")
    for mmap in (True, False):
        copy = load_index(tmp_path / "index", mmap)
        for mine, theirs in zip(index.search(QUERIES, 5), copy.search(QUERIES, 5), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert copy.dim == 128
        assert copy.code_bytes() == index.code_bytes()
    data = (tmp_path / "index").read_bytes()
    (tmp_path / "cut").write_bytes(data[:-40])
    with pytest.raises(BrokenIndex):
        load_index(tmp_path / "cut")


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("ITQ256", "at most 128"),
        ("ITQ60", "multiple of 8"),
        ("ITQ2048", "multiple of 8"),
        ("ITQ64,LSH", "are written"),
        ("IVF0,ITQ64", "no cells"),
        ("HNSW1,ITQ64", "links"),
        ("PCA64,ITQ64", "are written"),
    ],
)
def test_what_cannot_be_coded_is_said(factory: str, reason: str) -> None:
    with pytest.raises(BadFactory, match=reason):
        build_index(factory, 128)


def test_few_pictures_are_coded_too() -> None:
    for count in (1, 5, 63):
        x = clustered(count, 128)
        assert filled("ITQ64", x, np.arange(count)).search(x[:1], 1)[0].tolist() == [[1.0]]
