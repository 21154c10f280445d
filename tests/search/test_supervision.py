"""Processes that live and die together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.supervision import ChildEnded, Children, NotAnswering, PortBusy, check_port

FOREVER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"]  # fmt: skip  # noqa: E501


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The block ends with signals ignored; the test run wants its own back."""
    kept = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    yield
    for name, handler in kept.items():
        signal.signal(name, handler)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(check: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_all_end_with_the_block(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("one", FOREVER, os.environ, tmp_path)
        children.start("two", FOREVER, os.environ, tmp_path)
        pids = [process.pid for process in children.running.values()]
        wait_for(lambda: all("up" in children.log(name).read_text() for name in ("one", "two")))
        children.check()
    assert not any(alive(pid) for pid in pids)


def test_one_that_does_not_listen_is_made_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.supervision.STOP_TIMEOUT_S", 0.3)
    with Children(tmp_path) as children:
        children.start("deaf", DEAF, os.environ, tmp_path)
        pid = children.running["deaf"].pid
        wait_for(lambda: "up" in children.log("deaf").read_text())
    assert not alive(pid)


def test_grandchildren_end_too(tmp_path: Path) -> None:
    code = f"import subprocess, time; p = subprocess.Popen({DEAF!r}); print(p.pid, flush=True); time.sleep(600)"
    with Children(tmp_path) as children:
        children.start("parent", [sys.executable, "-c", code], os.environ, tmp_path)
        wait_for(lambda: "up" in children.log("parent").read_text())
        pid = int(children.log("parent").read_text().split()[0])
        assert alive(pid)
    wait_for(lambda: not alive(pid))


def test_an_early_end_is_told_with_its_last_words(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("poor", [sys.executable, "-c", "raise SystemExit('no disk left')"], os.environ, tmp_path)
        with pytest.raises(ChildEnded, match="no disk left"):
            children.wait_until_answers("http://127.0.0.1:9/", 20)


def test_silence_is_told(tmp_path: Path) -> None:
    with Children(tmp_path) as children, pytest.raises(NotAnswering):
        children.wait_until_answers("http://127.0.0.1:9/", 0.3)


def test_a_busy_port_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortBusy, match=str(port)):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the children")
def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, time, pathlib\n"
        "from search.supervision import Children\n"
        f"with Children(pathlib.Path({str(tmp_path)!r})) as children:\n"
        f"    children.start('child', {FOREVER!r}, os.environ, pathlib.Path('.'))\n"
        "    print(children.running['child'].pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_for(lambda: "up" in (tmp_path / "child.log").read_text())
        parent.kill()
    wait_for(lambda: not alive(pid))
