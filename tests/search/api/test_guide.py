"""The guide's examples, run as they stand against a real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog.models import Collection, Image, ImportJob, Product
from search.builds import index_for
from search.calibration import Calibration
from search.models import IndexBuild, Scope, SearchIndex
from tests.factories import picture

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "api.md"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
CURL = [text for kind, text in BLOCKS if kind == "sh" and "curl" in text]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def guided(
    gallery: Collection, make_key: Callable[..., str], live_server: Any, celery_eager: None, tmp_path: Path
) -> Callable[..., str]:
    """Run a command in a folder with the files the guide names; its output, if it succeeded."""
    (tmp_path / "lamp.jpg").write_bytes(picture(3))
    (tmp_path / "lamp-side.jpg").write_bytes(picture(5))
    index = index_for(gallery)
    made = Calibration("labels", (0.0, 1.0), (0.0, 1.0)).to_dict() | {"fingerprint": index.feature_model.fingerprint}
    SearchIndex.objects.filter(pk=index.pk).update(calibration=made)
    with zipfile.ZipFile(tmp_path / "lamps.zip", "w") as archive:
        archive.writestr("desk/new-1.jpg", picture(41))
        archive.writestr("desk/new-2.jpg", picture(42))
    environment = {**os.environ, "HOST": live_server.url, "KEY": make_key(Scope.ADMIN), "no_proxy": "*"}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def with_ids(block: str) -> str:
    """An example with ids that are there."""
    first, second, third = Image.objects.order_by("id").values_list("id", flat=True)[:3]
    block = re.sub(r'(image_id(?:": |=))1,', rf"\g<1>{first},", block)
    return re.sub(r"\blike(\W+)2\b", rf"like\g<1>{second}", re.sub(r"\bunlike(\W+)3\b", rf"unlike\g<1>{third}", block))


@pytest.fixture
def answers(guided: Callable[..., str]) -> Callable[[str], list[Any]]:
    """Run a shell block with curl; the JSON answers in it."""

    def run(block: str) -> list[Any]:
        script = with_ids(block).replace("curl -sS", "curl -sS -w '\\n'")
        return [json.loads(line) for line in guided("bash", "-ec", script).splitlines()]

    return run


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here: apt-get install curl")
@pytest.mark.parametrize("number", range(len(CURL)))
def test_curl(number: int, answers: Callable[[str], list[Any]]) -> None:
    Product.objects.update_or_create(collection=Collection.objects.get(slug="lamps"), sku="LAMP-12")
    got = answers(CURL[number])
    assert len(got) == CURL[number].count("curl ")
    assert not [answer for answer in got if answer.keys() == {"error"}]


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here: apt-get install curl")
def test_what_the_curl_examples_did(answers: Callable[[str], list[Any]]) -> None:
    by_file, by_id, by_feedback, by_files, products, image, builds = CURL[:7]
    (found,) = answers(by_file)
    assert found["hits"][0]["product"]["sku"] == "LAMP-2"
    (narrowed,) = answers(by_id)
    assert {hit["product"]["category"] for hit in narrowed["hits"]} == {"desk"}
    (fed_back,) = answers(by_feedback)
    assert fed_back["hits"]
    assert not {"LAMP-0", "LAMP-1", "LAMP-2"} & {hit["product"]["sku"] for hit in fed_back["hits"]}
    assert min(hit["probability"] for hit in fed_back["hits"]) >= 0.3
    (together,) = answers(by_files)
    assert together["hits"][0]["product"]["sku"] == "LAMP-4"
    assert together["timings_ms"]["expansion"] > 0
    assert [answer["stock"] for answer in answers(products)] == [7, 6]
    (added,) = answers(image)
    assert Image.objects.get(pk=added["id"]).product.sku == "LAMP-12"
    assert answers(builds)[0]["state"] == "queued"
    assert IndexBuild.objects.get(pk=answers(builds.splitlines()[2])[0]["results"][0]["id"]).state == "done"


def test_python(guided: Callable[..., str]) -> None:
    search, feedback, imports = PYTHON
    lines = guided(sys.executable, "-c", search).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("1 1.0 LAMP-2 http://")
    ranks = [line.split()[0] for line in guided(sys.executable, "-c", with_ids(feedback)).splitlines()]
    assert ranks == ["1", "2", "3"]
    assert guided(sys.executable, "-c", imports).splitlines()[-1] == "done 2 added, 0 known, 0 bad"
    assert ImportJob.objects.get().added == 2
