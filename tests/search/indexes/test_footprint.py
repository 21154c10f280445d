"""The memory told before a build is the memory it takes."""

from __future__ import annotations

import numpy as np
import pytest

from search.indexes import BadFactory, build_index
from search.indexes.footprint import estimated_bytes
from tests.search.indexes.descriptors import clustered

COUNT, DIM = 4000, 64
FACTORIES = [
    *("exact", "Flat", "SQfp16", "SQ8", "RaBitQ", "PQ16x4fs", "HNSW16,SQ8", "PCA32,SQ8", "OPQ16_64,IVF16,PQ16x4fs"),
    *("IVF16,Flat", "IVF16,SQ8", "IVF16,PQ16x4fs", "IVF16,RaBitQ", "IVF16,PQ16x4fs,Refine(SQfp16)"),
    *("ITQ64", "IVF16,ITQ64", "HNSW16,ITQ64"),
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_estimate_is_what_a_build_takes(factory: str) -> None:
    x = clustered(COUNT, DIM)
    index = build_index(factory, DIM)
    index.train(x)
    index.add(np.arange(COUNT), x)
    assert estimated_bytes(factory, DIM, COUNT) == pytest.approx(index.code_bytes(), rel=0.06)


@pytest.mark.parametrize("factory", ["NoSuch", "ITQ4096", "IVF16,PQ7"])
def test_what_cannot_be_is_refused(factory: str) -> None:
    with pytest.raises(BadFactory):
        estimated_bytes(factory, DIM, COUNT)
