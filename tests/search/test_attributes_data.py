"""The product branch on real photos of clothes, shoes and bags, with a real network."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from search.extraction.extractor import build_extractor
from search.extraction.spec import ExtractorSpec
from search.training.branch import Result, fit_branch
from search.training.branch_labels import Chosen, LeftOut, Sample, choose, split, texts

pytestmark = pytest.mark.data
TYPES, EACH = ("Tshirts", "Shirts", "Casual Shoes", "Watches", "Handbags", "Sunglasses"), 70
NAMES = ("articleType", "baseColour", "masterCategory", "year")


@pytest.fixture(scope="module")
def rows(shared: Path) -> list[dict[str, str]]:
    """The first 70 products of six kinds."""
    seen: Counter[str] = Counter()
    kept = []
    with (shared / "data/fashion-products/products.csv").open() as file:
        for row in csv.DictReader(file):
            seen[row["articleType"]] += 1
            if row["articleType"] in TYPES and seen[row["articleType"]] <= EACH:
                kept.append(row)
    return kept


@pytest.fixture(scope="module")
def result(shared: Path, rows: list[dict[str, str]]) -> tuple[Result, list[Chosen | LeftOut]]:
    weights = str(shared / "weights/mobilenet_v1.onnx")
    extractor = build_extractor(ExtractorSpec("onnx", weights=weights), device="cpu", threads=1)
    folder = shared / "data/fashion-products"
    x = np.concatenate(
        [
            extractor.extract([PIL.Image.open(folder / row["image"]).convert("RGB") for row in rows[at : at + 32]])
            for at in range(0, len(rows), 32)
        ]
    )
    found = [choose(name, [row[name] for row in rows]) for name in NAMES]
    chosen = [one for one in found if isinstance(one, Chosen)]
    n = np.arange(len(rows))
    sample = Sample(x, n, n, {one.attribute: [texts(row[one.attribute]) or () for row in rows] for one in chosen})
    parts = split([row["id"] for row in rows], n, n, 0)
    return fit_branch(sample, parts, chosen, lambda *_: None), found


def test_years_are_no_kinds(result) -> None:
    assert LeftOut("year", "numbers") in result[1]


def test_kinds_are_read_off_photos_never_seen(result) -> None:
    heads = {head["attribute"]: head for head in result[0].figures["heads"]}
    assert heads["articleType"]["accuracy"] > 0.9
    assert heads["articleType"]["majority"] < 0.35
    assert heads["baseColour"]["accuracy"] > heads["baseColour"]["majority"] + 0.1
    assert heads["articleType"]["right_when_told"] >= heads["articleType"]["accuracy"]
    assert heads["articleType"]["ece"] < 0.1


def test_rankings_by_kind_and_colour_gain(result) -> None:
    gains = {row["by"]: row["with"] - row["without"] for row in result[0].figures["mAP"]}
    assert gains["articleType"] > 0.03
    assert gains["baseColour"] > 0.01
