"""Calibration on real pictures: fitted on one half of the queries, held to the other, and the estimate beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog.images import decode
from search.calibration import Calibration, fit_labels, fit_statistics
from search.curves import brier, expected_calibration_error
from search.extraction.extractor import build_extractor
from search.extraction.spec import ExtractorSpec
from search.types import Descriptors

CLASSES, EACH, HITS = 40, 10, 50


@pytest.fixture(scope="module")
def described(shared: Path) -> tuple[Descriptors, np.ndarray]:
    """Pictures of forty Caltech-101 classes by MobileNetV1, and their classes."""
    weights = shared / "weights" / "mobilenet_v1.onnx"
    extractor = build_extractor(
        ExtractorSpec(backbone="onnx", weights=str(weights)), device="cpu", threads=1, weights_dir=weights.parent
    )
    folders = sorted(path for path in (shared / "data" / "caltech101").iterdir() if path.is_dir())[1 : CLASSES + 1]
    paths = [path for folder in folders for path in sorted(folder.glob("*.jpg"))[:EACH]]
    chunks = []
    for start in range(0, len(paths), 16):
        pictures = [decode(p.read_bytes(), min_side=extractor.min_side).pixels for p in paths[start : start + 16]]
        chunks.append(np.asarray(extractor.extract(pictures), np.float32))
    return np.concatenate(chunks), np.repeat(np.arange(len(folders)), EACH)


def hits(described: tuple[Descriptors, np.ndarray], first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, relevance and query of the first hits of every second picture."""
    x, kinds = described
    queries = np.arange(first, len(x), 2)
    scores = (x[queries] @ x.T).astype(np.float64)
    scores[np.arange(len(queries)), queries] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :HITS]
    relevant = (kinds[best] == kinds[queries, None]).astype(np.float64)
    return np.take_along_axis(scores, best, 1).ravel(), relevant.ravel(), np.repeat(queries, HITS)


def said(calibration: Calibration, scores: np.ndarray) -> np.ndarray:
    return np.array([calibration.probability(score) for score in scores])


@pytest.mark.data
def test_probabilities_of_real_pictures_come_true(described: tuple[Descriptors, np.ndarray]) -> None:
    fitted = fit_labels(*hits(described, 0))
    scores, relevant, _ = hits(described, 1)
    probabilities = said(fitted, scores)
    base = relevant.mean() * (1 - relevant.mean())
    assert expected_calibration_error(probabilities, relevant) < 0.04
    assert brier(probabilities, relevant) < 0.75 * base
    likely = probabilities >= 0.5
    assert relevant[likely].mean() > 0.6
    assert relevant[likely].sum() > 0.4 * relevant.sum()


@pytest.mark.data
def test_the_estimate_without_labels_cuts_near_the_fitted_one(described: tuple[Descriptors, np.ndarray]) -> None:
    x, _ = described
    pairs = (x @ x.T)[~np.eye(len(x), dtype=bool)].astype(np.float64)
    estimate, fitted = fit_statistics(pairs), fit_labels(*hits(described, 0))
    assert abs(estimate.score(0.5) - fitted.score(0.5)) < 0.08
    scores, relevant, _ = hits(described, 1)
    assert brier(said(estimate, scores), relevant) < relevant.mean() * (1 - relevant.mean())
