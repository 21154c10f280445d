"""``manage.py import_catalog``: what it prints, and its exit status."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Benchmark, Collection, Image
from tests.catalog.helpers import layout_files, write_tree, write_zip
from tests.factories import picture

pytestmark = pytest.mark.django_db


def run(path: Path, *options: str) -> tuple[int, str]:
    out = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("import_catalog", str(path), *options, stdout=out)
    return int(caught.value.code or 0), out.getvalue()


def test_all_good(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "in", {"mugs/a.jpg": picture(1), "mugs/b.jpg": picture(2)})
    assert run(path, "--collection", "My Shop", "--public") == (0, "my-shop: 2 added, 0 known, 0 bad\n")
    assert Collection.objects.get(slug="my-shop").is_public
    assert run(path, "--collection", "my-shop") == (0, "my-shop: 0 added, 2 known, 0 bad\n")


def test_some_bad(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "in", {"a.jpg": picture(1), "b.jpg": b"text"})
    status, printed = run(path, "--collection", "shop")
    assert status == 2
    assert "1 added, 0 known, 1 bad" in printed
    report = Path(printed.split("Bad rows: ")[1].strip())
    assert "b.jpg,unsupported_format," in report.read_text("utf-8-sig")


@pytest.mark.parametrize(
    ("files", "words"), [({}, "There are no pictures"), ({"readme.txt": "hello"}, "There are no pictures")]
)
def test_empty_archive(tmp_path: Path, files: dict[str, bytes], words: str, capsys: Any) -> None:
    status, printed = run(write_zip(tmp_path / "x.zip", files), "--collection", "shop")
    assert status == 1
    assert "0 added" in printed
    assert words in capsys.readouterr().err


def test_only_bad(tmp_path: Path) -> None:
    assert run(write_tree(tmp_path / "in", {"a.jpg": b"text"}), "--collection", "shop")[0] == 1


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file or folder") as caught:
        call_command("import_catalog", str(tmp_path / "nope"), "--collection", "shop")
    assert caught.value.returncode == 1


def test_json(tmp_path: Path) -> None:
    status, printed = run(write_tree(tmp_path / "in", {"a.jpg": picture(1)}), "--collection", "杯子", "--json")
    outcome = json.loads(printed)
    assert status == 0
    assert outcome["collection"].startswith("c-")
    assert (outcome["state"], outcome["added"], outcome["known"], outcome["bad"]) == ("done", 1, 0, 0)
    assert outcome["report"] is None


def test_benchmark_from_classes(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "in", {"mugs/a.jpg": picture(1), "lamps/b.jpg": picture(2)})
    _, printed = run(path, "--collection", "shop", "--benchmark", "classes", "--relevance", "category")
    assert "Benchmark classes: 2 queries" in printed
    assert Benchmark.objects.get().relevance == "category"


def test_role(tmp_path: Path) -> None:
    run(write_tree(tmp_path / "in", {"a.jpg": picture(1)}), "--collection", "shop", "--role", "query")
    assert Image.objects.get().role == "query"


def test_layout(tmp_path: Path) -> None:
    status, _ = run(write_tree(tmp_path / "guide", layout_files()), "--collection", "guide")
    assert status == 0
    assert Benchmark.objects.get().queries.count() == 2
