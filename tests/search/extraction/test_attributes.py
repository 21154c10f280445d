"""The product branch beside a descriptor: its geometry, what it tells, its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.extraction.attributes import CATEGORY, MULTIPLE, AttributeBranch, Head, probabilities
from search.extraction.errors import BadConfiguration, WeightsChanged
from search.extraction.extractor import build_extractor
from search.extraction.projection import Projection, fit, load_projection
from search.extraction.spec import ExtractorSpec

WIDTH = 6


def head(
    attribute: str = "colour", values=("red", "blue", ""), *, exclusive=True, weight=0.5, seed=0, scale=4.0
) -> Head:
    rng = np.random.default_rng(seed)
    matrix = (scale * rng.standard_normal((WIDTH, len(values)))).astype(np.float32)
    shares = np.full(len(values), 0.3, np.float32)
    return Head(attribute, tuple(values), exclusive, 1.5, weight, shares, matrix, np.zeros(len(values), np.float32))


def units(count: int, seed: int = 1) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def branch() -> AttributeBranch:
    return AttributeBranch(WIDTH, (head(CATEGORY, ("mug", "bowl", "plate", "")), head(weight=0.5, seed=3)))


def test_scores_are_the_weighted_mean_of_both_similarities(branch) -> None:
    """(x·y + Σ w² cos(p, q)) / (1 + Σ w²), worked out from probabilities one by one."""
    x = units(8)
    found = branch.apply(x)
    blocks = []
    for one in branch.heads:
        z = (x @ one.matrix + one.bias) / one.temperature
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        blocks.append(p / np.linalg.norm(p, axis=1, keepdims=True))
    expected = (x @ x.T + sum(0.25 * b @ b.T for b in blocks)) / 1.5
    assert found @ found.T == pytest.approx(expected, abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(8), abs=1e-6)


def test_dimensions_are_filled_up_for_the_codes_of_indexes(branch) -> None:
    assert branch.dim % MULTIPLE == 0
    found = branch.apply(units(3))
    assert found.shape == (3, branch.dim)
    assert found.dtype == np.float32
    assert not found[:, WIDTH + 7 :].any()


def test_without_weight_the_order_stays_as_it_was() -> None:
    branch, x = AttributeBranch(WIDTH, (head(weight=0.0),)), units(8)
    assert branch.apply(x) @ branch.apply(x).T == pytest.approx(x @ x.T, abs=1e-6)


def test_the_descriptor_before_it_is_read_back(branch) -> None:
    x = units(5)
    stored = branch.apply(x).astype(np.float16).astype(np.float32)
    assert branch.looks(stored) == pytest.approx(x, abs=2e-3)


def test_no_pictures_and_a_picture_of_zeros(branch) -> None:
    assert branch.apply(np.zeros((0, WIDTH), np.float32)).shape == (0, branch.dim)
    assert np.isfinite(branch.apply(np.zeros((1, WIDTH), np.float32))).all()


def test_another_width_is_refused(branch) -> None:
    with pytest.raises(BadConfiguration, match="6 dimensions"):
        branch.apply(np.zeros((1, 7), np.float32))


def test_softmax_and_sigmoid_of_large_logits() -> None:
    z = np.array([[1000.0, 0.0, -1000.0]], np.float32)
    assert probabilities(z, True) == pytest.approx(np.array([[1, 0, 0]]), abs=1e-6)
    assert probabilities(z, False) == pytest.approx(np.array([[1, 0.5, 0]]), abs=1e-6)


def told(values, p, shares) -> Head:
    """A head that says ``p`` whatever it sees."""
    bias = np.log(np.array(p, np.float32))
    zero = np.zeros((WIDTH, len(values)), np.float32)
    return Head("colour", tuple(values), True, 1.0, 0.5, np.array(shares, np.float32), zero, bias)


@pytest.mark.parametrize(
    ("p", "shares", "clear"),
    [
        ((0.6, 0.3, 0.1), (0.1, 0.8, 0.1), True),  # at least (1 + 0.1) / 2
        ((0.5, 0.4, 0.1), (0.1, 0.8, 0.1), False),
        ((0.8, 0.1, 0.1), (0.7, 0.2, 0.1), False),  # most of the catalog is red anyway: (1 + 0.7) / 2
        ((0.9, 0.05, 0.05), (0.7, 0.2, 0.1), True),
    ],
)
def test_a_value_is_clear_half_the_way_from_its_share_to_certainty(p, shares, clear) -> None:
    [prediction] = AttributeBranch(WIDTH, (told(("red", "blue", ""), p, shares),)).predict(units(1))
    assert prediction.value == "red"
    assert prediction.confidence == pytest.approx(p[0], abs=1e-5)
    assert prediction.is_clear is clear


def test_a_value_it_does_not_know_is_not_told() -> None:
    branch = AttributeBranch(WIDTH, (told(("red", "blue", ""), (0.2, 0.1, 0.7), (0.4, 0.4, 0.2)),))
    assert branch.predict(units(1)) == []


def test_examples_are_averaged_by_weight(branch) -> None:
    x = units(2)
    p = branch.heads[0].probabilities(x)
    mixed = 0.75 * p[0] + 0.25 * p[1]
    found = {one.attribute: one for one in branch.predict(x, [3, 1])}
    if mixed.argmax() < 3:
        assert found[CATEGORY].confidence == pytest.approx(mixed.max(), abs=1e-5)
    else:
        assert CATEGORY not in found


def test_saved_and_loaded_it_is_the_same(branch, tmp_path) -> None:
    path = tmp_path / "branch.npz"
    branch.save(path)
    loaded = load_projection(path, branch.identity)
    assert isinstance(loaded, AttributeBranch)
    assert loaded.identity == branch.identity
    assert (loaded.apply(units(4)) == branch.apply(units(4))).all()
    assert loaded.predict(units(1)) == branch.predict(units(1))


def test_a_projections_file_is_told_from_it(tmp_path) -> None:
    projection = fit(np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32), 2)
    projection.save(tmp_path / "pca.npz")
    assert isinstance(load_projection(tmp_path / "pca.npz", projection.identity), Projection)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04broken"])
def test_a_broken_file_names_itself(tmp_path, content) -> None:
    (tmp_path / "broken.npz").write_bytes(content)
    with pytest.raises(BadConfiguration, match=r"broken\.npz"):
        load_projection(tmp_path / "broken.npz")


def test_a_file_without_its_arrays_is_refused(branch, tmp_path) -> None:
    path = tmp_path / "branch.npz"
    branch.save(path)
    with np.load(path) as data:
        kept = {name: data[name] for name in data.files if name != "bias_1"}
    np.savez(path, **kept)
    with pytest.raises(BadConfiguration, match="cannot be read"):
        load_projection(path)


@pytest.mark.parametrize("change", [{"weight": 0.6}, {"temperature": 2.0}, {"values": ("red", "navy", "")}])
def test_another_branch_has_another_identity_and_is_refused(branch, tmp_path, change) -> None:
    other = AttributeBranch(WIDTH, (branch.heads[0], replace(branch.heads[1], **change)))
    assert other.identity != branch.identity
    other.save(tmp_path / "branch.npz")
    with pytest.raises(WeightsChanged):
        load_projection(tmp_path / "branch.npz", branch.identity)


def test_it_is_part_of_an_extractor_and_of_its_fingerprint(tmp_path) -> None:
    plain = build_extractor(ExtractorSpec("color_gradient"))
    rng = np.random.default_rng(0)
    one = replace(head(), matrix=rng.standard_normal((plain.dim, 3)).astype(np.float32))
    prints = {plain.fingerprint}
    for weight in (0.3, 0.6):
        branch = AttributeBranch(plain.dim, (replace(one, weight=weight),))
        branch.save(tmp_path / "branch.npz")
        spec = ExtractorSpec("color_gradient", projection="branch.npz", projection_sha256=branch.identity)
        extractor = build_extractor(spec, weights_dir=tmp_path)
        prints.add(extractor.fingerprint)
        assert extractor.dim == branch.dim
    assert len(prints) == 3
