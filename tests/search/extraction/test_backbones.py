"""The contract of every backbone, and the families one by one."""

from __future__ import annotations

import gc
import io
import json
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from catalog.images import decode
from search.extraction import backbones
from search.extraction.backbones import color_gradient
from search.extraction.errors import (
    BadConfiguration,
    RuntimeMissing,
    UnknownBackbone,
    UnsupportedNetwork,
    WeightsMissing,
)
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
from tests.factories import draw

FAMILIES = ["color_gradient", "onnx-openvino", "onnx-onnx", "onnx-vector"]


@pytest.fixture(params=FAMILIES)
def extractor(request: pytest.FixtureRequest, network: Callable[..., Path]) -> Extractor:
    name, _, how = request.param.partition("-")
    if name == "color_gradient":
        return build_extractor(ExtractorSpec(name))
    runtime = Runtime.ONNX if how == "onnx" else Runtime.OPENVINO
    path = network(vector=how == "vector")
    return build_extractor(ExtractorSpec(name, weights=str(path), runtime=runtime, pooling=Pooling.GEM))


def check_contract(extractor: Extractor) -> None:
    sizes = [(96, 72), (1, 1), (3, 500), (640, 480), (224, 224), (17, 300), (33, 31), (50, 50), (400, 20)]
    images = [draw(seed, size) for seed, size in enumerate(sizes)]
    together = extractor.extract(images)
    assert (together.dtype, together.shape) == (np.float32, (len(images), extractor.dim))
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    one_by_one = np.concatenate([extractor.extract([image]) for image in images])
    assert (together * one_by_one).sum(axis=1).min() > 0.9995
    assert np.array_equal(extractor.extract(images), together)
    empty = extractor.extract([])
    assert (empty.dtype, empty.shape) == (np.float32, (0, extractor.dim))
    assert len(extractor.fingerprint) == 64
    assert extractor.min_side > 0


def test_contract(extractor: Extractor) -> None:
    check_contract(extractor)


def test_threads_get_what_one_caller_gets(extractor: Extractor) -> None:
    check_threads(extractor)


def test_a_dropped_extractor_leaves_no_network_behind(network: Callable[..., Path]) -> None:
    extractor = open_onnx(network())
    extractor.extract([draw(seed) for seed in range(9)])
    left = weakref.ref(extractor._backbone.network)
    del extractor
    gc.collect()
    assert left() is None


def check_threads(extractor: Extractor) -> None:
    images = [draw(seed) for seed in range(12)]
    expected = extractor.extract(images)
    failures: list[str] = []

    def work(offset: int) -> None:
        for step in range(6):
            at = (offset + step) % 12
            if extractor.extract([images[at]])[0] @ expected[at] < 0.999:
                failures.append(f"one at {at}")
            many = extractor.extract(images[at:] + images[:at])
            if (many * np.roll(expected, -at, axis=0)).sum(axis=1).min() < 0.999:
                failures.append(f"many from {at}")

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures


def test_names_are_found_by_being_there() -> None:
    names = backbones.names()
    assert {"onnx", "color_gradient", "resnet50", "vgg16"} <= set(names)
    assert len(names) == len(set(names))
    with pytest.raises(UnknownBackbone, match="resnet50"):
        build_extractor(ExtractorSpec("resnet51"))


@pytest.mark.parametrize("spec", [ExtractorSpec("color_gradient", gem_p=0), ExtractorSpec("onnx", gem_p=float("nan"))])
def test_a_bad_exponent_is_refused(spec: ExtractorSpec) -> None:
    with pytest.raises(BadConfiguration, match="gem_p"):
        build_extractor(spec)


def test_a_bad_device_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="tpu"):
        build_extractor(ExtractorSpec("color_gradient"), device="tpu")


# --- ONNX files --------------------------------------------------------------------------------------


def open_onnx(path: Path, runtime: Runtime = Runtime.OPENVINO, **fields: object) -> Extractor:
    return build_extractor(ExtractorSpec("onnx", weights=str(path), runtime=runtime, **fields))


@pytest.mark.parametrize("runtime", [Runtime.OPENVINO, Runtime.ONNX])
def test_an_onnx_file_computes_what_it_says(network: Callable[..., Path], runtime: Runtime) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    path = network()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    pixels = (np.asarray(image).transpose(2, 0, 1)[None].astype(np.float32) - 100) / 50
    (maps,) = ReferenceEvaluator(onnx.load(path)).run(None, {"pixels": pixels})
    expected = maps.max(axis=(2, 3))[0]
    how = {"resize": 32, "crop": 32, "mean": 100, "std": 50}
    got = open_onnx(path, runtime, preprocessing=how, pooling=Pooling.MAX).extract([image])[0]
    assert got @ (expected / np.linalg.norm(expected)) > 0.9999


