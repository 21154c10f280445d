"""The site's web process as the demo starts it, and a client that asks it over a socket."""

from __future__ import annotations

import http.client
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections
from django.urls import reverse

from search import demo
from search.supervision import Children

HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Site:
    """One connection, kept open, and the processes behind it."""

    connection: http.client.HTTPConnection
    headers: dict[str, str]
    pid: int
    address: str

    def search(self, body: bytes, boundary: str) -> tuple[float, dict[str, Any]]:
        """Milliseconds from the request to the whole answer, and the answer."""
        headers = {**self.headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        start = time.perf_counter()
        self.connection.request("POST", self.address, body, headers)
        response = self.connection.getresponse()
        data = response.read()
        took = 1000 * (time.perf_counter() - start)
        if response.status != 200:
            raise RuntimeError(f"The search answered {response.status}: {data[:500]!r}")
        return took, json.loads(data)

    def cpu_s(self) -> float:
        """Seconds of processor that the web process took so far."""
        return sum(map(_cpu_s, (self.pid, *_children(self.pid))))


@contextmanager
def started(logs: Path, key: str) -> Iterator[Site]:
    """gunicorn with the command of the demo, on a free port; ``key``: an API key."""
    from socket import create_server

    with create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    connections.close_all()
    with Children(logs) as children:
        children.start("web", demo.commands(HOST, port)["web"], demo.environment(), Path(settings.BASE_DIR))
        children.wait_until_answers(f"http://{HOST}:{port}/healthz", START_TIMEOUT_S)
        connection = http.client.HTTPConnection(HOST, port, timeout=60)
        headers = {"Authorization": f"Bearer {key}"}
        yield Site(connection, headers, children.running["web"].pid, reverse("api:search"))
        connection.close()


def form(fields: dict[str, str], picture: bytes) -> tuple[bytes, str]:
    """A multipart body, and its boundary."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = "".join(parts) + (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="query.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + picture + f"\r\n--{boundary}--\r\n".encode(), boundary


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
