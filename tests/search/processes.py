"""Python processes with a database, pictures and indexes of their own: to kill, and to fill with threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def start(code: str, data_dir: Path) -> subprocess.Popen[str]:
    """Run ``code`` after Django's set-up, on SQLite in ``data_dir``."""
    environment = {**os.environ, "DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": "retrieval_site.settings"}
    for name in ("DATABASE_URL", "REDIS_URL", "INDEX_ROOT", "MEDIA_ROOT", "WEIGHTS_ROOT"):
        environment.pop(name, None)
    program = [sys.executable, "-c", f"import django\ndjango.setup()\n{code}"]
    return subprocess.Popen(
        program, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen[str], timeout_s: float = 120) -> Any:
    """What its last line says, in JSON."""
    try:
        out, error = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, error
    return json.loads(out.splitlines()[-1])
