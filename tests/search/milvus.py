"""A Milvus server for tests: the real one of the PyPI package, or milvus-lite in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from search.indexes import milvus_server
from search.indexes.milvus_server import Server


@contextmanager
def using(uri: str, prefix: str = "test") -> Iterator[Server]:
    """The core, without settings, on that server."""
    server, before = Server(uri, prefix=prefix), milvus_server._provider
    milvus_server.use(lambda: server)
    try:
        yield server
    finally:
        milvus_server.use(before)
        milvus_server.close()
        if uri and not uri.startswith("http"):
            _release_lite(uri)


def _release_lite(path: str) -> None:
    """Now, and not when the process ends: it would log to what pytest has closed by then."""
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(path)


class Line:
    """A line to a server that can be cut and mended: what a client sees of a server that stops and starts."""

    def __init__(self, uri: str) -> None:
        host, _, port = uri.rpartition("/")[2].partition(":")
        self._server, self._open, self._lock = (host, int(port)), set[socket.socket](), threading.Lock()
        self._listener: socket.socket | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self._port}"

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener is not None
        with self._lock, suppress(OSError):
            for each in (self._listener, *self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection(self._server)
                with self._lock:
                    self._open |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