@pytest.mark.parametrize("runtime", [Runtime.OPENVINO, Runtime.ONNX])
def test_a_network_exported_for_one_batch_size_takes_any(network: Callable[..., Path], runtime: Runtime) -> None:
    check_contract(open_onnx(network(batch=4), runtime))


def test_the_card_beside_the_file_sets_the_preprocessing_and_the_row_overrides_it(
    network: Callable[..., Path],
) -> None:
    path = network()
    plain = open_onnx(path)
    path.with_suffix(".json").write_text(json.dumps({"resize": 64, "crop": 48, "std": 60, "licence": "x"}))
    carded = open_onnx(path)
    assert (plain.min_side, carded.min_side) == (256, 64)
    assert carded.fingerprint != plain.fingerprint
    assert open_onnx(path, preprocessing={"resize": 50}).min_side == 50


@pytest.mark.parametrize("card", ["{", "[1]"])
def test_a_broken_card_is_named(network: Callable[..., Path], card: str) -> None:
    path = network()
    path.with_suffix(".json").write_text(card)
    with pytest.raises(BadConfiguration, match=r"small\.json"):
        open_onnx(path)


@pytest.mark.parametrize("runtime", [Runtime.OPENVINO, Runtime.ONNX])
def test_what_is_no_network_is_refused(tmp_path: Path, network: Callable[..., Path], runtime: Runtime) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(UnsupportedNetwork, match=r"text\.onnx"):
        open_onnx(tmp_path / "text.onnx", runtime)
    with pytest.raises(UnsupportedNetwork, match="nothing"):
        open_onnx(network(), runtime, layer="nothing")


def test_missing_weights_and_runtimes_are_named(network: Callable[..., Path]) -> None:
    with pytest.raises(WeightsMissing):
        build_extractor(ExtractorSpec("onnx"))
    with pytest.raises(RuntimeMissing, match="torch"):
        open_onnx(network(), Runtime.TORCH)
    with pytest.raises(RuntimeMissing, match="CUDA"):
        build_extractor(ExtractorSpec("onnx", weights=str(network()), runtime=Runtime.OPENVINO), device="cuda")


# --- the classical descriptor ------------------------------------------------------------------------


def test_each_block_is_a_unit_vector_times_its_weight() -> None:
    pixels = np.asarray(draw(1, (128, 128)))[None]
    blocks = color_gradient.blocks(pixels)
    assert list(blocks) == list(color_gradient.WEIGHTS)
    x = color_gradient.ColorGradient().run(pixels)[0]
    parts = np.split(x, np.cumsum([block.shape[1] for block in blocks.values()])[:-1])
    assert [np.linalg.norm(part) for part in parts] == pytest.approx(list(color_gradient.WEIGHTS.values()), rel=1e-4)


def test_weighted_means_against_loops() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.random((1, 8, 8, 2)).astype(np.float32), rng.random((1, 8, 8)).astype(np.float32)
    boxes = [(0, 8, 0, 8), (2, 6, 2, 6), (0, 4, 0, 4), (0, 4, 4, 8), (4, 8, 0, 4), (4, 8, 4, 8)]
    found = color_gradient.means(x, weight)
    for part, (top, bottom, left, right) in enumerate(boxes):
        places = [(0, y, z) for y in range(top, bottom) for z in range(left, right)]
        expected = np.average([x[p] for p in places], axis=0, weights=[weight[p] for p in places])
        assert found[0, part] == pytest.approx(expected, rel=1e-5)


def test_cells_are_the_gradients_of_scikit_image() -> None:
    from skimage.feature import hog

    grey = color_gradient.grey(np.asarray(draw(3, (128, 128)))[None])
    theirs = hog(grey[0], 9, (16, 16), (1, 1), block_norm="L2-Hys", feature_vector=False)[:, :, 0, 0]
    assert np.allclose(color_gradient.cells(grey)[0], theirs, atol=0.01)


def test_patterns_by_hand() -> None:
    grey = np.full((1, 128, 128), 9, np.uint8)
    grey[0, 4, 4] = 200  # a peak: no neighbour reaches it, and each of the eight around has one that it does not
    shares = color_gradient.patterns(grey)[0]
    assert shares[0, 0] * 64 == pytest.approx([1, 0, 0, 0, 0, 0, 0, 0, 63, 0])
    assert shares[1:].sum() == pytest.approx(shares[1:, :, 8].sum()) == pytest.approx(15 * 16)


