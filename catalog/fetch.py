"""Get a picture from a URL somebody typed, without letting them reach into our network. No Django.

The host is resolved once, every address is checked, and the connection goes to a checked address: what
the name resolves to a moment later does not matter. Redirects are followed by hand, each like a new URL.
"""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from catalog.addresses import is_public
from catalog.errors import LookalikeError, gettext_noop

MAX_REDIRECTS = 5
PORTS = {"http": 80, "https": 443}
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 64 * 1024
SAFE = "/%:@!$&'()*+,;=~?"  # left as they are in a path or query; the rest is percent-encoded
HEADERS = {"User-Agent": "Lookalike", "Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"}


class FetchError(LookalikeError):
    code = "fetch_failed"
    text = gettext_noop("The picture could not be fetched: the server does not answer as it should.")
    cure = gettext_noop("Open the address in a browser, save the picture and send the file.")


class BadUrl(FetchError):
    code = "bad_url"
    text = gettext_noop("This is not the address of a picture on the web.")
    cure = gettext_noop("Give one that begins with http:// or https://, without a user name.")


class BlockedAddress(FetchError):
    code = "blocked_address"
    text = gettext_noop("Pictures are not fetched from this address: it is not a public web server.")
    cure = gettext_noop("Send the file instead.")


class UnknownHost(FetchError):
    code = "unknown_host"
    text = gettext_noop("There is no server of this name.")
    cure = gettext_noop("Check the address.")


class BadAnswer(FetchError):
    text = gettext_noop("The server answered with status %(status)d instead of a picture.")
    cure = gettext_noop("Check the address.")


class TooManyRedirects(FetchError):
    text = gettext_noop("The address leads from one to the next without end.")
    cure = gettext_noop("Give the address of the picture itself.")


class FetchTimeout(FetchError):
    code = "fetch_timeout"
    text = gettext_noop("The server took longer than %(seconds)g seconds.")
    cure = gettext_noop("Try again later, or send the file.")


class FetchTooLarge(FetchError):
    code = "fetch_too_large"
    text = gettext_noop("The file at this address is too large: more than %(max_bytes)d bytes.")
    cure = gettext_noop("Give the address of a smaller copy.")
    status = 413


def fetch(url: str, *, max_bytes: int, timeout_s: float, allow_private: bool = False) -> bytes:
    """The body at ``url``: at most ``max_bytes`` decoded bytes, within ``timeout_s`` in all.

    ``allow_private`` lets any address and port through (for a catalog on the own network, and tests).
    Raises a FetchError.
    """
    deadline = _Deadline(timeout_s)
    for _ in range(MAX_REDIRECTS + 1):
        target = _parse(url, allow_private)
        addresses = _resolve(target, deadline, allow_private)
        body, location = _get(target, addresses, deadline, max_bytes)
        if location is None:
            return body
        url = _joined(url, location)
    raise TooManyRedirects


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise BadUrl from error


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str


def _parse(url: str, allow_private: bool) -> _Target:
    if any(ord(character) <= 32 or character in "\\\x7f" for character in url.strip()):
        raise BadUrl
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        host = host if ":" in host else host.encode("idna").decode()
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:  # also UnicodeError
        raise BadUrl from error
    if parts.scheme not in PORTS or not host or "@" in parts.netloc:
        raise BadUrl
    if port not in PORTS.values() and not allow_private:
        raise BlockedAddress
    path = quote(parts.path or "/", safe=SAFE)
    return _Target(parts.scheme, host, port, f"{path}?{quote(parts.query, safe=SAFE)}" if parts.query else path)


@dataclass
class _Deadline:
    """Cuts the connection when the time is up: a timeout per read would let a slow drip go on for ever."""

    seconds: float
    end: float = field(init=False)
    sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.seconds

    def left(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> FetchTimeout:
        return FetchTimeout(seconds=self.seconds)

    def watch(self, sock: socket.socket) -> None:
        # A duplicate of the descriptor: TLS takes the socket object over, the connection stays the same.
        self.sockets.append(sock.dup())

    def _cut(self) -> None:
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed already

    @contextmanager
    def watching(self) -> Iterator[None]:
        timer = threading.Timer(self.left(), self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            for sock in self.sockets:
                sock.close()
            self.sockets.clear()


def _resolve(target: _Target, deadline: _Deadline, allow_private: bool) -> list[str]:
    """Every address of the host, all of them checked. Resolving has no timeout of its own: a thread waits."""
    answer: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            answer.put([str(entry[4][0]) for entry in found])
        except (OSError, UnicodeError):
            answer.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        addresses = answer.get(timeout=deadline.left())
    except queue.Empty:
        raise deadline.error() from None
    if not addresses:
        raise UnknownHost
    if not allow_private and not all(is_public(address) for address in addresses):
        raise BlockedAddress
    return list(dict.fromkeys(addresses))


def _get(target: _Target, addresses: list[str], deadline: _Deadline, max_bytes: int) -> tuple[bytes, str | None]:
    """(body, None), or (b"", where it redirects to)."""
    connection = _connection(target, addresses, deadline)
    with deadline.watching():
        try:
            connection.request("GET", target.path, headers=HEADERS, preload_content=False)
            response = connection.getresponse()
            if response.status in REDIRECTS and response.headers.get("Location"):
                return b"", response.headers["Location"]
            if response.status != 200:
                raise BadAnswer(status=response.status)
            return _body(response, deadline, max_bytes), None
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, ValueError) as error:
            deadline.left()  # it was our own cut: say so
            raise FetchError from error
        finally:
            connection.close()


def _body(response: urllib3.HTTPResponse, deadline: _Deadline, max_bytes: int) -> bytes:
    if int(response.headers.get("Content-Length") or 0) > max_bytes:
        raise FetchTooLarge(max_bytes=max_bytes)
    body = bytearray()
    for chunk in response.stream(CHUNK, decode_content=True):
        body += chunk
        if len(body) > max_bytes:
            raise FetchTooLarge(max_bytes=max_bytes)
        deadline.left()
    deadline.left()  # a cut connection without a length looks like the end of the body
    return bytes(body)


def _connection(target: _Target, addresses: list[str], deadline: _Deadline) -> HTTPConnection:
    """A connection that keeps the host's name for Host, SNI and the certificate, but goes to ``addresses``."""
    base: type[HTTPConnection] = HTTPSConnection if target.scheme == "https" else HTTPConnection

    class Pinned(base):  # type: ignore[misc, valid-type]
        def _new_conn(self) -> socket.socket:
            sock = _dial(addresses, target.port, deadline)
            deadline.watch(sock)
            return sock

    options: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED"} if target.scheme == "https" else {}
    return Pinned(target.host, target.port, timeout=deadline.left(), **options)


def _dial(addresses: list[str], port: int, deadline: _Deadline) -> socket.socket:
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=deadline.left())
        except OSError:
            continue
    raise FetchError
