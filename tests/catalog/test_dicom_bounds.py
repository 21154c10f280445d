"""Hostile files: refused with their cause, in bounded time and memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, MPEG2MPML, UID, JPEGBaseline8Bit, RLELossless

from catalog.dicom import errors
from catalog.dicom.codestream import codestream_size
from catalog.dicom.pixels import frame_read
from catalog.dicom.reading import dicom_open
from catalog.images import Limits, PictureError, TooManyPixels, decode
from tests.catalog.dicom_files import dataset, made, ramp, written
from tests.factories import picture

SMALL = Limits(max_bytes=1024 * 1024, max_pixels=10_000, max_frames=50)
META = b"\0" * 128 + b"DICM"


@contextmanager
def frugal(megabytes: int = 60, seconds: float = 20) -> Iterator[None]:
    """Within so much memory, and a time that is generous for a busy machine."""
    started = time.perf_counter()
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1024 * 1024
    assert time.perf_counter() - started < seconds


def refused(data: bytes, expected: type[PictureError], limits: Limits = SMALL) -> PictureError:
    with frugal(), pytest.raises(PictureError) as caught:
        decode(data, limits=limits)
    assert type(caught.value) is expected, caught.value
    return caught.value


def outcome(data: bytes, *, text: bool = False) -> str:
    """``picture``, or the code (the text) of the error."""
    try:
        decode(data, limits=SMALL)
    except PictureError as error:
        return str(error) if text else error.code
    return "picture"


def deflated(body: bytes) -> bytes:
    syntax = b"1.2.840.10008.1.2.1.99"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return META + meta + packer.compress(body) + packer.flush()


def compressed(frame: bytes, syntax: UID, **tags: object) -> bytes:
    ds = dataset(np.zeros((16, 16), np.uint8), **tags)
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True
    return written(ds, syntax)


def test_a_deflated_bomb_is_not_inflated() -> None:
    bomb = deflated(b"\0" * 300_000_000)
    assert len(bomb) < 400_000
    refused(bomb, errors.DicomTooLarge)


def test_deflation_that_breaks_off() -> None:
    refused(deflated(b"\x08\0\x16\0UI\x02\x001\0" * 900)[:-9], errors.BrokenDicom)


def test_dimensions() -> None:
    huge = made(np.zeros((4, 4), np.uint8), Rows=65535, Columns=65535)
    error = refused(huge, TooManyPixels)
    assert error.params == {"pixels": 65535 * 65535, "max_pixels": 10_000}
    for tags in ({"Rows": 0}, {"Columns": 0}):
        refused(made(np.zeros((4, 4), np.uint8), **tags), errors.BrokenDicom)


def test_frames_that_are_not_there() -> None:
    error = refused(made(np.zeros((4, 4), np.uint8), NumberOfFrames=10**9), errors.TooManyFrames)
    assert error.params["frames"] == 10**9
    error = refused(made(np.zeros((4, 4), np.uint8), NumberOfFrames=40), errors.TruncatedDicom)
    assert error.params == {"found": 16, "expected": 640}


def test_sequences_in_sequences() -> None:
    open_item = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    refused(META + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0" + open_item * 20_000, errors.BrokenDicom)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000, RLELossless])
def test_fragments_that_break_off(syntax: UID) -> None:
    frame = {
        JPEGBaseline8Bit: picture(1, (16, 16)),
        JPEG2000: b"\xff\x4f\xff\x51\x00\x2f\x00\x00" + struct.pack(">6I", 16, 16, 0, 0, 16, 16),
        RLELossless: struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x07",
    }[syntax]
    refused(compressed(frame[: len(frame) // 2], syntax), errors.BrokenDicom)
    whole = compressed(frame, syntax)
    refused(whole[:-40], errors.BrokenDicom)


def test_a_codestream_of_another_size_is_not_decoded() -> None:
    size = struct.pack(">6I", 60_000, 60_000, 0, 0, 60_000, 60_000)
    refused(compressed(b"\xff\x4f\xff\x51\x00\x2f\x00\x00" + size + b"\0" * 40, JPEG2000), errors.BrokenDicom)
    refused(compressed(picture(1, (400, 300)), JPEGBaseline8Bit), errors.BrokenDicom)


def test_run_lengths_that_unpack_to_more_than_a_frame() -> None:
    run = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x07" * 200_000
    refused(compressed(run, RLELossless), errors.BrokenDicom)


def test_an_offset_table_that_lies() -> None:
    data = bytearray(compressed(picture(1, (16, 16)), JPEGBaseline8Bit))
    at = data.rindex(b"\xfe\xff\x00\xe0\x04\x00\x00\x00") + 8
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    with frugal():
        assert outcome(bytes(data)) in ("picture", "broken_dicom")


@pytest.mark.parametrize("cut", range(130, 1200, 53))
def test_a_file_that_breaks_off_anywhere(cut: int) -> None:
    data = made(ramp(), WindowCenter=0, WindowWidth=100)
    assert len(data) > 1200
    with pytest.raises(PictureError):
        decode(data[:cut])


@pytest.mark.parametrize("seed", range(40))
def test_scribbled_over(seed: int) -> None:
    """Any bytes at all: a picture or a PictureError, never another exception, never a value in its text."""
    rng = np.random.default_rng(seed)
    data = bytearray(made(ramp(), WindowCenter=0, WindowWidth=100))
    for place in rng.integers(132, len(data), 25):
        data[place] = rng.integers(0, 256)
    with frugal():
        assert "Featherstone" not in outcome(bytes(data), text=True)


def test_videos_and_unknown_syntaxes() -> None:
    with pytest.raises(errors.VideoUnsupported, match="MPEG2"):
        decode(compressed(b"\0" * 64, MPEG2MPML))
    with pytest.raises(errors.UnsupportedSyntax, match="a private one"):
        decode(compressed(b"\0" * 64, MPEG2MPML).replace(MPEG2MPML.encode(), b"1.3.9999.48151623.4.100"))


def test_a_decoder_that_is_not_installed_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels import get_decoder

    from catalog.dicom import pixels

    class Missing:
        is_available, available_plugins = False, ()

    monkeypatch.setattr(pixels, "get_decoder", lambda syntax: Missing() if syntax == JPEG2000 else get_decoder(syntax))
    with pytest.raises(errors.DecoderMissing) as caught:
        decode(compressed(b"\0" * 64, JPEG2000))
    assert "JPEG 2000" in str(caught.value)
    assert "'medical'" in str(caught.value)


def test_one_frame_is_decoded_of_many() -> None:
    """Memory is that of one frame of 64 KiB, not of forty."""
    values = np.zeros((40, 256, 256), np.uint8)
    source = dicom_open(made(values, Modality="US"), Limits())
    tracemalloc.start()
    frame_read(source, 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_sizes_of_codestreams() -> None:
    assert codestream_size(picture(1, (40, 30))) == (30, 40)
    assert codestream_size(picture(1, (40, 30), progressive=True)) == (30, 40)
    assert codestream_size(b"\xff\xd8" + b"\xff" * 100_000) is None
    assert codestream_size(b"") is None
    assert codestream_size(b"\xff\x4f\xff\x51") is None
