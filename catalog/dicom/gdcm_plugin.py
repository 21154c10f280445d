"""GDCM behind a process boundary, as a decoder plugin of pydicom.

GDCM reads JPEG Lossless, JPEG Extended with 12 bits and JPEG-LS, which no other freely licensed library does together.
But damaged frames make it end its process (std::terminate), and it prints what it thinks of them. So it has a process
of its own: what kills that is one bad file, and what it prints goes nowhere.
"""

from __future__ import annotations

import atexit
import json
import os
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Timer

from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import (
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

SYNTAXES = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("python-gdcm",))  # pydicom's name for what a plugin needs
NAME = "gdcm_process"
TIMEOUT_S = 60.0
SCRIPT = Path(__file__).with_name("gdcm_process.py")


def is_available(uid: str) -> bool:
    """As pydicom asks its plugins."""
    return uid in SYNTAXES and find_spec("gdcm") is not None


def register() -> None:
    """Make the plugin known to pydicom, once."""
    for syntax in SYNTAXES:
        decoder = get_decoder(syntax)
        if NAME not in (*decoder.available_plugins, *decoder.missing_dependencies):
            decoder.add_plugin(NAME, (__name__, "decode_frame"))


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """One frame of samples, little endian, by pixel. Raises RuntimeError."""
    facts = {
        "columns": runner.columns,
        "rows": runner.rows,
        "samples": runner.samples_per_pixel,
        "bits_allocated": runner.bits_allocated,
        "bits_stored": runner.bits_stored,
        "representation": runner.pixel_representation,
        "photometric": str(runner.photometric_interpretation),
        "syntax": str(runner.transfer_syntax),
    }
    runner.set_option("planar_configuration", 0)
    return bytearray(_process.ask(json.dumps(facts).encode() + b"\n" + src))


class _Process:
    """One a process of ours, started when it is first wanted and again after it died."""

    def __init__(self) -> None:
        self._lock, self._owner = Lock(), 0
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, request: bytes) -> bytes:
        with self._lock:
            child = self._running()
            watch = Timer(TIMEOUT_S, child.kill)
            watch.start()
            try:
                return _answer(child, request)
            except (OSError, EOFError):
                self._end(child)
                raise RuntimeError("the decoder's process died") from None
            finally:
                watch.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._owner != os.getpid() or self._child.poll() is not None:
            command = [sys.executable, "-I", str(SCRIPT)]
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing)  # noqa: S603 - our own
            self._owner = os.getpid()
        return self._child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.wait()
        self._child = None

    def close(self) -> None:
        if self._child is not None and self._owner == os.getpid():
            self._end(self._child)


def _answer(child: subprocess.Popen[bytes], request: bytes) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(struct.pack("<I", len(request)) + request)
    child.stdin.flush()
    head = child.stdout.read(4)
    if len(head) < 4:
        raise EOFError
    found = child.stdout.read(struct.unpack("<I", head)[0])
    if not found:
        raise RuntimeError("the decoder gave no pixels")
    return found


_process = _Process()
atexit.register(_process.close)
