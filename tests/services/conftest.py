"""A site of its own for tests with worker processes: its own data folder, its own database file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.services import servers

ROOT = Path(__file__).resolve().parents[2]


def wait_for(check: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.01)


@dataclass
class Site:
    """A data folder, the environment that points at it, and the processes started in it."""

    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def python(self, code: str) -> str:
        """What a Django process of the site prints when it runs the code."""
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def worker(self, app: str = "tests.services.tasks", pool: str = "solo") -> subprocess.Popen[bytes]:
        """A real worker on all queues, up and listening."""
        name = f"w{len(self.processes)}"
        log = self.folder / f"{name}.log"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "--pool", pool, "-n", f"{name}@test"]
        command += [
            "-Q",
            "gpu,cpu,default",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "-l",
            "INFO",
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )
        self.processes.append(process)
        wait_for(lambda: " ready." in log.read_text(errors="replace") or process.poll() is not None, 60, "worker ready")
        assert process.poll() is None, log.read_text(errors="replace")
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As a power cut would: no time for a last word."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill(process)


@contextmanager
def site_in(folder: Path, **environment: str) -> Iterator[Site]:
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    kept |= {"DATA_DIR": str(folder / "var"), "DJANGO_SETTINGS_MODULE": "retrieval_site.settings"}
    kept |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    site = Site(folder, kept)
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    try:
        with servers.redis() as url:
            yield url
    except servers.ServerMissing as reason:
        missing(str(reason))


@pytest.fixture(params=["filesystem", pytest.param("redis", marks=pytest.mark.redis)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site on the broker of plain files, then one on a real Redis."""
    extra = {"REDIS_URL": request.getfixturevalue("redis_url")} if request.param == "redis" else {}
    with site_in(tmp_path, **extra) as site:
        yield site
