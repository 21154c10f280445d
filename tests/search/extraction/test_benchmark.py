"""manage.py benchmark: small runs of the real thing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.core.management import CommandError, call_command

from catalog.models import Collection
from search import benchmarking
from search.machine_runtime import site_runtime
from search.models import FeatureModel
from tests.factories import picture
from tests.search.extraction.conftest import write_network


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures" / "sub"
    folder.mkdir(parents=True)
    for seed in range(30):
        (folder / f"{seed}.jpg").write_bytes(picture(seed))
    return folder.parent


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("benchmark", *arguments, stdout=out)
    return out.getvalue()


def figures(name: str, *arguments: str) -> list[dict[str, Any]]:
    result = json.loads(run(name, "--json", *arguments))
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["versions"]["numpy"]
    rows: list[dict[str, Any]] = result["benchmarks"][name]["rows"]
    return rows


def test_benchmarks_are_found_by_being_there() -> None:
    assert benchmarking.names() == ["ann", "build", "extraction", "runtimes", "scale", "search"]


@pytest.mark.torch
def test_extraction_measures_both_sides_in_one_run(pictures: Path) -> None:
    rows = figures("extraction", f"--pictures={pictures}", "--limit=6", "--rounds=1")
    assert rows[0]["side"] == "resnet50, auto"
    assert rows[-2]["side"] == "color_gradient"
    assert rows[-1]["side"].startswith("guide's loop")
    assert rows[-1]["times the loop"] == 1
    assert all(row["slowest round"] <= row["pictures/s"] <= row["fastest round"] for row in rows)
    assert all(row["core ms"] > 0 for row in rows)


@pytest.mark.django_db
@pytest.mark.torch
def test_extraction_measures_the_same_network_in_8_bits(pictures: Path, tmp_path: Path) -> None:
    weights = str(write_network(tmp_path / "small.onnx"))
    FeatureModel.objects.create(name="mine", backbone="onnx", weights=weights)
    rows = figures("extraction", f"--pictures={pictures}", "--limit=6", "--rounds=1", "--model=mine", "--eight-bits")
    assert [row["side"] for row in rows[:-2]] == ["mine, auto", "mine in 8 bits, auto"]


@pytest.mark.django_db
def test_runtimes_are_measured_side_by_side_and_the_best_is_kept(pictures: Path, tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR, settings.EXTRACTION_RUNTIME = tmp_path, "auto"
    model = FeatureModel.objects.create(
        name="mine",
        backbone="onnx",
        weights=str(write_network(tmp_path / "small.onnx")),
        pooling="max",
        scales=[1, 0.5],
    )
    options = ("--model=mine", "--limit=9", "--rounds=2", "--queries=4", f"--pictures={pictures}")
    out = json.loads(run("--runtimes", "--json", "--choose", *options))["benchmarks"]["runtimes"]
    rows, notes = out["rows"], out["notes"]
    assert [(row["network"], row["runtime"]) for row in rows] == [("mine", "openvino"), ("mine", "onnx")]
    assert all(0 < row["one picture, ms"] <= row["p99"] for row in rows)
    assert all(row["cosine"] > 0.99 for row in rows)
    assert rows[1]["cosine"] == 1  # it is the reference where torch cannot open the file
    assert any("torch" in note and "not measured" in note for note in notes)
    best = max(rows, key=lambda row: row["pictures/s"] if row["cosine"] >= 0.999 else 0)["runtime"]
    assert site_runtime().value == best
    assert model.spec.runtime.value == "auto"


@pytest.mark.torch
def test_torch_is_the_reference_where_it_can_open_the_network(pictures: Path, tmp_path: Path, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    job = benchmarking.Job(pictures=[str(path) for path in sorted(pictures.rglob("*.jpg"))[:4]], rounds=1, queries=1)
    from search.benchmarking import bench_runtimes
    from search.benchmarking.networks import Named
    from search.extraction.spec import ExtractorSpec

    named = Named("resnet18", ExtractorSpec("resnet18", weights="none"), tmp_path)
    rows, notes = bench_runtimes._measured(named, job)
    assert [row["runtime"] for row in rows] == ["openvino", "onnx", "torch"]
    assert rows[1]["cosine"] > 0.9999
    assert notes == ["resnet18: cosines with torch in float32"]


@pytest.mark.django_db
def test_search_measures_services_and_http_and_touches_nothing_here(pictures: Path) -> None:
    before = sorted(Path(site.DATA_DIR).rglob("*.sqlite3"))
    rows = figures("search", f"--pictures={pictures}", "--gallery=60", "--queries=5")
    assert [row["search"].split(",")[0] for row in rows] == ["services", "HTTP", "HTTP", "HTTP"]
    assert all(0 < row["median"] <= row["p99"] for row in rows)
    assert all(0 < row["beyond decode and network"] <= row["median"] for row in rows)
    new, hot = rows[1:3]
    assert new["cached %"] == 0
    assert hot["cached %"] > 0
    assert not Collection.objects.exists()
    assert sorted(Path(site.DATA_DIR).rglob("*.sqlite3")) == before


def test_a_table_is_printed_for_people(pictures: Path) -> None:
    said = run("search", f"--pictures={pictures}", "--gallery=30", "--queries=2")
    assert "Search: milliseconds a request" in said
    assert "beyond decode and network" in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing"], "ann, build, extraction, runtimes, scale, search"),
        (["--pictures=/nowhere"], "--pictures"),
        (["--rounds=0"], "--rounds"),
        (["search", "--choose"], "runtimes"),
        (["--weights=/nowhere.onnx"], r"/nowhere\.onnx"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(arguments: list[str], named: str, pictures: Path) -> None:
    given = [] if any(argument.startswith("--pictures") for argument in arguments) else [f"--pictures={pictures}"]
    with pytest.raises(CommandError, match=named):
        run(*arguments, *given)
