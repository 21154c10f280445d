"""Preprocessing: torchvision's pixels, any shape of picture, every mistake named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from search.extraction.errors import BadConfiguration
from search.extraction.preprocess import Preprocessing, normalise, prepare, source_box
from tests.factories import draw

SIZES = [(500, 375), (375, 500), (224, 224), (256, 256), (97, 1203), (1024, 90), (30, 40), (257, 255)]


@pytest.mark.torch
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_same_pixels_as_torchvision(size: tuple[int, int], interpolation: str) -> None:
    from torchvision import transforms

    # Noise over the drawing: an offset of half a pixel would show.
    noise = np.random.default_rng(0).integers(-40, 40, (size[1], size[0], 3))
    image = Image.fromarray(np.clip(np.asarray(draw(3, size)).astype(int) + noise, 0, 255).astype(np.uint8))
    mode = transforms.InterpolationMode(interpolation)
    theirs = np.asarray(transforms.CenterCrop(224)(transforms.Resize(256, mode)(image))).astype(int)
    ours = prepare(image, Preprocessing(interpolation=interpolation)).astype(int)
    off = np.abs(ours - theirs)
    if interpolation == "bilinear":
        assert off.max() <= 1
    # Bicubic overshoots, and Pillow clips between its two passes, whose order it chooses by the size.
    assert (off > 1).mean() < 0.01
    assert off.mean() < 0.4


@pytest.mark.torch
def test_normalising_is_torchvisions() -> None:
    from torchvision import transforms

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    how = Preprocessing(mean=tuple(255 * v for v in mean), std=tuple(255 * v for v in std))
    pixels = prepare(draw(1, (300, 300)), how)
    theirs = transforms.Normalize(mean, std)(transforms.ToTensor()(Image.fromarray(pixels))).numpy()
    assert np.allclose(normalise(pixels[None], how)[0], theirs, atol=1e-5)


def test_normalise_gives_contiguous_float32_channels_first() -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1, 2, 3] = (255, 127, 0)
    x = normalise(pixels, Preprocessing())
    assert (x.dtype, x.shape, x.flags.c_contiguous) == (np.float32, (2, 3, 8, 8), True)
    assert x[1, :, 2, 3].tolist() == pytest.approx([1.0, -0.5 / 127.5, -1.0])


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (256, 256)])
@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_any_shape_becomes_the_square(size: tuple[int, int], fit: str) -> None:
    pixels = prepare(Image.new("RGB", size, (10, 200, 30)), Preprocessing(fit=fit))
    assert (pixels.shape, pixels.dtype) == ((224, 224, 3), np.uint8)
    assert (pixels == (10, 200, 30)).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_another_mode_is_converted(mode: str) -> None:
    assert prepare(draw(2).convert("RGB").convert(mode), Preprocessing()).shape == (224, 224, 3)


def test_crop_sees_the_centre_and_squash_the_whole() -> None:
    assert source_box(512, 256, Preprocessing(resize=256, crop=256)) == (128, 0, 384, 256)
    assert source_box(512, 256, Preprocessing(fit="squash")) == (0, 0, 512, 256)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"size": 3}, "size"),
        ({"crop": "big"}, "crop"),
        ({"crop": 4}, "crop"),
        ({"crop": 300}, "resize"),
        ({"mean": [1, 2]}, "mean"),
        ({"std": [1, 0, 1]}, "std"),
        ({"mean": float("nan")}, "mean"),
        ({"interpolation": "magic"}, "interpolation"),
        ({"fit": "stretch"}, "fit"),
    ],
)
def test_a_mistake_is_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(BadConfiguration, match=named):
        Preprocessing().overridden(values)


def test_overrides_take_json_values() -> None:
    how = Preprocessing().overridden({"resize": 300, "mean": [1, 2, 3], "std": 4})
    assert (how.resize, how.mean, how.std, how.crop) == (300, (1.0, 2.0, 3.0), (4.0, 4.0, 4.0), 224)
    assert how.min_side == 300
    assert how.overridden({"fit": "squash"}).min_side == 224
