#!/usr/bin/env python3
"""Start the demo headless on a free port with data of its own, search it once over HTTP, stop it.

Checks that a held-out photo of a product finds that product among the first five, that the page
answers, and that nothing keeps running.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
QUERY = ROOT / "sample_catalog" / "query" / "csh-3-q1.jpg"
SKU = "CSH-3"
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 40


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310
        return answer.status, answer.read().decode()


def wait_until_up(demo: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if demo.poll() is not None:
            sys.exit(f"smoke: the demo ended with {demo.returncode}")
        try:
            if get(url)[0] == 200:
                return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"smoke: {url} did not answer within {START_TIMEOUT_S} s")


def search(address: str, picture: bytes) -> dict[str, Any]:
    """POST /api/v1/search/ as a visitor would: multipart, no key, a public collection."""
    edge = uuid.uuid4().hex
    parts = {"collection": b"sample-shop", "k": b"5"}
    body = b"".join(
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
        for name, value in parts.items()
    )
    body += f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="q.jpg"\r\n'.encode()
    body += b"Content-Type: image/jpeg\r\n\r\n" + picture + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(f"{address}api/v1/search/", body)  # noqa: S310
    request.add_header("Content-Type", f"multipart/form-data; boundary={edge}")
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


def running(data: str) -> dict[int, str]:
    """Command lines by process id of everything with our data folder in its environment (Linux)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"DATA_DIR={data}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # ended meanwhile, or another user's
            continue
    found.pop(os.getpid(), None)
    return {pid: line for pid, line in found.items() if line}


def stop(demo: subprocess.Popen[bytes]) -> int:
    """As Ctrl-C in a terminal does."""
    demo.send_signal(signal.SIGINT)
    try:
        return demo.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(demo.pid, signal.SIGKILL)
        sys.exit(f"smoke: the demo did not stop within {STOP_TIMEOUT_S} s")


def main() -> None:
    address = f"http://127.0.0.1:{free_port()}/"
    port = address.rsplit(":", 1)[1].strip("/")
    with tempfile.TemporaryDirectory(prefix="lookalike-smoke-") as data:
        environment = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
        environment["DATA_DIR"] = data
        command = [sys.executable, "manage.py", "demo", "--no-browser", "--port", port]
        demo = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)  # noqa: S603
        try:
            wait_until_up(demo, f"{address}healthz")
            checks = look(address)
        finally:
            code = stop(demo) if demo.poll() is None else demo.returncode
        checks["the demo stops when told to"] = code == 0
        checks["nothing keeps running"] = not running(data)
    for what, good in checks.items():
        print(f"  {'ok  ' if good else 'FAIL'} {what}")
    failed = sum(not good for good in checks.values())
    print(f"smoke: {len(checks) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def look(address: str) -> dict[str, bool]:
    """Name of each check and whether it held."""
    began = time.monotonic()
    hits = search(address, QUERY.read_bytes())["hits"]
    skus = [(hit["product"] or {}).get("sku") for hit in hits]
    print(f"  {QUERY.name} -> {' '.join(map(str, skus))} in {1000 * (time.monotonic() - began):.0f} ms")
    home, body = get(address)
    return {
        f"{SKU} is among the first five": SKU in skus,
        "the page answers": home == 200 and "Sample shop" in body,
        "the API's description answers": get(f"{address}api/v1/schema/")[0] == 200,
    }


if __name__ == "__main__":
    main()