def test_soft_bins_share_each_value_between_two_neighbours() -> None:
    bins = color_gradient.soft_bins(np.array([0.0, 25.0, 100.0, 130.0], np.float32), 0.0, 100.0, 5)
    assert bins.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    assert np.allclose(color_gradient.soft_bins(np.linspace(0, 100, 77), 0.0, 100.0, 5).sum(-1), 1)


def test_it_tells_colour_shape_and_texture_apart() -> None:
    extractor = build_extractor(ExtractorSpec("color_gradient"))
    base = np.asarray(draw(5, (200, 200)))
    same, other = Image.fromarray(base).resize((150, 150)), draw(6, (200, 200))
    recoloured = Image.fromarray(base[..., [2, 0, 1]])
    near, colour, far = (extractor.extract([Image.fromarray(base), one]) for one in (same, recoloured, other))
    assert near[0] @ near[1] > colour[0] @ colour[1] > far[0] @ far[1]


def on_ground(thing: int, ground: int) -> Image.Image:
    """One of two things, drawn a little elsewhere on each of three patterned grounds."""
    rng = np.random.default_rng(ground)
    low, high = [((150, 140, 120), (190, 180, 150)), ((40, 45, 60), (60, 66, 80)), ((230, 230, 232), (240, 240, 242))][
        ground
    ]
    picture = Image.fromarray(rng.integers(low, high, (200, 200, 3), np.uint8))
    pen, (x, y) = ImageDraw.Draw(picture), 70 + 8 * ground * np.array([1, -1])
    if thing == 0:
        pen.ellipse((x, y, x + 70, y + 70), fill=(200, 40, 30), outline=(90, 10, 10), width=4)
    else:
        pen.polygon([(x, y + 80), (x + 35, y), (x + 70, y + 80)], fill=(40, 90, 200), outline=(10, 20, 90), width=4)
    return picture


def test_a_thing_is_nearer_to_itself_elsewhere_than_to_another_on_the_same_ground() -> None:
    extractor = build_extractor(ExtractorSpec("color_gradient"))
    x = extractor.extract([on_ground(thing, ground) for thing in (0, 1) for ground in (0, 1, 2)])
    scores = x @ x.T
    same_thing = [scores[3 * thing + i, 3 * thing + j] for thing in (0, 1) for i in range(3) for j in range(i)]
    same_ground = [scores[ground, 3 + ground] for ground in range(3)]
    assert min(same_thing) > max(same_ground) + 0.05


def test_it_takes_no_preprocessing() -> None:
    with pytest.raises(BadConfiguration, match="preprocessing"):
        build_extractor(ExtractorSpec("color_gradient", preprocessing={"crop": 64}))


def photos() -> list[Image.Image]:
    from skimage import data

    return [Image.fromarray(photo) for photo in (data.astronaut(), data.coffee(), data.chelsea())]


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def test_a_jpeg_decoded_at_reduced_scale_gives_nearly_the_same() -> None:
    # Not as near as a network's: these photos are hardly larger than 128 pixels once reduced, and the descriptor has
    # no common part. Photos of different things are below 0.7.
    extractor = build_extractor(ExtractorSpec("color_gradient"))
    check_reduced(extractor, photos(), least=0.96)
    x = extractor.extract(photos())
    assert (x @ x.T)[np.triu_indices(3, 1)].max() < 0.7


@pytest.mark.data
def test_a_jpeg_decoded_at_reduced_scale_gives_nearly_the_same_from_a_network(shared: Path) -> None:
    large = [photo.resize((4 * photo.width, 4 * photo.height), Image.Resampling.LANCZOS) for photo in photos()]
    check_reduced(open_onnx(shared / "weights/mobilenet_v1.onnx"), large)


def check_reduced(extractor: Extractor, images: list[Image.Image], least: float = 0.99) -> None:
    for image in images:
        whole, reduced = decode(jpeg(image)), decode(jpeg(image), min_side=extractor.min_side)
        assert reduced.pixels.width < whole.pixels.width
        x = extractor.extract([whole.pixels, reduced.pixels])
        assert x[0] @ x[1] > least


@pytest.mark.data
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_edgetpu"])
def test_openvino_and_onnx_runtime_agree_on_real_networks(shared: Path, name: str) -> None:
    path = shared / "weights" / f"{name}.onnx"
    files = sorted((shared / "data/more-photos").rglob("*.jpg"))[::60][:32]
    images = [decode(file.read_bytes()).pixels for file in files]
    ours, theirs = (open_onnx(path, runtime).extract(images) for runtime in (Runtime.OPENVINO, Runtime.ONNX))
    cosines = (ours * theirs).sum(axis=1)
    assert np.median(cosines) > 0.999  # bfloat16 against float32
    assert cosines.min() > 0.997
