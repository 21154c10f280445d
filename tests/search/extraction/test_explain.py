"""What each place adds to a score: that it is the score, where it lies in the picture, and that covering agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from numpy.typing import NDArray

from search.extraction.attributes import AttributeBranch, Head
from search.extraction.explain import Explanation, Method, NoPlaces, Seen, explain, see
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.heat import inner
from search.extraction.places import pooled_parts, regrid
from search.extraction.pooling import pool
from search.extraction.projection import fit
from search.extraction.spec import ExtractorSpec, Pooling

Make = Callable[..., Extractor]


@pytest.fixture
def make(network: Callable[..., Path]) -> Make:
    def make(projection: Any = None, **spec: Any) -> Extractor:
        path = network(f"{len(spec)}.onnx", vector=spec.pop("vector", False))
        how = {"resize": 72, "crop": 64}
        built = build_extractor(ExtractorSpec("onnx", weights=str(path), preprocessing=how, **spec))
        return built if projection is None else Extractor(built._backbone, built.spec, projection)

    return make


def drawn(seed: int, size: tuple[int, int] = (90, 60)) -> PIL.Image.Image:
    """Noise with a bright disc, the disc at another place for each seed."""
    random = np.random.default_rng(seed)
    image = PIL.Image.fromarray(random.integers(0, 120, (*size[::-1], 3), dtype=np.uint8))
    x, y = random.integers(5, 40), random.integers(5, 30)
    PIL.ImageDraw.Draw(image).ellipse((x, y, x + 25, y + 25), fill=(250, 200, 40))
    return image


def whole(extractor: Extractor, image: PIL.Image.Image) -> Seen:
    return see(extractor, image, (0, 0, *image.size), image.size)


def explained(extractor: Extractor, one: PIL.Image.Image, other: PIL.Image.Image, **how: Any) -> Explanation:
    return explain(extractor, whole(extractor, one), whole(extractor, other), **how)


def score(extractor: Extractor, one: PIL.Image.Image, other: PIL.Image.Image) -> float:
    x = extractor.extract([one, other])
    return float(x[0] @ x[1])


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"pooling": Pooling.GEM},
        {"pooling": Pooling.MAX},
        {"pooling": Pooling.RMAC},
        {"power": 0.5},
        {"flip": True},
        {"scales": (1.0, 0.5), "flip": True},
        {"pooling": Pooling.GEM, "power": 0.5, "scales": (1.0, 1.5)},
    ],
    ids=str,
)
def test_places_and_pairs_of_places_sum_to_the_score(make: Make, spec: dict[str, Any]) -> None:
    extractor, one, other = make(**spec), drawn(1), drawn(2)
    found = explained(extractor, one, other)
    assert found.method == Method.MAPS
    assert found.score == pytest.approx(score(extractor, one, other), abs=1e-5)
    for heat in (found.query, found.hit):
        assert float(heat.values.sum()) == pytest.approx(found.score, abs=1e-5)
    assert found.pairs is not None
    assert float(found.pairs.sum(dtype=np.float64)) == pytest.approx(found.score, abs=1e-5)
    assert found.explained == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("whiten", [False, True])
def test_a_projection_s_centre_is_spread_evenly_and_told(make: Make, whiten: bool) -> None:
    plain = make()
    sample = plain.extract([drawn(seed) for seed in range(40)])
    extractor, one, other = make(fit(sample, 5, whiten=whiten)), drawn(51), drawn(52)
    found = explained(extractor, one, other)
    assert found.score == pytest.approx(score(extractor, one, other), abs=1e-4)
    assert abs(found.centring[0]) > 1e-3
    assert found.explained == pytest.approx(1, abs=1e-4)
    without = found.query.values - found.centring[0] / found.query.values.size
    assert float(without.sum()) == pytest.approx(found.score - found.centring[0], abs=1e-4)


def test_what_predicted_attributes_add_has_no_place(make: Make) -> None:
    random = np.random.default_rng(8)
    matrix, bias = random.standard_normal((8, 3)).astype(np.float32), np.zeros(3, np.float32)
    head = Head("colour", ("red", "blue", ""), True, 1.0, 0.6, np.full(3, 1 / 3, np.float32), matrix, bias)
    extractor, one, other = make(AttributeBranch(8, (head,))), drawn(21), drawn(22)
    found = explained(extractor, one, other)
    assert found.score == pytest.approx(score(extractor, one, other), abs=1e-5)
    assert found.attributes > 0.1
    for heat in (found.query, found.hit):
        assert float(heat.values.sum()) == pytest.approx(found.score - found.attributes, abs=1e-5)
    assert found.explained == pytest.approx(1 - found.attributes / found.score, abs=1e-4)


def test_partners_are_places_of_the_same_thing(make: Make) -> None:
    """A disc on the left of one picture and on the right of the other."""
    left, right = (PIL.Image.new("RGB", (64, 64), (20, 30, 40)) for _ in range(2))
    PIL.ImageDraw.Draw(left).rectangle((8, 24, 23, 39), fill=(250, 200, 40))
    PIL.ImageDraw.Draw(right).rectangle((40, 24, 55, 39), fill=(250, 200, 40))
    how = {"resize": 64, "crop": 64}
    extractor = make()
    extractor = build_extractor(replace(extractor.spec, preprocessing=how))
    to_hit, to_query = explained(extractor, left, right).partners()
    assert len(to_hit) == len(to_query) == 16 * 16
    row, column = divmod(to_hit[8 * 16 + 4], 16)
    assert (6 <= row < 10, 10 <= column < 14) == (True, True)
    row, column = divmod(to_query[8 * 16 + 12], 16)
    assert (6 <= row < 10, 2 <= column < 6) == (True, True)


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("shape", [(3, 7, 7), (3, 5, 9), (3, 1, 1)])
def test_parts_sum_to_what_is_pooled(pooling: Pooling, shape: tuple[int, int, int]) -> None:
    maps = np.random.default_rng(3).standard_normal(shape)
    pooled = pool(maps[None].astype(np.float32), pooling)[0]
    np.testing.assert_allclose(pooled_parts(maps, pooling).sum(axis=(1, 2)), pooled, rtol=1e-5, atol=1e-6)


def test_another_grid_keeps_the_sum_and_the_place() -> None:
    grid = np.zeros((4, 6))
    grid[0, 5] = 3.0
    for shape in ((8, 12), (2, 3), (5, 7)):
        laid = regrid(grid, shape)
        assert laid.sum() == pytest.approx(3.0)
        assert laid[0, -1] == pytest.approx(laid.max())


def test_a_mirrored_view_is_turned_back(make: Make) -> None:
    """A network that adds mirror images sees the same things on the same side as one that does not."""
    one = drawn(3)
    plain, both = (explained(make(**spec), one, one).query.values for spec in ({}, {"flip": True}))
    alike = np.corrcoef(plain.ravel(), both.ravel())[0, 1]
    assert alike > 0.8 > np.corrcoef(plain.ravel(), both[:, ::-1].ravel())[0, 1]


def test_the_grid_lies_where_the_network_looked(make: Make) -> None:
    """Resized so that the short side is 72, then 64 of it cut out: 4 of 72 are left out above and below."""
    extractor = make()
    seen = whole(extractor, PIL.Image.new("RGB", (300, 144)))
    assert seen.box == pytest.approx((86, 8, 214, 136), abs=1.1)
    part = see(extractor, PIL.Image.new("RGB", (72, 72)), (500, 100, 644, 244), (1000, 800))
    assert part.box == pytest.approx((508, 108, 636, 236))


def test_a_picture_of_the_heat_has_nothing_where_nothing_was_seen(make: Make) -> None:
    one = drawn(4, (300, 144))
    heat = explained(make(), one, one).query
    picture = heat.picture(150)
    assert picture.shape == (72, 150)
    left, top, right, bottom = heat.pixels(150)
    assert np.isnan(picture[:, :left]).all()
    assert np.isnan(picture[:, right:]).all()
    assert not np.isnan(picture[top:bottom, left:right]).any()
    assert 0 <= np.nanmin(picture) < 0.1 < np.nanmax(picture) <= 1
    assert (inner(picture) <= ~np.isnan(picture)).all()
    assert np.nansum(picture[inner(picture)]) == pytest.approx(np.nansum(picture) / 2, rel=0.01)


def test_a_network_that_gives_vectors_says_so_or_has_parts_covered(make: Make) -> None:
    extractor, one, other = make(vector=True), drawn(5), drawn(6)
    with pytest.raises(NoPlaces, match="layer4"):
        explained(extractor, one, other, method=Method.MAPS)
    found = explained(extractor, one, other)
    assert found.method == Method.OCCLUSION
    assert found.pairs is None
    assert found.score == pytest.approx(score(extractor, one, other), abs=1e-5)


def pasted(background: PIL.Image.Image, thing: PIL.Image.Image, corner: tuple[int, int]) -> PIL.Image.Image:
    image = background.copy()
    image.paste(thing, corner)
    return image


def stripes(turned: bool, seed: int) -> PIL.Image.Image:
    random = np.random.default_rng(seed)
    line = random.integers(0, 256, (256, 1, 3), dtype=np.uint8).repeat(256, axis=1)
    return PIL.Image.fromarray(line.transpose(1, 0, 2).copy() if turned else line)


@pytest.fixture(scope="module")
def thing(request: pytest.FixtureRequest) -> PIL.Image.Image:
    """A checked patch, 96 pixels."""
    board = np.kron(np.indices((6, 6)).sum(axis=0) % 2, np.ones((16, 16)))[..., None]
    return PIL.Image.fromarray((board * [230, 40, 60] + (1 - board) * [250, 250, 90]).astype(np.uint8))


def share_on(found: Explanation, corners: tuple[tuple[int, int], tuple[int, int]], side: int) -> list[float]:
    """Of the positive heat, over the part of the picture that the thing covers, a margin of half a place around it."""
    shares = []
    for heat, (x, y) in zip((found.query, found.hit), corners, strict=True):
        picture = np.nan_to_num(heat.picture(256))
        margin = 16
        on = picture[max(0, y - margin) : y + side + margin, max(0, x - margin) : x + side + margin].sum()
        shares.append(float(on / picture.sum()))
    return shares


CORNERS = (20, 20), (140, 130)


def test_covering_finds_the_same_thing_on_two_backgrounds(thing: PIL.Image.Image) -> None:
    extractor = build_extractor(ExtractorSpec("color_gradient"))
    one, other = (pasted(stripes(t, 1 + t), thing, at) for t, at in zip((False, True), CORNERS, strict=True))
    found = explained(extractor, one, other)
    assert found.method == Method.OCCLUSION
    assert min(share_on(found, CORNERS, 96)) > 0.5  # of a quarter of the picture
    assert found.query.where == "upper_left"
    assert found.hit.where == "lower_right"


@pytest.mark.data
def test_places_of_a_real_network_lie_on_what_two_pictures_share(shared: Path) -> None:
    """One thing on two photos: a quarter of each picture has most of the heat, and covering agrees."""
    extractor = build_extractor(ExtractorSpec("onnx", weights=str(shared / "weights" / "mobilenet_v1.onnx")))
    things, backgrounds = (sorted((shared / "data").glob(where)) for where in THINGS)
    shares, agreement = [], []
    for number in range(2):
        thing = square(things[number], 100)
        one, other = (pasted(square(backgrounds[2 * number + side], 256), thing, CORNERS[side]) for side in range(2))
        found, covered = (explained(extractor, one, other, method=method) for method in (Method.MAPS, Method.OCCLUSION))
        shares += share_on(found, CORNERS, 100)
        agreement += [
            rank_correlation(found.query.values, covered.query.values),
            rank_correlation(found.hit.values, covered.hit.values),
        ]
    assert min(shares) > 0.5
    assert np.mean(shares) > 0.65
    assert np.mean(agreement) > 0.4


THINGS = "grocery-store/**/iconic-images-and-descriptions/**/*.jpg", "caltech101/[ab]*/image_0002.jpg"


def square(path: Path, side: int) -> PIL.Image.Image:
    return PIL.Image.open(path).convert("RGB").resize((side, side))


def rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Spearman's, of two grids laid over each other."""
    grids = [
        np.asarray(PIL.Image.fromarray(grid).resize((16, 16), PIL.Image.Resampling.BILINEAR)) for grid in (one, other)
    ]
    ranks = [np.argsort(np.argsort(grid.ravel())) for grid in grids]
    return float(np.corrcoef(*ranks)[0, 1])
