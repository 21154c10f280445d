"""What an index weighs, and that a file is what memory holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.indexes import Index, build_index, load_index
from search.indexes.faiss_module import faiss
from search.indexes.footprint import estimated_bytes
from tests.search.indexes.descriptors import clustered

COUNT, DIM = 4000, 64
KINDS = [
    "Flat",
    "SQfp16",
    "SQ8",
    "IVF32,Flat",
    "IVF32,SQ8",
    "IVF32,PQ16",
    "IVF32_HNSW16,PQ32x4fs",
    "PQ32x4fs",
    "HNSW32,SQ8",
    "PCA32,IVF32,SQ8",
    "RR,RaBitQ",
    "RR,RaBitQfs",
    "RR,IVF32,RaBitQ",
    "RR,IVF32,RaBitQfs",
    "SQ8,Refine(SQfp16)",
    "NSG16,Flat",
    "ITQ64",
    "IVF16,ITQ64",
    "HNSW16,ITQ64",
]


def filled(factory: str) -> Index:
    x = clustered(COUNT, DIM)
    index = build_index(factory, DIM)
    index.train(x)
    index.add(np.arange(COUNT), x)
    return index


@pytest.mark.parametrize("factory", KINDS)
def test_its_weight_is_that_of_its_file(factory: str, tmp_path: Path) -> None:
    """FAISS writes what it holds and little else."""
    index, path = filled(factory), tmp_path / "index"
    index.save(path)
    assert index.code_bytes() == pytest.approx(path.stat().st_size, rel=0.06, abs=6000)
    assert load_index(path).code_bytes() == pytest.approx(index.code_bytes(), rel=0.06, abs=6000)


@pytest.mark.parametrize("factory", [kind for kind in KINDS if "fs" not in kind and "NSG" not in kind])
def test_its_weight_can_be_told_before(factory: str) -> None:
    assert estimated_bytes(factory, DIM, COUNT) == pytest.approx(filled(factory).code_bytes(), rel=0.06, abs=20_000)


def test_eight_bits_save_three_quarters_in_memory_and_on_disk(tmp_path: Path) -> None:
    sizes, files = {}, {}
    for factory in ("Flat", "SQfp16", "SQ8"):
        index, path = filled(factory), tmp_path / factory
        index.save(path)
        sizes[factory], files[factory] = index.code_bytes() - 8 * COUNT, path.stat().st_size - 8 * COUNT
    for one in (sizes, files):
        assert one["SQ8"] / one["Flat"] == pytest.approx(0.25, abs=0.01)
        assert one["SQfp16"] / one["Flat"] == pytest.approx(0.5, abs=0.01)


def test_codes_weigh_in_the_order_of_their_bits() -> None:
    kinds = ("Flat", "SQfp16", "SQ8", "PQ32x4fs", "RR,RaBitQ", "ITQ64")
    weights = [filled(kind).code_bytes() for kind in kinds[:3]]
    assert weights == sorted(weights, reverse=True)
    assert filled("ITQ64").code_bytes() < filled("RR,RaBitQ").code_bytes() < filled("SQ8").code_bytes()


def test_a_file_of_before_still_opens(tmp_path: Path) -> None:
    """Ids were kept in an IDMap around the index."""
    x, ids = clustered(300, 16), np.random.default_rng(0).permutation(900)[:300].astype(np.int64)
    old = faiss.IndexIDMap(faiss.IndexFlatIP(16))
    old.add_with_ids(x, ids)
    faiss.write_index(old, str(tmp_path / "old"))
    for mmap in (True, False):
        index = load_index(tmp_path / "old", mmap)
        np.testing.assert_array_equal(index.search(x[:20], 1)[1][:, 0], ids[:20])
