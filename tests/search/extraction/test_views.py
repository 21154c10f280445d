"""Several sizes and mirror images: what is averaged, at which sizes, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.extraction.errors import BadConfiguration, UnsupportedNetwork
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.preprocess import Preprocessing
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
from search.extraction.views import Views, sides_of
from tests.factories import draw

RUNTIMES = [Runtime.OPENVINO, Runtime.ONNX]
SMALL = {"resize": 72, "crop": 64}


def opened(path: Path, runtime: Runtime = Runtime.OPENVINO, **fields: object) -> Extractor:
    fields = {"preprocessing": SMALL, **fields}
    return build_extractor(ExtractorSpec("onnx", weights=str(path), runtime=runtime, **fields))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("crop", "scales", "sides"),
    [
        (224, (), (224,)),
        (224, (1,), (224,)),
        (224, (1, 0.7071), (224, 160)),
        (224, (0.5, 1, 1.4142), (320, 224, 128)),
        (300, (1, 0.5), (300, 160)),
        (224, (1, 0.99), (224,)),
        (32, (0.25,), (32,)),
        (224, (2, 0.25), (448, 64)),
    ],
)
def test_the_sizes_that_scales_come_to(crop: int, scales: tuple[float, ...], sides: tuple[int, ...]) -> None:
    assert sides_of(crop, scales) == sides


@pytest.mark.parametrize(
    ("scales", "named"),
    [
        ((0.2,), "0.2"),
        ((1, 2.5), "2.5"),
        ((float("nan"),), "nan"),
        ((1,) * 6, "6 scales"),
        (("1",), "list of numbers"),
        ((True,), "list of numbers"),
        ("0.5", "list of numbers"),
    ],
)
def test_bad_scales_are_named(scales: object, named: str) -> None:
    with pytest.raises(BadConfiguration, match=named):
        build_extractor(ExtractorSpec("color_gradient", scales=scales))  # type: ignore[arg-type]


@pytest.mark.parametrize("power", [0, -1, 1.5, float("nan")])
def test_a_bad_power_is_named(power: float) -> None:
    with pytest.raises(BadConfiguration, match="power"):
        build_extractor(ExtractorSpec("color_gradient", power=power))


def test_the_same_part_of_the_picture_is_seen_at_each_size() -> None:
    how = Preprocessing(resize=256, crop=224)
    assert (how.at(160).crop, how.at(160).resize) == (160, 183)
    assert how.at(224) is how
    assert Preprocessing(crop=224, fit="squash").at(448).min_side == 448


def test_mirror_images_are_mirror_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    first, mirrored, small, small_mirrored = Views((64, 32), flip=True).of(pixels, "bilinear")
    assert first is pixels
    assert np.array_equal(mirrored, pixels[:, :, ::-1])
    assert small.shape == (2, 32, 32, 3)
    assert np.array_equal(small_mirrored[:, :, ::-1], small)
    expected = Image.fromarray(pixels[1]).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(small[1], np.asarray(expected))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_descriptor_is_the_mean_of_unit_descriptors_of_all_views(
    network: Callable[..., Path], runtime: Runtime
) -> None:
    path, images = network(), [draw(seed) for seed in range(10)]
    many = opened(path, runtime, scales=(1, 1.5, 0.5), flip=True, pooling=Pooling.MAX, power=0.5)
    pixels = np.stack([many.prepare(image) for image in images])
    assert pixels.shape == (10, 96, 96, 3)
    assert many.min_side == 108
    total = np.zeros((10, 8))
    for side in (96, 64, 32):
        at = opened(path, runtime, preprocessing={"resize": side, "crop": side}, pooling=Pooling.MAX)
        for mirrored in (False, True):
            shrunk = [Image.fromarray(one).resize((side, side), Image.Resampling.BILINEAR) for one in pixels]
            view = np.stack([np.asarray(one) for one in shrunk])
            maxima = at.maps(view[:, :, ::-1] if mirrored else view).max(axis=(2, 3)).astype(np.float64)
            total += unit(np.sign(maxima) * np.sqrt(np.abs(maxima)))
    assert (many.extract(images) * unit(total)).sum(axis=1).min() > 0.9999


def test_a_flipped_picture_has_the_same_descriptor(network: Callable[..., Path]) -> None:
    extractor = opened(network(), flip=True)
    image = draw(3, (64, 64))
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    x = extractor.extract([image, mirrored])
    assert x[0] @ x[1] > 0.9999
    plain = opened(network()).extract([image, mirrored])
    assert plain[0] @ plain[1] < x[0] @ x[1]


def test_one_smaller_scale_is_the_smaller_network(network: Callable[..., Path]) -> None:
    scaled = opened(network(), scales=(0.5,))
    small = opened(network(), preprocessing={"resize": 36, "crop": 32})
    assert scaled.min_side == small.min_side == 36
    assert np.array_equal(scaled.extract([draw(1)]), small.extract([draw(1)]))


def test_several_threads_get_what_one_gets(network: Callable[..., Path]) -> None:
    extractor = opened(network(), scales=(1, 0.5, 2), flip=True)
    images = [draw(seed) for seed in range(12)]
    expected = opened(network(), Runtime.ONNX, scales=(1, 0.5, 2), flip=True).extract(images)
    worst: list[float] = []

    def work(at: int) -> None:
        for _ in range(4):
            worst.append(float((extractor.extract(images[at:]) * expected[at:]).sum(axis=1).min()))

    threads = [threading.Thread(target=work, args=(at,)) for at in (0, 3, 9, 11)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(worst) == 16
    assert min(worst) > 0.999


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_of_one_size_says_so(network: Callable[..., Path], runtime: Runtime) -> None:
    path = network(side=64)
    assert opened(path, runtime).dim == 8
    with pytest.raises(UnsupportedNetwork, match="32 x 32"):
        opened(path, runtime, scales=(1, 0.5))
    with pytest.raises(BadConfiguration, match="128 pixels only"):
        build_extractor(ExtractorSpec("color_gradient", scales=(1, 0.5)))


class TestMaps:
    def test_they_are_what_is_pooled(self, network: Callable[..., Path]) -> None:
        extractor = opened(network(), Runtime.ONNX)
        pixels = np.stack([extractor.prepare(draw(seed)) for seed in range(3)])
        maps = extractor.maps(pixels)
        assert (maps.dtype, maps.shape) == (np.float32, (3, 8, 16, 16))
        assert np.allclose(unit(maps.mean(axis=(2, 3))), extractor.describe(pixels), atol=1e-5)
        assert extractor.maps(pixels[:0]).shape == (0, 8, 16, 16)

    def test_vectors_have_none(self, network: Callable[..., Path]) -> None:
        extractor = opened(network(vector=True))
        with pytest.raises(UnsupportedNetwork, match="vectors"):
            extractor.maps(np.stack([extractor.prepare(draw(1))]))
