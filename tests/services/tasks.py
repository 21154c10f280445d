"""Tasks for tests of the broker, sent and run through the project's own Celery application."""

from __future__ import annotations

import os
import time
from pathlib import Path

from retrieval_site.celery import app


@app.task(name="tests.note")
def note(path: str, sent: float) -> None:
    """Write down how many seconds the task took to start, and in which process."""
    Path(path).write_text(f"{time.time() - sent} {os.getpid()}")


@app.task(name="tests.linger")
def linger(path: str) -> None:
    """Count this start, then work on until the gate file is there."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    end = time.monotonic() + 120
    while not Path(path + ".gate").exists() and time.monotonic() < end:
        time.sleep(0.05)
    Path(path + ".done").touch()
