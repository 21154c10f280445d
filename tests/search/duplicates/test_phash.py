"""The perceptual hash and the closer look on drawn pictures: what they survive, and what they tell apart."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy.fft import dctn

from catalog.images import decode
from search.duplicates import phash
from search.duplicates.aligning import Small, agreement
from search.duplicates.distortions import DISTORTIONS
from search.duplicates.hash_search import NEAREST, HashSearch
from search.duplicates.phash import BITS, content_box, hamming, perceptual_hash
from tests.factories import draw

SIZE = (320, 240)


def drawn(seed: int) -> Image.Image:
    """With a ground that is not plain, as photos have it."""
    rng = np.random.default_rng(1000 + seed)
    ground = Image.fromarray(rng.integers(60, 200, (6, 8, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    return Image.blend(draw(seed, SIZE), ground, 0.4)


PICTURES = [drawn(seed) for seed in range(12)]


def jpeg(pixels: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def test_the_hash_is_the_signs_of_the_low_frequencies() -> None:
    grey = PICTURES[0].convert("L").resize((32, 32), Image.Resampling.BOX, box=content_box(PICTURES[0].convert("L")))
    x = dctn(np.asarray(grey, np.float64), norm="ortho")
    places = sorted((i + j, i, j) for i in range(16) for j in range(16))[1 : BITS + 1]
    clear = [n for n, (_, i, j) in enumerate(places) if abs(x[i, j]) > phash.FLOOR * 1.01]
    bits = np.unpackbits(np.frombuffer(perceptual_hash(PICTURES[0]), np.uint8))
    assert len(clear) > 50
    assert [bool(bits[n]) for n in clear] == [bool(x[places[n][1], places[n][2]] > 0) for n in clear]


@pytest.mark.parametrize("seed", range(6))
def test_it_survives_scaling_compression_and_light(seed: int) -> None:
    pixels, own = PICTURES[seed], perceptual_hash(PICTURES[seed])
    assert len(own) * 8 == BITS
    changed = [
        jpeg(pixels, 30),
        pixels.resize((160, 120)),
        pixels.resize((640, 480)),
        ImageEnhance.Brightness(pixels).enhance(0.85),
    ]
    assert max(hamming(own, perceptual_hash(other)) for other in changed) <= 10


def test_it_does_not_see_a_border() -> None:
    framed = ImageOps.expand(ImageOps.expand(PICTURES[0], 12, "white"), 20, "black")
    assert hamming(perceptual_hash(PICTURES[0]), perceptual_hash(framed)) <= 6
    left, top, right, bottom = content_box(framed.convert("L"))
    assert np.abs(np.array([left, top, framed.width - right, framed.height - bottom]) - 32).max() <= 6


def test_different_pictures_are_far_apart() -> None:
    distances = [hamming(*map(perceptual_hash, pair)) for pair in combinations(PICTURES, 2)]
    assert min(distances) > 10
    assert 26 < np.mean(distances) < 38


@pytest.mark.parametrize("colour", ["white", "black", "grey"])
def test_a_plain_picture_has_no_hash_to_match(colour: str) -> None:
    assert perceptual_hash(jpeg(Image.new("RGB", SIZE, colour), 60)) == bytes(8)
    assert agreement(Small.of(Image.new("RGB", SIZE, colour)), Small.of(Image.new("RGB", SIZE, colour))) == 0.0


@pytest.mark.parametrize("kind", [kind for kind in DISTORTIONS if kind != "text overlaid"])
def test_the_closer_look_knows_the_same_picture(kind: str) -> None:
    rng = np.random.default_rng(0)
    for pixels in PICTURES[:4]:
        other = decode(DISTORTIONS[kind](pixels, rng)).pixels
        assert agreement(Small.of(pixels), Small.of(other)) >= 0.7
        assert agreement(Small.of(other), Small.of(pixels)) >= 0.7


def test_the_closer_look_tells_different_pictures_and_colours_apart() -> None:
    small = [Small.of(pixels) for pixels in PICTURES]
    assert max(agreement(*pair) for pair in combinations(small, 2)) < 0.4
    red, green, blue = PICTURES[0].split()
    assert agreement(small[0], Small.of(Image.merge("RGB", (blue, red, green)))) < 0.5  # the same article in blue


def test_half_of_a_picture_is_another_one() -> None:
    width, height = SIZE
    half = PICTURES[0].crop((0, 0, width // 2, height))
    assert agreement(Small.of(PICTURES[0]), Small.of(half)) == 0.0


def test_hash_search_is_exact_and_bounded() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (500, 8), np.uint8)
    hashes[400:460] = hashes[3]  # sixty copies
    hashes[499] = 0
    found = HashSearch(hashes).nearest(0, 500, 20)
    distances = np.unpackbits(hashes[:, None] ^ hashes[None], axis=2).sum(2)
    assert max(len(found[row]) for row in (0, 1, 250)) < NEAREST
    for row in (0, 1, 250):
        wanted = {int(other) for other in np.flatnonzero(distances[row] <= 20) if other != row}
        assert {other for other, _ in found[row]} == wanted
        assert all(distances[row, other] == distance for other, distance in found[row])
    assert len(found[3]) in (NEAREST, NEAREST + 1)
    assert found[499] == []  # a plain picture
