"""Pictures at URLs: a list of them, one a line, and the reader every source uses for one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from django.conf import settings

from catalog.fetch import BadUrl, fetch
from catalog.importers.errors import BadTable, NothingToImport
from catalog.importers.folder import readable
from catalog.importers.rows import REMOTE_SIZE, BadRow, Row, Source

MAX_URL = 1000


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def read_url(url: str) -> bytes:
    """The picture at ``url``, guarded. Raises a FetchError."""
    return fetch(
        url,
        max_bytes=settings.IMAGE_MAX_BYTES,
        timeout_s=settings.FETCH_TIMEOUT_S,
        allow_private=settings.FETCH_ALLOW_PRIVATE,
    )


class UrlSource(Source):
    """A text file: one URL a line, '#' begins a comment. One product a URL. Raises an ImportRefused."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise BadTable(name=name) from error
        stripped = ((number, line.strip()) for number, line in enumerate(lines, 1))
        self.urls = [(number, line) for number, line in stripped if line and not line.startswith("#")]
        self.total = len(self.urls)
        if not self.urls:
            raise NothingToImport(name=name)

    def __iter__(self) -> Iterator[Row | BadRow]:
        for number, url in self.urls:
            if not is_url(url) or len(url) > MAX_URL or "\0" in url:
                yield BadRow(number, url[:200], BadUrl())
                continue
            stem = PurePosixPath(unquote(urlsplit(url).path)).stem
            defaults = {"title": readable(stem)[:300].replace("\0", "")}
            read = partial(read_url, url)
            yield Row(number, url, read, sku=url_sku(url), defaults=defaults, size=REMOTE_SIZE, is_remote=True)


def url_sku(url: str) -> str:
    return url if len(url) <= 200 else hashlib.sha256(url.encode()).hexdigest()
