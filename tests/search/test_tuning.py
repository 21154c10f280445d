"""manage.py tune_index on a small collection: it chooses what measures well."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from search.indexes import BadFactory
from search.indexes.trials import Ground, Point, Trial, candidates, chosen_of, shown
from search.models import Engine, SearchIndex
from search.tuning import NotTunable, TooFewToTune, tune
from tests.search.gallery import make_index
from tests.search.indexes.descriptors import clustered

pytestmark = pytest.mark.django_db
FACTORIES = ["SQ8", "IVF16,SQ8", "RR,RaBitQ"]


@pytest.fixture
def index(settings: Any, tmp_path: Path) -> SearchIndex:
    settings.INDEX_ROOT = tmp_path / "indexes"
    settings.FAISS_THREADS = 1
    return make_index(1500)


def run(index: SearchIndex, *options: Any) -> str:
    out = StringIO()
    call_command("tune_index", index.collection.slug, "--queries", "120", *options, stdout=out, stderr=StringIO())
    index.refresh_from_db()
    return out.getvalue()


def test_it_sets_the_index_to_what_reaches_the_target(index: SearchIndex, tmp_path: Path) -> None:
    printed = run(index, "--target", "0.9", "--factories", *FACTORIES, "--plot", tmp_path / "frontier.svg")
    points = index.tuning["points"]
    (chosen,) = [point for point in points if point["chosen"]]
    assert chosen["recall"] >= 0.9
    assert (index.factory, index.search_params) == (chosen["factory"], chosen["search_params"])
    assert (index.fine_depth, index.preset) == (chosen["fine_depth"], "")
    assert {point["factory"] for point in points} == set(FACTORIES)
    assert [point["ms"] for point in points] == sorted(point["ms"] for point in points)
    assert all(point["p99_ms"] >= point["ms"] > 0 and point["bytes"] > 0 for point in points)
    assert index.tuning["count"] == 1500
    assert index.tuning["queries"] == 120
    assert "* " in printed
    assert f"build_index {index.collection.slug}" in printed
    drawn = ET.parse(tmp_path / "frontier.svg").getroot()
    assert len(drawn.findall(".//{*}circle/{*}title")) == len(points)
    assert not list((tmp_path / "indexes").iterdir())


def test_memory_bounds_the_choice(index: SearchIndex) -> None:
    tuning = json.loads(run(index, "--factories", "SQ8", "RR,RaBitQ", "--max-bytes", "30", "--json", "--dry-run"))
    (chosen,) = [point for point in tuning["points"] if point["chosen"]]
    assert chosen["factory"] == "RR,RaBitQ"
    assert chosen["bytes"] <= 30
    assert (index.tuning, index.factory) == ({}, "")


def test_settings_stay_if_asked_and_if_nothing_reaches_the_target(index: SearchIndex) -> None:
    run(index, "--factories", "SQ8", "--no-apply")
    assert index.tuning["points"]
    assert index.factory == ""
    said = run(index, "--factories", "IVF16,PQ4x4fs", "--target", "1", "--max-bytes", "20")
    assert "None of what was tried" in said
    assert index.factory == ""
    assert not any(point["chosen"] for point in index.tuning["points"])


def test_what_cannot_be_tuned_is_said(index: SearchIndex, tmp_path: Path) -> None:
    with pytest.raises(BadFactory, match="nonsense"):
        tune(index, factories=["SQ8", "nonsense"])
    with pytest.raises(CommandError, match=r"\.svg"):
        run(index, "--plot", tmp_path / "frontier.png")
    with pytest.raises(CommandError, match="--queries"):
        call_command("tune_index", index.collection.slug, "--queries", "1")
    with pytest.raises(CommandError, match="share"):
        run(index, "--target", "95")
    small = make_index(50, name="small")
    with pytest.raises(TooFewToTune, match="50 embedded"):
        tune(small)
    index.engine = Engine.MILVUS
    with pytest.raises(NotTunable, match="Milvus"):
        tune(index)


def test_ctrl_c_leaves_nothing(index: SearchIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("search.tuning.swept", interrupted)
    with pytest.raises(CommandError, match="Stopped"):
        run(index, "--factories", "SQ8")
    index.refresh_from_db()
    assert index.tuning == {}
    assert not list((tmp_path / "indexes").iterdir())


def test_queries_are_held_out_and_the_truth_is_exact() -> None:
    x = clustered(600, 32)
    ground = Ground.lay(lambda rows: x[rows], 600, 40, 3, lambda *_: None)
    assert len(ground.rows) == 560
    for query, truth in zip(ground.queries, ground.truth, strict=True):
        own = int(np.argmax(x @ query))
        assert own not in ground.rows
        scores = x[ground.rows] @ query
        np.testing.assert_allclose(np.sort(scores[np.argsort(-scores)[:10]]), np.sort(x[truth] @ query), atol=1e-6)


def point(factory: str, recall: float, ms: float, size: float) -> Point:
    return Point(factory, {}, 100, recall, ms, 2 * ms, size)


def test_the_choice_is_the_fastest_sure_one_and_the_frontier_is_what_nothing_beats() -> None:
    trials = [
        Trial(point("slow", 0.99, 3, 50), 0.98, point("slow", 0.99, 3, 50)),
        Trial(point("fast", 0.97, 1, 90), 0.96, point("fast", 0.96, 1.1, 90)),
        Trial(point("lucky", 0.955, 0.5, 90), 0.94, point("lucky", 0.93, 0.5, 90)),
        Trial(point("beaten", 0.97, 4, 90), 0.96, point("beaten", 0.95, 4, 90)),
    ]
    assert chosen_of(trials, 0.95, None) is trials[1]
    assert chosen_of(trials, 0.95, 60) is trials[0]
    assert chosen_of(trials, 0.995, None) is None
    points = shown(trials, trials[1])
    assert [p.factory for p in points] == ["lucky", "fast", "slow", "beaten"]
    assert [p.factory for p in points if p.frontier] == ["lucky", "fast", "slow"]
    assert [p.factory for p in points if p.chosen] == ["fast"]


@pytest.mark.parametrize("count", [1000, 50_000, 1_000_000, 10_000_000])
def test_what_is_tried_suits_the_size(count: int) -> None:
    factories = candidates(count, 512)
    assert len(set(factories)) == len(factories) >= 3
    assert any("RaBitQ" in one for one in factories) == (count > 20_000)
    assert ("HNSW32,SQ8" in factories) == (count <= 500_000)
