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
from tests.factories import picture


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
    assert benchmarking.names() == ["ann", "build", "extraction", "scale", "search"]


@pytest.mark.torch
def test_extraction_measures_both_sides_in_one_run(pictures: Path) -> None:
    rows = figures("extraction", f"--pictures={pictures}", "--limit=6", "--rounds=1")
    assert [row["side"].partition(",")[0] for row in rows[:2]] == ["resnet50", "color_gradient"]
    assert rows[-1]["side"].startswith("guide's loop")
    assert rows[-1]["times the loop"] == 1
    assert all(row["slowest round"] <= row["pictures/s"] <= row["fastest round"] for row in rows)


@pytest.mark.django_db
def test_search_measures_services_and_http_and_touches_nothing_here(pictures: Path) -> None:
    before = sorted(Path(site.DATA_DIR).rglob("*.sqlite3"))
    rows = figures("search", f"--pictures={pictures}", "--gallery=60", "--queries=5")
    assert {row["request through"] for row in rows} == {"services", "HTTP"}
    beyond = [row for row in rows if row["part"] == "beyond decode and network"]
    assert all(0 < row["median"] <= row["p95"] <= row["p99"] for row in beyond)
    assert not Collection.objects.exists()
    assert sorted(Path(site.DATA_DIR).rglob("*.sqlite3")) == before


def test_a_table_is_printed_for_people(pictures: Path) -> None:
    said = run("search", f"--pictures={pictures}", "--gallery=30", "--queries=2")
    assert "Search: milliseconds a request" in said
    assert "beyond decode and network" in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing"], "ann, build, extraction, scale, search"),
        (["--pictures=/nowhere"], "--pictures"),
        (["--rounds=0"], "--rounds"),
        (["--weights=/nowhere.onnx"], r"/nowhere\.onnx"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(arguments: list[str], named: str, pictures: Path) -> None:
    given = [] if any(argument.startswith("--pictures") for argument in arguments) else [f"--pictures={pictures}"]
    with pytest.raises(CommandError, match=named):
        run(*arguments, *given)
