"""What a build takes from its index: the kind by factory, preset or size, and database-side augmentation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from catalog.errors import JobCancelled
from catalog.jobs import JobState
from search import building
from search.builds import build_create, build_run
from search.indexes.augmentation import ALPHA, augmented
from search.indexes.exact import ExactIndex
from search.indexes.presets import presets
from search.indexes.saved import MANIFEST, ORIGINALS, SavedBuild
from search.models import IndexBuild, SearchIndex
from tests.search.gallery import DIM, make_index
from tests.search.indexes.descriptors import clustered


def built(index: SearchIndex) -> IndexBuild:
    build = build_run(build_create(index).pk)
    assert build.state == JobState.DONE, build.error
    return build


@pytest.mark.django_db
@pytest.mark.parametrize("preset", list(presets()))
def test_each_preset_is_built(preset: str) -> None:
    build = built(make_index(300, preset=preset))
    assert build.factory == presets()[preset].factory(300, DIM)
    assert (build.engine, build.ann_recall > 0.3) == ("faiss", True)  # type: ignore[operator]


@pytest.mark.django_db
def test_a_factory_goes_before_a_preset_and_an_unknown_preset_is_named() -> None:
    assert built(make_index(30, preset="graph", factory="SQ8")).factory == "SQ8"
    build = build_run(build_create(make_index(30, preset="gone")).pk)
    assert build.state == JobState.FAILED
    assert "gone" in build.error


@pytest.mark.django_db
@pytest.mark.parametrize(("factory", "each"), [("Flat", 4 * DIM), ("SQfp16", 2 * DIM), ("SQ8", DIM)])
def test_the_bytes_of_the_codes_are_kept(factory: str, each: int) -> None:
    build = built(make_index(200, factory=factory))
    assert 200 * each <= build.code_bytes <= 200 * (each + 24) + 1000


def by_hand(x: np.ndarray, k: int) -> np.ndarray:
    """Row by row, with the formula written out."""
    result = []
    for i, row in enumerate(x):
        similar = x @ row
        near = [j for j in np.lexsort((np.arange(len(x)), -similar)) if j != i][:k]
        total = row + sum(max(float(similar[j]), 0.0) ** ALPHA * x[j] for j in near)
        result.append(total / np.linalg.norm(total))
    return np.array(result, np.float32)


def half(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_augmentation_is_the_weighted_mean_with_the_neighbours(k: int) -> None:
    x, index = clustered(700, 24), ExactIndex(24)
    index.add(np.arange(700), x)
    blocks = list(augmented(index, lambda rows: x[rows], 700, 24, k))
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks), by_hand(x, k), atol=2e-6)


def test_one_neighbour_only_and_equal_pictures() -> None:
    x, index = np.repeat(np.eye(4, dtype=np.float32)[:1], 3, axis=0), ExactIndex(4)
    index.add(np.arange(3), x)
    (block,) = augmented(index, lambda rows: x[rows], 3, 4, 8)
    np.testing.assert_allclose(block, x, atol=1e-6)


@pytest.mark.django_db
@pytest.mark.parametrize("exact_up_to", [10**6, 10])
def test_an_augmented_build_holds_augmented_originals(exact_up_to: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "EXACT_UP_TO", exact_up_to)
    index = make_index(200, dba_neighbours=4, factory="Flat")
    build = built(index)
    saved = SavedBuild.open(build.folder)
    stored = half(clustered(200, DIM))
    truth = half(by_hand(stored, 4))
    ids = np.array(list(index.collection.images.order_by("id").values_list("id", flat=True)))
    np.testing.assert_allclose(saved.originals.vectors(ids), truth, atol=1e-3)
    assert saved.index.search(truth[3:4], 1)[1][0, 0] == ids[3]
    assert not np.allclose(truth, stored, atol=0.01)
    manifest = json.loads((build.folder / MANIFEST).read_text())
    assert manifest["augmentation"] == {"neighbours": 4, "alpha": ALPHA}
    assert "augmenting" in build.timings
    assert {path.name for path in build.folder.iterdir()} == set(saved.manifest.names) | {MANIFEST}
    assert (build.folder / ORIGINALS).stat().st_size == 200 * DIM * 2


@pytest.mark.django_db
def test_without_it_nothing_is_augmented_and_one_picture_has_no_neighbours() -> None:
    assert SavedBuild.open(built(make_index(20)).folder).manifest.augmentation == {}
    assert built(make_index(1, dba_neighbours=5)).count == 1


@pytest.mark.django_db
def test_augmenting_can_be_cancelled() -> None:
    build = build_create(make_index(20, dba_neighbours=2))

    def cancel(stage: str, done: int, total: int) -> None:
        if stage == "augmenting" and done > 20:
            raise JobCancelled

    assert build_run(build.pk, cancel).state == JobState.CANCELLED
    assert list(build.folder.parent.iterdir()) == []
