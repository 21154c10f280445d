"""Model cards: what is read of them, and what is wrong with one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from search.extraction.cards import read_card
from search.extraction.errors import BadConfiguration, UnsupportedNetwork
from search.extraction.extractor import Extractor, build_extractor
from search.extraction.preprocess import Preprocessing, normalise
from search.extraction.spec import ExtractorSpec, Runtime
from tests.factories import draw


def carded(path: Path, **card: Any) -> Path:
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def opened(path: Path, **fields: Any) -> Extractor:
    return build_extractor(ExtractorSpec("onnx", weights=str(path), runtime=Runtime.ONNX, **fields))


def test_all_of_a_card_is_read(network: Callable[..., Path]) -> None:
    path = carded(
        network(), name="Small", licence="CC0", range=[0, 1], mean=[0.4, 0.5, 0.6], std=0.2, size=64, fit="squash",
        interpolation="bicubic", output="map", dim=8, figures={"mAP": 0.8}, facts={"anything": 1},
    )  # fmt: skip
    card = read_card(path)
    how = card.preprocessing
    assert (how.resize, how.crop, how.fit, how.interpolation) == (64, 64, "squash", "bicubic")
    assert how.mean == pytest.approx((102, 127.5, 153))
    assert how.std == pytest.approx((51, 51, 51))
    assert (card.output, card.dim_of("map"), card.dim_of("other")) == ("map", 8, 0)
    assert opened(path).dim == 8


def test_without_a_card_the_usual_values(tmp_path: Path) -> None:
    card = read_card(tmp_path / "none.onnx")
    assert (card.preprocessing, card.output, card.dim_of("")) == (Preprocessing(), "", 0)


@pytest.mark.parametrize("ends", [[0, 1], [-1, 1], [0, 255], [0.5, 3]])
def test_a_range_is_what_black_and_white_become(network: Callable[..., Path], ends: list[float]) -> None:
    plain = read_card(carded(network(), range=ends)).preprocessing
    pixels = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert normalise(pixels, plain)[0, 0, 0] == pytest.approx(ends, abs=1e-6)
    shifted = read_card(carded(network(), range=ends, mean=[0.5] * 3, std=[0.25, 0.5, 1])).preprocessing
    expected = [(end - 0.5) / std for std in (0.25, 0.5, 1) for end in ends]
    assert normalise(pixels, shifted).ravel() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("card", "named"),
    [
        ({"men": [1, 2, 3]}, r"small\.json.*unknown men.*do you mean mean"),
        ({"colour": "RGB"}, "unknown colour.*known are range, size"),
        ({"mean": [1, 2]}, "mean=.*wrong form"),
        ({"mean": "123"}, "mean=.*wrong form"),
        ({"std": [1, 0, 1]}, "std above zero"),
        ({"crop": "big"}, "crop='big'"),
        ({"crop": 100.5}, r"crop=100\.5"),
        ({"crop": True}, "crop=True"),
        ({"size": 4}, "crop=4"),
        ({"size": 64, "crop": 64}, "size and crop"),
        ({"fit": "stretch"}, "fit='stretch'"),
        ({"interpolation": "cubic"}, "interpolation='cubic'"),
        ({"range": [1, 0]}, "two rising numbers"),
        ({"range": "01"}, "two rising numbers"),
        ({"range": 255}, "two rising numbers"),
        ({"output": 3}, "output=3 is no text"),
        ({"licence": ["MIT"]}, "licence=.*no text"),
        ({"dim": "8"}, "dim='8'"),
        ({"dim": {"map": 0}}, "dim of map=0"),
        ({"dim": None}, "dim=None"),
    ],
)
def test_what_is_wrong_with_a_card_is_named(network: Callable[..., Path], card: dict[str, Any], named: str) -> None:
    with pytest.raises(BadConfiguration, match=named):
        read_card(carded(network(), **card))


def two_outputs(path: Path) -> Path:
    """pixels -> "map" (n, 3, h, w) and "vector" (n, 6), which the network cannot tell the length of beforehand."""
    nodes = [
        helper.make_node("Relu", ["pixels"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Concat", ["flat", "flat"], ["vector"], axis=1),
    ]
    shapes = {"map": ["n", 3, "h", "w"], "vector": ["n", "dim"]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph(nodes, "two", [pixels], outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


class TestSeveralOutputs:
    def test_the_card_or_the_row_chooses(self, tmp_path: Path) -> None:
        path = two_outputs(tmp_path / "two.onnx")
        assert opened(path).dim == 3
        assert opened(path, layer="vector").dim == 6
        carded(path, output="vector", dim=6)
        assert opened(path).dim == 6
        assert opened(path, layer="map").dim == 3  # the card's dim is of its own output
        assert opened(path, layer="map").fingerprint != opened(path).fingerprint

    def test_one_that_is_not_there_is_refused_with_those_that_are(self, tmp_path: Path) -> None:
        path = carded(two_outputs(tmp_path / "two.onnx"), output="features")
        with pytest.raises(UnsupportedNetwork, match=r"features.*map, vector"):
            opened(path)

    @pytest.mark.parametrize(("layer", "said"), [("", 4), ("", {"map": 4}), ("vector", {"map": 3, "vector": 5})])
    def test_another_length_than_the_card_tells_is_refused(self, tmp_path: Path, layer: str, said: Any) -> None:
        path = carded(two_outputs(tmp_path / "two.onnx"), dim=said, output=layer or "map")
        with pytest.raises(BadConfiguration, match=r"its card says [45] dimensions, but its output has [36]"):
            opened(path, layer=layer)


def test_a_card_may_say_more_than_is_read(network: Callable[..., Path]) -> None:
    plain = opened(network()).extract([draw(1)])
    described = opened(carded(network(), about="x", recipe={"steps": 3}, seed=1)).extract([draw(1)])
    assert np.array_equal(plain, described)
