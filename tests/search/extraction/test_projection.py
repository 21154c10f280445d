"""PCA and whitening against scikit-learn, and as a part of an extractor."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from search.extraction.errors import BadConfiguration, WeightsChanged, WeightsMissing
from search.extraction.extractor import build_extractor
from search.extraction.pooling import l2_normalise
from search.extraction.projection import Projection, fit
from search.extraction.spec import ExtractorSpec
from tests.factories import draw
from tests.search.indexes.descriptors import clustered

DIM = 24


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    decay = (0.8 ** np.arange(DIM)).astype(np.float32)
    return l2_normalise(np.random.default_rng(3).standard_normal((600, DIM)).astype(np.float32) * decay + 0.2)


@pytest.mark.parametrize("whiten", [False, True])
def test_it_is_sklearn_s_pca_up_to_signs(sample: np.ndarray, whiten: bool) -> None:
    ours = fit(sample, 10, whiten=whiten)
    oracle = PCA(10, whiten=whiten, svd_solver="full").fit(sample.astype(np.float64))
    theirs = l2_normalise(oracle.transform(sample.astype(np.float64)).astype(np.float32))
    assert np.abs(ours.apply(sample)) == pytest.approx(np.abs(theirs), abs=1e-3)
    assert ours.explained == pytest.approx(oracle.explained_variance_ratio_.sum(), abs=1e-6)


def test_all_axes_keep_every_distance_to_the_mean(sample: np.ndarray) -> None:
    centred = l2_normalise(sample - sample.mean(axis=0))
    kept = fit(sample, DIM).apply(sample)
    assert kept @ kept.T == pytest.approx(centred @ centred.T, abs=1e-5)


def test_whitened_axes_vary_alike(sample: np.ndarray) -> None:
    projection = fit(sample, 8, whiten=True)
    raw = (sample - projection.mean) @ projection.matrix
    assert np.cov(raw.T, bias=True) == pytest.approx(np.eye(8), abs=1e-3)


def test_an_axis_without_variance_is_not_blown_up() -> None:
    x = np.zeros((50, 4), np.float32)
    x[:, :2] = np.random.default_rng(0).standard_normal((50, 2))
    projected = fit(x, 4, whiten=True).apply(x + np.float32(1e-7))
    assert np.isfinite(projected).all()
    assert np.abs(projected[:, 2:]).max() < 0.01


def test_the_same_sample_gives_the_same_numbers_and_another_order_of_it_nearly(sample: np.ndarray) -> None:
    assert fit(sample, 6).identity == fit(sample.copy(), 6).identity
    assert fit(sample[::-1], 6).matrix == pytest.approx(fit(sample, 6).matrix, abs=1e-4)


def test_what_was_saved_is_what_is_loaded(sample: np.ndarray, tmp_path) -> None:
    projection = fit(sample, 5, whiten=True)
    projection.save(tmp_path / "five.npz")
    again = Projection.load(tmp_path / "five.npz", projection.identity)
    assert again.identity == projection.identity
    assert (again.apply(sample) == projection.apply(sample)).all()
    with pytest.raises(WeightsChanged):
        Projection.load(tmp_path / "five.npz", "0" * 64)


@pytest.mark.parametrize(("count", "dim"), [(600, 0), (600, DIM + 1), (5, 5)])
def test_impossible_sizes_are_refused(sample: np.ndarray, count: int, dim: int) -> None:
    with pytest.raises(BadConfiguration):
        fit(sample[:count], dim)


def test_a_file_that_is_none_is_refused(tmp_path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BadConfiguration, match=r"broken\.npz"):
        Projection.load(tmp_path / "broken.npz")


class TestInAnExtractor:
    plain = ExtractorSpec("color_gradient")

    def test_it_comes_after_pooling_and_before_comparison(self, tmp_path) -> None:
        base = build_extractor(self.plain)
        pictures = [draw(seed) for seed in range(40)]
        x = base.extract(pictures)
        projection = fit(x, 16)
        projection.save(tmp_path / "p.npz")
        extractor = build_extractor(ExtractorSpec("color_gradient", projection="p.npz"), weights_dir=tmp_path)
        assert extractor.dim == 16
        assert extractor.extract(pictures) == pytest.approx(projection.apply(x), abs=1e-6)
        assert extractor.project(x) == pytest.approx(extractor.extract(pictures), abs=1e-6)
        assert extractor.extract([]).shape == (0, 16)

    def test_it_changes_the_fingerprint_by_its_numbers_alone(self, tmp_path) -> None:
        x = build_extractor(self.plain).extract([draw(seed) for seed in range(40)])
        for name, dim in (("a.npz", 16), ("same.npz", 16), ("b.npz", 8)):
            fit(x, dim).save(tmp_path / name)
        prints = {
            name: build_extractor(ExtractorSpec("color_gradient", projection=name), weights_dir=tmp_path).fingerprint
            for name in ("a.npz", "same.npz", "b.npz")
        }
        assert prints["a.npz"] == prints["same.npz"]
        assert len({*prints.values(), build_extractor(self.plain).fingerprint}) == 3

    def test_one_of_another_network_is_refused(self, tmp_path) -> None:
        fit(clustered(100, 12, seed=0), 4).save(tmp_path / "other.npz")
        with pytest.raises(BadConfiguration, match="12 dimensions"):
            build_extractor(ExtractorSpec("color_gradient", projection="other.npz"), weights_dir=tmp_path)

    def test_a_missing_one_is_named(self, tmp_path) -> None:
        with pytest.raises(WeightsMissing, match=r"gone\.npz"):
            build_extractor(ExtractorSpec("color_gradient", projection="gone.npz"), weights_dir=tmp_path)
