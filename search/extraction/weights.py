"""Weights as a file whose SHA-256 is known: found, or fetched once and checked."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import urllib3

from search.extraction.errors import WeightsChanged, WeightsMissing, WeightsUnverified

CHUNK = 1 << 20
MAX_BYTES = 8 << 30
TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_url(weights: str) -> bool:
    return weights.lower().startswith(("http://", "https://"))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locate(weights: str, sha256: str, weights_dir: Path | None) -> tuple[Path, str]:
    """The file and its SHA-256.

    A path that is not absolute is looked for in ``weights_dir`` first. A URL is downloaded into it,
    once, and only with a SHA-256. Raises WeightsMissing, WeightsUnverified, WeightsChanged.
    """
    expected = sha256.strip().lower()
    path = _downloaded(weights, expected, weights_dir) if is_url(weights) else _found(weights, weights_dir)
    found = sha256_of(path)
    if expected and found != expected:
        raise WeightsChanged(what=weights, expected=expected, found=found)
    return path, found


def _found(weights: str, weights_dir: Path | None) -> Path:
    if not weights:
        raise WeightsMissing(weights="-", reason="no path or URL was given")
    path = Path(weights).expanduser()
    candidates = [path] if path.is_absolute() or weights_dir is None else [weights_dir / path, path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise WeightsMissing(weights=weights, reason="no such file")


def _downloaded(url: str, sha256: str, weights_dir: Path | None) -> Path:
    if not _SHA256.fullmatch(sha256):
        raise WeightsUnverified(weights=url)
    if weights_dir is None:
        raise WeightsMissing(weights=url, reason="there is no folder to download into")
    path = weights_dir / f"{sha256[:16]}-{Path(urlsplit(url).path).name or 'weights'}"
    if not path.is_file():
        weights_dir.mkdir(parents=True, exist_ok=True)
        _download(url, sha256, path)
    return path


def _download(url: str, sha256: str, path: Path) -> None:
    """Fetch into a file beside ``path`` and rename it only once it is whole, checked and on the disk."""
    handle, name = tempfile.mkstemp(prefix=".download-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            found = _fetch(url, file)
            file.flush()
            os.fsync(file.fileno())
        if found != sha256:
            raise WeightsChanged(what=url, expected=sha256, found=found)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _fetch(url: str, file: IO[bytes]) -> str:
    """Write the body of ``url`` to ``file``; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    try:
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", url, preload_content=False, timeout=TIMEOUT, redirect=True)
            if response.status != 200:
                raise WeightsMissing(weights=url, reason=f"the server answered {response.status}")
            for chunk in response.stream(CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise WeightsMissing(weights=url, reason="the file is larger than 8 GiB")
                digest.update(chunk)
                file.write(chunk)
    except urllib3.exceptions.HTTPError as error:
        raise WeightsMissing(weights=url, reason=str(error)) from error
    return digest.hexdigest()
