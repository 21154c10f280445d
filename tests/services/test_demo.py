"""The demo: one a data folder, and all of it ends when one part does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.smoke import get, running
from tests.services.conftest import ROOT, wait_for
from tests.services.servers import free_port


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    return kept | {"DATA_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def started(environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    command = [sys.executable, "manage.py", "demo", "--no-browser", "--port", str(port)]
    with (tmp_path / "out").open("w") as out:
        demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out, text=True)
    try:
        wait_for(lambda: "Stop with Ctrl-C" in told(tmp_path) or demo.poll() is not None, 180, "the demo is up")
        yield demo, port
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(60)


def told(folder: Path) -> str:
    return (folder / "out").read_text()


def test_the_demo(started: tuple[subprocess.Popen[str], int], environment: dict[str, str], tmp_path: Path) -> None:
    demo, port = started
    assert demo.poll() is None, told(tmp_path)
    address = f"http://127.0.0.1:{port}/"
    assert address in told(tmp_path)
    assert "admin / " in told(tmp_path)
    assert get(f"{address}healthz")[0] == 200

    second = [sys.executable, "manage.py", "demo", "--no-browser", "--port", str(free_port())]
    refused = subprocess.run(second, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "running already" in refused.stderr
    same_port = [*second[:-1], str(port)]
    elsewhere = environment | {"DATA_DIR": str(tmp_path / "other")}
    refused = subprocess.run(same_port, cwd=ROOT, env=elsewhere, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"Port {port} is in use" in refused.stderr

    beats = [pid for pid, line in running(str(tmp_path)).items() if " beat " in line]
    assert len(beats) == 1
    os.kill(beats[0], signal.SIGKILL)
    assert demo.wait(60) == 1
    assert "'beat' ended by itself" in told(tmp_path)
    assert running(str(tmp_path)) == {}
