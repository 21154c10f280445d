"""Fetching from URLs, against a real HTTP server."""

from __future__ import annotations

import gzip
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from catalog import fetch as fetching
from catalog.fetch import fetch
from tests.catalog.helpers import body, redirect, web_server

DATA = b"picture" * 100


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(65536))


def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A byte now and then: no single read ever times out."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_headers(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip_forever(handler)


def drip_forever(handler: http.server.BaseHTTPRequestHandler) -> None:
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def silent(handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def short(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)


def told(handler: http.server.BaseHTTPRequestHandler) -> None:
    """What the server was asked, as its answer."""
    body(f"{handler.path} {handler.headers['Host']}".encode())(handler)


def chunked(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(10):
        handler.wfile.write(b"5\r\nhello\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def raw(answer: bytes) -> Any:
    """Whatever a server may send instead of HTTP."""
    return lambda handler: handler.wfile.write(answer)


NO_HTTP = {
    "/no-status": raw(b"HELLO\r\n\r\n"),
    "/other-version": raw(b"HTTP/9.9 200 OK\r\n\r\n"),
    "/long-header": raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"),
    "/many-headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 300 + b"\r\n"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    packed = gzip.compress(bytes(10_000_000))
    answers = {
        "/ok": body(DATA),
        "/told": told,
        "/%E7%8C%AB.jpg": told,
        "/r": redirect("/ok"),
        "/r2": redirect("r"),
        "/loop": redirect("/loop"),
        "/to-file": redirect("file:///etc/passwd"),
        "/to-private": redirect("http://10.0.0.1/secret"),
        "/to-metadata": redirect("http://169.254.169.254/latest/meta-data/"),
        "/to-port": redirect("http://127.0.0.1:22/"),
        "/endless": endless,
        "/drip": drip,
        "/drip-headers": drip_headers,
        "/silent": silent,
        "/short": short,
        "/chunked": chunked,
        "/gzip": body(gzip.compress(DATA), Content_Encoding="gzip"),
        "/gzip-bomb": body(packed, Content_Encoding="gzip"),
        "/error": body(b"", 500),
        "/to-nowhere": redirect("http://["),
        **NO_HTTP,
    }
    with web_server(answers) as root:
        yield root


def get(url: str, **options: Any) -> bytes:
    return fetch(url, **{"max_bytes": 1_000_000, "timeout_s": 5, "allow_private": True, **options})


@pytest.fixture
def only_loopback(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """The rules as they are, but with the test's server standing for a public one."""
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setitem(fetching.PORTS, "http", int(server.rsplit(":", 1)[1]))


class TestAnswers:
    @pytest.mark.parametrize("path", ["/ok", "/r", "/r2", "/gzip"])
    def test_body(self, server: str, path: str) -> None:
        assert get(server + path) == DATA

    def test_chunked(self, server: str) -> None:
        assert get(server + "/chunked") == b"hello" * 10

    def test_path_query_and_host(self, server: str) -> None:
        host = server.removeprefix("http://")
        assert get(server + "/told?a=1&b=%20c#fragment").decode() == f"/told?a=1&b=%20c {host}"
        assert get(server + "/猫.jpg").decode() == f"/%E7%8C%AB.jpg {host}"

    @pytest.mark.parametrize("path", NO_HTTP)
    def test_what_is_no_http_is_an_error_like_any(self, server: str, path: str) -> None:
        with pytest.raises(fetching.FetchError):
            get(server + path)

    def test_a_redirect_to_no_address_at_all(self, server: str) -> None:
        with pytest.raises(fetching.BadUrl):
            get(server + "/to-nowhere")

    @pytest.mark.parametrize("path", ["/error", "/missing"])
    def test_status(self, server: str, path: str) -> None:
        with pytest.raises(fetching.BadAnswer, match=r"status (500|404)"):
            get(server + path)

    def test_cut_body_is_no_picture(self, server: str) -> None:
        with pytest.raises(fetching.FetchError):
            get(server + "/short")

    def test_nobody_listens(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(fetching.FetchError):
            get(f"http://127.0.0.1:{port}/")

    def test_unknown_host(self) -> None:
        with pytest.raises((fetching.UnknownHost, fetching.FetchTimeout)):
            get("http://no-such-host.invalid/")

    def test_proxies_are_not_used(self, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert get(server + "/ok") == DATA


class TestCaps:
    def test_endless_body(self, server: str) -> None:
        with pytest.raises(fetching.FetchTooLarge) as caught:
            get(server + "/endless")
        assert caught.value.status == 413

    def test_bytes_are_counted_decoded(self, server: str) -> None:
        with pytest.raises(fetching.FetchTooLarge):
            get(server + "/gzip-bomb")

    def test_exactly_the_limit(self, server: str) -> None:
        assert get(server + "/ok", max_bytes=len(DATA)) == DATA
        with pytest.raises(fetching.FetchTooLarge):
            get(server + "/ok", max_bytes=len(DATA) - 1)

    @pytest.mark.parametrize("path", ["/drip", "/drip-headers", "/silent"])
    def test_total_time(self, server: str, path: str) -> None:
        started = time.monotonic()
        with pytest.raises(fetching.FetchTimeout, match=r"longer than 0\.5 seconds"):
            get(server + path, timeout_s=0.5)
        assert time.monotonic() - started < 2.5

    def test_tls_handshake_counts(self) -> None:
        """A server that accepts and says nothing holds nobody."""
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            started = time.monotonic()
            with pytest.raises(fetching.FetchTimeout):
                get(f"https://127.0.0.1:{mute.getsockname()[1]}/", timeout_s=0.5)
            assert time.monotonic() - started < 2.5


class TestGuards:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "picture.jpg",
            "/etc/passwd",
            "file:///etc/passwd",
            "ftp://example.com/a.jpg",
            "gopher://example.com/",
            "data:image/png;base64,AAAA",
            "http://",
            "http:///a.jpg",
            "http://user@example.com/",
            "http://user:password@example.com/",
            "http://example.com\\@127.0.0.1/",
            "http://exam ple.com/",
            "http://example.com/\r\nHost: other",
            "http://example.com:99999/",
            "http://example.com:port/",
            "http://" + "a" * 300 + ".com/",
        ],
    )
    def test_bad_urls(self, url: str) -> None:
        with pytest.raises(fetching.BadUrl):
            fetch(url, max_bytes=100, timeout_s=2)

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://10.1.2.3/",
            "https://192.168.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[fd00:ec2::254]/",
            "http://100.64.0.1/",
            "http://224.0.0.1/",
        ],
    )
    def test_blocked(self, url: str) -> None:
        with pytest.raises(fetching.BlockedAddress, match="not a public web server"):
            fetch(url, max_bytes=100, timeout_s=2)

    def test_other_ports(self) -> None:
        with pytest.raises(fetching.BlockedAddress):
            fetch("http://93.184.215.14:8080/", max_bytes=100, timeout_s=2)

    def test_one_bad_address_of_several_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer = [(2, 1, 6, "", ("93.184.215.14", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: answer)
        with pytest.raises(fetching.BlockedAddress):
            fetch("http://two-faced.example/", max_bytes=100, timeout_s=2)

    def test_the_name_is_resolved_once(self, server: str, only_loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """DNS rebinding: a second answer, whatever it is, is never asked for."""
        asked = []
        real = socket.getaddrinfo

        def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host != "rebinding.example":
                return real(host, *args, **kwargs)
            asked.append(host)
            return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", 80))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = server.replace("127.0.0.1", "rebinding.example") + "/told"
        assert get(url, allow_private=False).decode() == f"/told {url.removeprefix('http://').removesuffix('/told')}"
        assert asked == ["rebinding.example"]


class TestRedirects:
    def test_allowed_to_allowed(self, server: str, only_loopback: None) -> None:
        assert get(server + "/r2", allow_private=False) == DATA

    @pytest.mark.parametrize("path", ["/to-private", "/to-metadata", "/to-port"])
    def test_allowed_to_blocked(self, server: str, only_loopback: None, path: str) -> None:
        with pytest.raises(fetching.BlockedAddress):
            get(server + path, allow_private=False)

    def test_to_another_scheme(self, server: str) -> None:
        with pytest.raises(fetching.BadUrl):
            get(server + "/to-file")

    def test_without_end(self, server: str) -> None:
        with pytest.raises(fetching.TooManyRedirects):
            get(server + "/loop")


class TestTls:
    def test_certificate_is_checked(self, tmp_path: Any) -> None:
        """A server with a certificate nobody vouches for is not believed."""
        openssl = pytest.importorskip("shutil").which("openssl")
        if not openssl:
            pytest.skip("no openssl command to make a certificate with")
        certificate = _self_signed(openssl, tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            port = listening.getsockname()[1]
            threading.Thread(target=_shake_hands, args=(listening, context), daemon=True).start()
            with pytest.raises(fetching.FetchError) as caught:
                get(f"https://localhost:{port}/")
        assert "certificate verify failed" in str(caught.value.__cause__)


def _shake_hands(listening: socket.socket, context: ssl.SSLContext) -> None:
    try:
        connection, _ = listening.accept()
        with context.wrap_socket(connection, server_side=True):
            pass
    except OSError:
        pass  # the client refused, as it should


def _self_signed(openssl: str, folder: Any) -> tuple[str, str]:
    import subprocess

    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key
