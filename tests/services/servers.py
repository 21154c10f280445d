"""Real servers for the length of a `with`: a private Postgres, a private Redis, a private Milvus.

Data in a temporary folder, a free port on the loopback address, nothing left when the block ends.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START_TIMEOUT_S = 60
MILVUS_PARTS = ("etcd", "root-coord", "proxy-internal", "query-coord", "query-node", "index-coord", "index-node",
                "data-coord", "data-node")  # fmt: skip


class ServerMissing(Exception):
    """The server's program is not installed, or did not come up; the text says which and what to do."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres() -> Iterator[str]:
    """The DATABASE_URL of a fresh cluster. Raises ServerMissing."""
    tools = _postgres_tools()
    account = _account()
    with _folder(account) as folder:
        data, port = folder / "data", free_port()
        log = (folder / "log").open("wb")
        _as(account, [tools / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
        fast = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        place = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(folder)]
        process = subprocess.Popen(
            [tools / "postgres", "-D", data, *place, *fast], user=account, stderr=log, stdout=log
        )
        ready = [tools / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        with log, _running(process, lambda: subprocess.run(ready, check=False).returncode == 0, folder / "log"):
            yield f"postgres://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def redis() -> Iterator[str]:
    """The REDIS_URL of a fresh server. Raises ServerMissing."""
    program = shutil.which("redis-server")
    if not program:
        raise ServerMissing("no Redis here: apt-get install redis-server")
    with _folder(None) as folder:
        port = free_port()
        log = (folder / "log").open("wb")
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        process = subprocess.Popen([program, *options], stdout=log, stderr=log)
        with log, _running(process, lambda: _answers(port), folder / "log"):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def milvus() -> Iterator[str]:
    """The MILVUS_URI of a fresh server of the PyPI package ``milvus``. Raises ServerMissing.

    Its programs are unpacked into the data folder, 300 MB.
    """
    program = Path(sys.executable).with_name("milvus-server")
    if not program.is_file():
        raise ServerMissing("no Milvus here: pip install milvus (Linux on x86-64)")
    with _folder(None) as data:
        port = free_port()
        log = (data / "log").open("wb")
        options = ["--data", str(data / "milvus"), "--proxy-port", str(port)]
        options += [f"--{part}-port={free_port()}" for part in MILVUS_PARTS]
        environment = {**os.environ, "ETCD_CONFIG_PATH": str(_etcd_of_milvus(data, options))}
        process = subprocess.Popen([program, *options], stdout=log, stderr=log, env=environment, start_new_session=True)
        with log, _group(process), _running(process, lambda: _serves_milvus(port), data / "log"):
            yield f"http://127.0.0.1:{port}"


def _etcd_of_milvus(data: Path, options: list[str]) -> Path:
    """Its store would listen on port 2380, so that one machine could run one server only."""
    client = next(option.partition("=")[2] for option in options if option.startswith("--etcd-port"))
    peer = f"http://127.0.0.1:{free_port()}"
    lines = [
        f"listen-client-urls: http://127.0.0.1:{client}",
        f"advertise-client-urls: http://127.0.0.1:{client}",
        f"listen-peer-urls: {peer}",
        f"initial-advertise-peer-urls: {peer}",
        f"initial-cluster: default={peer}",
    ]
    path = data / "etcd.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _serves_milvus(port: int) -> bool:
    from pymilvus import MilvusClient

    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            pass
        milvus = MilvusClient(uri=f"http://127.0.0.1:{port}", timeout=2, dedicated=True)
        milvus.list_collections(timeout=2)
        milvus.close()
    except Exception:  # it listens before it can answer, and says so in many ways
        return False
    return True


@contextmanager
def _group(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The launcher leaves its server behind when it is terminated: end both."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def _postgres_tools() -> Path:
    """Debian keeps the server's programs off the PATH, a folder a version."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    found = versions[-1] if versions else shutil.which("initdb")
    if not found:
        raise ServerMissing("no Postgres here: apt-get install postgresql")
    return Path(found).parent


def _account() -> str | None:
    """Postgres refuses to run as root: take the account that Debian's package made."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise ServerMissing("Postgres does not run as root and there is no account 'postgres'") from None


def _as(account: str | None, command: list[object]) -> None:
    done = subprocess.run([str(part) for part in command], user=account, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerMissing(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


@contextmanager
def _folder(account: str | None) -> Iterator[Path]:
    # /tmp and not $TMPDIR: a socket's path may have 107 characters, and another account must reach it
    folder = Path(tempfile.mkdtemp(prefix="lookalike-", dir="/tmp"))
    try:
        if account:
            shutil.chown(folder, account)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> Iterator[None]:
    try:
        end = time.monotonic() + START_TIMEOUT_S
        while not answers():
            if process.poll() is not None or time.monotonic() > end:
                raise ServerMissing(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()  # Postgres: waits for its clients; ours have gone or are cut off below
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.send_signal(2)
            process.wait(20)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as line:
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
    except OSError:
        return False
