"""Where the subject is: colours, weights, windows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from search.extraction import foreground

Array = NDArray[np.uint8]


def scene(wall: int = 210, floor: int = 90) -> Array:
    """A red box, rows 48 to 95 and columns 32 to 63 of 128, before a wall and a floor with some noise."""
    pixels = np.full((128, 128, 3), wall, np.uint8)
    pixels[80:] = floor
    pixels[48:96, 32:64] = (200, 30, 40)
    return np.clip(pixels + np.random.default_rng(0).integers(-4, 5, pixels.shape), 0, 255).astype(np.uint8)


def test_lab_is_that_of_scikit_image() -> None:
    fields = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    found = foreground.lab(fields.repeat(4, axis=1).repeat(4, axis=2))
    assert np.abs(found - rgb2lab(fields / 255)).max() < 0.02


def test_fields_have_the_mean_of_their_light() -> None:
    pixels = np.zeros((1, 128, 128, 3), np.uint8)
    pixels[:, ::2] = 255  # half the light: L* 76.07, not the 53.6 of the mean value
    assert foreground.lab(pixels)[0, 5, 5] == pytest.approx([76.07, 0, 0], abs=0.05)


@pytest.mark.parametrize(("wall", "floor"), [(210, 90), (60, 150), (245, 245)])
def test_the_subject_outweighs_wall_and_floor(wall: int, floor: int) -> None:
    weight = foreground.weights(foreground.lab(scene(wall, floor)[None]))[0]
    ground = np.ones((32, 32), bool)
    ground[10:26, 6:18] = False
    assert weight[14:22, 10:14].min() > 0.5
    assert weight[ground].max() < 0.1


def test_the_window_is_the_subject_with_a_margin() -> None:
    weight = foreground.weights(foreground.lab(scene()[None]))
    left, top, right, bottom = foreground.windows(weight)[0]
    assert 0.05 < left <= 0.25 <= 0.5 <= right < 0.75
    assert 0.15 < top <= 0.375 <= 0.75 <= bottom < 0.95


def test_a_picture_without_a_subject_keeps_its_whole() -> None:
    flat = np.full((1, 128, 128, 3), 140, np.uint8)
    weight = foreground.weights(foreground.lab(flat))
    assert np.ptp(weight) == pytest.approx(0, abs=1e-3)
    window = foreground.windows(weight)
    assert window[0] == pytest.approx([0, 0, 1, 1], abs=0.02)
    pixels, mask = foreground.cut(flat, weight, window)
    assert (pixels.shape, pixels.dtype, mask.shape) == (flat.shape, np.uint8, weight.shape)
    assert np.array_equal(pixels, flat)


def test_cut_stretches_the_window() -> None:
    pixels = scene()[None]
    weight = np.zeros((1, 32, 32), np.float32)
    weight[:, 12:24, 8:16] = 1
    window = np.array([[0.25, 0.375, 0.5, 0.75]], np.float32)
    cut, mask = foreground.cut(pixels, weight, window)
    assert np.abs(cut[0, 4:-4, 4:-4].astype(int) - (200, 30, 40)).max() <= 5
    assert mask[0, 4:-4, 4:-4].min() > 0.99
    with pytest.raises(ValueError, match="shorter"):
        foreground.cut(pixels, weight, window[:0])


def test_small_subjects_are_not_blown_up() -> None:
    weight = np.full((1, 32, 32), 1e-6, np.float32)
    weight[0, 16, 16] = 1
    left, top, right, bottom = foreground.windows(weight)[0]
    assert right - left >= foreground.SMALLEST - 1e-5
    assert bottom - top >= foreground.SMALLEST - 1e-5
