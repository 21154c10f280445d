"""Embedding in processes that are killed, and in two at once."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

PICTURES = 240
FILL = f"""
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from catalog.models import Collection, Image
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from tests.factories import picture
collection = Collection.objects.create(name="lamps", slug="lamps")
for seed in range({PICTURES}):
    name = default_storage.save(f"images/{{seed}}.jpg", ContentFile(picture(seed)))
    known = dict(sha256=f"{{seed:064}}", size=1, width=96, height=72, format="JPEG")
    Image.objects.create(collection=collection, file=name, **known)
call_command("add_feature_model", "m", backbone="color_gradient")
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """The environment of a site of its own, with pictures that wait."""
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env |= {"DATA_DIR": str(tmp_path), "MEDIA_ROOT": str(tmp_path / "media"), "EXTRACTION_BATCH": "4"}
    env |= {"DJANGO_SETTINGS_MODULE": "retrieval_site.settings", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", FILL], env=env, cwd=ROOT, check=True, capture_output=True)
    return env


def embed(env: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "embed", "--collection=lamps", "--feature-model=m"]
    return subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(env: dict[str, str]) -> int:
    with sqlite3.connect(Path(env["DATA_DIR"]) / "db.sqlite3", timeout=30) as database:
        return int(database.execute("SELECT count(*) FROM search_embedding WHERE vector IS NOT NULL").fetchone()[0])


def said(process: subprocess.Popen[str]) -> int:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return int(re.search(r"(\d+) pictures embedded", out)[1])


def test_killed_in_the_middle_the_next_one_does_the_rest(site: dict[str, str]) -> None:
    first = embed(site)
    deadline = time.monotonic() + 60
    while rows(site) < 8 and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    kept = rows(site)
    assert 8 <= kept < PICTURES
    assert said(embed(site)) == PICTURES - kept
    assert rows(site) == PICTURES


def test_two_at_once_share_the_work_and_do_none_of_it_twice(site: dict[str, str]) -> None:
    both = [embed(site), embed(site)]
    assert sum(said(process) for process in both) == PICTURES
    assert rows(site) == PICTURES
