"""Real descriptors in numbers: from crops, resumable, the held-out pictures apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.benchmarking import crops
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.spec import ExtractorSpec
from tests.factories import picture

SIDE = 64


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(60):
        (folder / f"{seed:02}.jpg").write_bytes(picture(seed))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return build_extractor(ExtractorSpec("color_gradient"))


class Slow:
    """An extractor's face over pixels themselves: what was cut can be seen in what is written."""

    dim, fingerprint = 12, "0" * 64

    def describe(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(len(pixels), -1)[:, :12].astype(np.float32) / 255


def test_counts_and_held_out_pictures(pictures, tmp_path) -> None:
    plan = crops.plan_of(60, 100, Slow())
    crops.make(pictures, plan, Slow(), SIDE, tmp_path, lambda _: None)
    base = np.fromfile(tmp_path / crops.BASE, "<f2").reshape(-1, 12)
    queries = np.fromfile(tmp_path / crops.QUERIES, "<f2").reshape(-1, 12)
    assert (plan.held_out, plan.crops) == (2, 2)
    assert len(base) == 58 * 2
    assert len(queries) == 2 * 2
    first = Slow().describe(crops.crops_of(pictures[0], 2, SIDE, "0 0"))
    assert queries[:2] == pytest.approx(first, abs=1e-3)
    second = Slow().describe(crops.crops_of(pictures[1], 2, SIDE, "0 1"))
    assert base[:2] == pytest.approx(second, abs=1e-3)


def test_a_killed_run_goes_on_and_gives_the_same(pictures, tmp_path) -> None:
    plan = crops.plan_of(60, 100, Slow())
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    crops.make(pictures, plan, Slow(), SIDE, whole, lambda _: None)

    def stop(done: int) -> None:
        if done == 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crops.make(pictures, plan, Slow(), SIDE, parts, stop)
    seen: list[int] = []
    crops.make(pictures, plan, Slow(), SIDE, parts, seen.append)
    assert seen[0] == 48
    for name in (crops.BASE, crops.QUERIES):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_another_plan_is_refused(pictures, tmp_path) -> None:
    crops.make(pictures, crops.plan_of(60, 100, Slow()), Slow(), SIDE, tmp_path, lambda _: None)
    with pytest.raises(ValueError, match="empty folder"):
        crops.make(pictures, crops.plan_of(60, 500, Slow()), Slow(), SIDE, tmp_path, lambda _: None)


def test_crops_differ_and_lie_inside() -> None:
    boxes = list(crops.crop_boxes(200, 100, 50, "a"))
    assert len({box for box, _ in boxes}) == 50
    assert {flip for _, flip in boxes} == {True, False}
    for (left, top, right, bottom), _ in boxes:
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 100
    assert boxes == list(crops.crop_boxes(200, 100, 50, "a"))


def test_crops_of_one_picture_are_nearer_than_of_others(pictures, extractor) -> None:
    x = extractor.extract([_image(crops.crops_of(path, 1, SIDE, seed)) for path in pictures[:8] for seed in "ab"])
    scores = x @ x.T
    own = scores[np.arange(0, 16, 2), np.arange(1, 16, 2)]
    assert own.mean() > scores[~np.eye(16, dtype=bool)].mean()


def _image(pixels: np.ndarray):
    import PIL.Image

    return PIL.Image.fromarray(pixels[0])
