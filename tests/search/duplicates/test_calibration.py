"""The calibration, on made-up pairs, and on real pictures for the figures that the documentation states."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from search.duplicates.calibration import LOOK_ALIKE, Pair, choose, choose_alone, figures, measure
from search.duplicates.distortions import DISTORTIONS
from search.duplicates.rule import MAX_HASH_DISTANCE, MIN_AGREEMENT, Rule, default_score
from search.extraction.extractor import build_extractor
from search.extraction.spec import ExtractorSpec
from tests.search.duplicates.gallery import original

X = "x"


def pair(kind: str, distance: int, score: float, agreement: float) -> Pair:
    return Pair(kind, 0, distance, agreement, {X: score})


MADE_UP = [
    pair("PNG", 0, 0.99, 1.0),
    pair("cropped 15 %", 22, 0.85, 0.95),
    pair("half the size", 4, 0.71, 0.9),
    pair(LOOK_ALIKE, 3, 0.97, 0.55),  # the hash and the score of a duplicate, other pixels
    pair(LOOK_ALIKE, 30, 0.5, 0.97),  # the same pixels by accident: not proposed
    pair(LOOK_ALIKE, 30, 0.2, 0.0),
]


def test_figures_count_what_the_rule_does() -> None:
    got = figures(MADE_UP, Rule(5, 0.8, 0.7), X)
    assert (got.recall, got.false_positives, got.proposed) == (1.0, 0.0, pytest.approx(1 / 3))
    assert figures(MADE_UP, Rule(5, 0.9, 0.7), X).recall == pytest.approx(2 / 3)
    assert figures(MADE_UP, Rule(5, 0.8, 0.5), X).false_positives == pytest.approx(1 / 3)
    assert figures(MADE_UP, Rule(5, 0.9, 0.7), X, kind="cropped 15 %").recall == 0.0


def test_the_chosen_rule_finds_all_without_a_look_alike() -> None:
    got = figures(MADE_UP, choose(MADE_UP, X, 0.0), X)
    assert (got.recall, got.false_positives) == (1.0, 0.0)
    by_hash, by_score = choose_alone(MADE_UP, X, 0.0)
    assert figures(MADE_UP, by_hash, X).recall == pytest.approx(1 / 3)
    assert figures(MADE_UP, by_score, X).recall == pytest.approx(1 / 3)


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    for seed in range(12):
        (tmp_path / f"{seed}.jpg").write_bytes(original(seed))
    options = {"pictures": [tmp_path], "originals": 4, "pool": 12, "threads": 1}
    out = StringIO()
    call_command("calibrate_duplicates", stdout=out, **options)
    assert "duplicates found" in out.getvalue()
    out = StringIO()
    call_command("calibrate_duplicates", stdout=out, json=True, **options)
    (report,) = json.loads(out.getvalue())
    assert report["all"]["positives"] == 2 * len(DISTORTIONS)
    assert set(report["kinds"]) == set(DISTORTIONS)
    with pytest.raises(CommandError, match="too few"):
        call_command("calibrate_duplicates", pictures=[tmp_path / "none"])


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "at_least"), [("fashion-products/images", 0.85), ("grocery-store/train/Packages", 0.95)]
)
def test_duplicates_are_told_from_look_alikes(shared: Path, folder: str, at_least: float) -> None:
    """Looser than docs/duplicates.md says, as there are far fewer pictures here."""
    files = sorted((shared / "data" / folder).rglob("*.jpg"))[:240:4]
    name = "color_gradient"
    extractor = build_extractor(ExtractorSpec(name), threads=1)
    pairs = measure(files, 12, {name: extractor}, lambda *_: None)
    got = figures(pairs, Rule(MAX_HASH_DISTANCE, default_score(name), MIN_AGREEMENT), name)
    assert got.positives == 12 * len(DISTORTIONS)
    assert got.recall >= at_least
    assert got.negatives > 40
    assert got.false_positives <= 1 / got.negatives
