"""Weights: found, fetched once, checked always."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from search.extraction.errors import WeightsChanged, WeightsMissing, WeightsUnverified
from search.extraction.weights import locate

BODY = b"some numbers" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(HTTPServer):
    asked: list[str]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/gone.onnx":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:100] if self.path == "/cut.onnx" else BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(BODY)
    return path


def test_a_file_is_found_and_hashed(file: Path) -> None:
    assert locate(str(file), "", None) == (file, SHA256)
    assert locate(str(file), f" {SHA256.upper()} ", None)[1] == SHA256


def test_a_relative_path_is_looked_for_in_the_weights_folder(file: Path) -> None:
    assert locate("net.onnx", "", file.parent)[0] == file


def test_another_file_in_its_place_is_refused(file: Path) -> None:
    file.write_bytes(BODY + b"!")
    with pytest.raises(WeightsChanged, match=SHA256):
        locate(str(file), SHA256, None)


@pytest.mark.parametrize("weights", ["", "nowhere.onnx", "/nowhere/at/all.onnx"])
def test_a_missing_file_is_named(weights: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=weights or "-"):
        locate(weights, "", tmp_path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        locate(str(tmp_path), "", None)


@pytest.mark.parametrize("sha256", ["", "abc", SHA256[:-1]])
def test_a_url_needs_a_whole_sha256(server: Server, sha256: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnverified):
        locate(server.url("/net.onnx"), sha256, tmp_path)
    assert server.asked == []


def test_a_url_is_fetched_once_into_a_folder_that_need_not_be_there(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "weights"
    path, sha256 = locate(server.url("/net.onnx?token=1"), SHA256, folder)
    assert (path.read_bytes(), sha256, path.suffix) == (BODY, SHA256, ".onnx")
    assert locate(server.url("/net.onnx?token=1"), SHA256, folder)[0] == path
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("path", "error"), [("/other.onnx", WeightsChanged), ("/gone.onnx", WeightsMissing), ("/cut.onnx", WeightsMissing)]
)
def test_what_is_wrong_or_cut_leaves_nothing_behind(
    server: Server, tmp_path: Path, path: str, error: type[Exception]
) -> None:
    expected = "0" * 64 if path == "/other.onnx" else SHA256
    with pytest.raises(error):
        locate(server.url(path), expected, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="127"):
        locate("http://127.0.0.1:9/net.onnx", SHA256, tmp_path)
