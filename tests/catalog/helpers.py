"""Files made by the tests of the catalog: pictures with every pitfall, archives, folders, a web server."""

from __future__ import annotations

import http.server
import io
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from django.core.files import File
from django.core.files.storage import Storage
from PIL import Image

from tests.factories import picture

QUADRANTS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))  # top left, top right, bottom left, bottom right


def quadrants(width: int = 60, height: int = 40) -> Image.Image:
    """A picture whose every orientation is told by its four colours."""
    pixels = np.zeros((height, width, 3), np.uint8)
    half_w, half_h = width // 2, height // 2
    pixels[:half_h, :half_w], pixels[:half_h, half_w:] = QUADRANTS[0], QUADRANTS[1]
    pixels[half_h:, :half_w], pixels[half_h:, half_w:] = QUADRANTS[2], QUADRANTS[3]
    return Image.fromarray(pixels)


def encode(image: Image.Image, format: str, **save: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **save)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *, depth: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG by hand: any size may be claimed, whatever is in it. ``pixels`` includes the filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [png_chunk(b"IHDR", header), extra, png_chunk(b"IDAT", zlib.compress(pixels)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bomb() -> bytes:
    """Under 2 kB that claim 40,000 x 30,000 pixels."""
    return png(40_000, 30_000, bytes(100_000))


def without_segment(jpeg: bytes, marker: int) -> bytes:
    """A JPEG without its segments of this marker (0xEE: Adobe's)."""
    out, at = bytearray(jpeg[:2]), 2
    while jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] != marker:
            out += jpeg[at : at + length]
        at += length
    return bytes(out + jpeg[at:])


def write_tree(root: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def write_zip(path: Path, files: Mapping[str, bytes | str], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", options.pop("compression", zipfile.ZIP_DEFLATED)) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def layout_files() -> dict[str, bytes | str]:
    """The guide's layout: two queries, three gallery pictures, labels of four kinds."""
    return {
        "query/mug.jpg": picture(100),
        "query/lamp.jpg": picture(101),
        "database/mugs/red.jpg": picture(1),
        "database/mugs/blue.jpg": picture(2),
        "database/lamp.jpg": picture(3),
        "ground_truth.csv": "query,image,grade\n"
        "mug.jpg,mugs/red.jpg,positive\n"
        "query/mug.jpg,database/mugs/blue.jpg,ok\n"
        "lamp.jpg,lamp.jpg,good\n"
        "lamp.jpg,mugs/red.jpg,distractor\n",
    }


class RemoteStorage(Storage):
    """As object storage: files have no path on this machine."""

    files: ClassVar[dict[str, bytes]] = {}

    def _open(self, name: str, mode: str = "rb") -> File:
        return File(io.BytesIO(self.files[name]), name)

    def _save(self, name: str, content: File) -> str:
        self.files[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in self.files

    def delete(self, name: str) -> None:
        self.files.pop(name, None)


def remote(storages: dict[str, Any]) -> dict[str, Any]:
    """The setting STORAGES with an empty RemoteStorage for pictures."""
    RemoteStorage.files.clear()
    return {**storages, "default": {"BACKEND": f"{__name__}.RemoteStorage"}}


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def web_server(answers: Mapping[str, Answer]) -> Iterator[str]:
    """A real HTTP server on a free port of 127.0.0.1; ``answers`` by path. Yields its root URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.split("?")[0])
            try:
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)
            except OSError:
                pass  # the client hung up, as it should

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def body(data: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def redirect(location: str) -> Answer:
    return body(b"", 302, Location=location)
