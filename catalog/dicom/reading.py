"""Bytes -> an open DICOM file within bounds, or the reason why it is none.

Nothing is decoded here: what the header promises is compared with the limits and with the bytes that are there.
"""

from __future__ import annotations

import logging
import warnings
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from threading import Lock

from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from catalog.dicom.attributes import code, value, whole
from catalog.dicom.errors import (
    BrokenDicom,
    DicomDirectory,
    DicomError,
    DicomTooLarge,
    EncapsulatedDocument,
    NoPixels,
    PresentationState,
    RadiotherapyObject,
    StructuredReport,
    TooManyFrames,
    TruncatedDicom,
    UnsupportedPixels,
    Waveform,
)
from catalog.images import Limits, TooManyPixels

config.settings.reading_validation_mode = config.IGNORE


def quiet() -> None:
    """pydicom warns and logs with the very values that must not be logged: it may not."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")


quiet()

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
INFLATED = 4  # times as many bytes as a file may have: what a deflated one may unpack to
MOST_BYTES = 4  # of memory a frame may take for each pixel that a picture may have
_DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104"
_KINDS: tuple[tuple[str, type[NoPixels]], ...] = (  # by the beginning of the SOP class
    ("1.2.840.10008.1.3.10", DicomDirectory),
    ("1.2.840.10008.5.1.4.1.1.88", StructuredReport),
    ("1.2.840.10008.5.1.4.1.1.11", PresentationState),
    ("1.2.840.10008.5.1.4.1.1.9", Waveform),
    (_DOCUMENTS, EncapsulatedDocument),
    ("1.2.840.10008.5.1.4.1.1.481", RadiotherapyObject),
    ("1.2.840.10008.5.1.4.34", RadiotherapyObject),
)


@dataclass
class Source:
    """An open file. ``rows``, ``columns`` of one frame; ``syntax`` how its pixels are written."""

    ds: Dataset
    syntax: UID
    keyword: str  # of the pixels
    rows: int
    columns: int
    samples: int
    bits: int  # allocated for one sample
    frames: int
    limits: Limits
    lock: Lock = field(default_factory=Lock, repr=False)  # a data set is not to be read by two threads

    @property
    def photometric(self) -> str:
        return code(self.ds, "PhotometricInterpretation") or ("MONOCHROME2" if self.samples == 1 else "RGB")

    @property
    def is_native(self) -> bool:
        return self.syntax in NATIVE

    @property
    def frame_bytes(self) -> int:
        """Of one frame in memory, uncompressed."""
        return self.rows * self.columns * self.samples * max(1, self.bits // 8)


def dicom_open(data: bytes, limits: Limits) -> Source:
    """Open a DICOM file of pictures. Raises DicomError, and PictureTooLarge beyond the limits.

    Bytes are bounded where a file comes in: the site's own copies are uncompressed, so larger than what came.
    """
    ds, syntax = _parsed(data, limits)
    keyword = next((name for name in PIXELS if name in ds), "")
    if not keyword:
        raise _kind(ds)
    source = Source(
        ds,
        syntax,
        keyword,
        _dimension(ds, "Rows"),
        _dimension(ds, "Columns"),
        whole(ds, "SamplesPerPixel") or 1,
        {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword) or whole(ds, "BitsAllocated") or 0,
        max(1, whole(ds, "NumberOfFrames") or 1),
        limits,
    )
    _check(source)
    return source


def _parsed(data: bytes, limits: Limits) -> tuple[Dataset, UID]:
    """The data set and its transfer syntax. A deflated one is inflated within bounds, which pydicom would not."""
    try:
        meta, start = _meta(data)
        syntax = UID(str(meta.get("TransferSyntaxUID") or ""))
        if syntax == DeflatedExplicitVRLittleEndian:
            ds = read_dataset(BytesIO(_inflated(data[start:], limits)), False, True)
            ds.file_meta = FileMetaDataset()
            return ds, ExplicitVRLittleEndian
        ds = dcmread(BytesIO(data), force=True)
        return ds, syntax if syntax.startswith("1.") else _guessed(ds)
    except (DicomError, DicomTooLarge):
        raise
    except RecursionError:
        raise BrokenDicom(problem="its sequences lie too deep in each other") from None
    except Exception:
        # Half and hostile files make the parser raise nearly anything; its messages quote values of the file.
        raise BrokenDicom(problem="its elements cannot be read") from None


def _meta(data: bytes) -> tuple[Dataset, int]:
    """The file meta group, always explicit little endian, and where the data set after it begins."""
    file = BytesIO(data)
    file.seek(132 if data[128:132] == b"DICM" else 0)
    meta = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
    return meta, file.tell()


def _guessed(ds: Dataset) -> UID:
    """The transfer syntax of a file that names none, as pydicom found it by its first element."""
    is_implicit, is_little = ds.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def _inflated(data: bytes, limits: Limits) -> bytes:
    most = INFLATED * limits.max_bytes
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflate.decompress(data, most)
    except zlib.error:
        raise BrokenDicom(problem="it cannot be inflated") from None
    if inflate.unconsumed_tail:
        raise DicomTooLarge(max_bytes=most)
    if not inflate.eof:
        raise BrokenDicom(problem="its deflated part ends too soon")
    return found


def _kind(ds: Dataset) -> NoPixels | BrokenDicom:
    """What a file without pixels is."""
    sop = str(value(ds, "SOPClassUID") or value(getattr(ds, "file_meta", Dataset()), "MediaStorageSOPClassUID") or "")
    for beginning, error in _KINDS:
        if sop == beginning or sop.startswith(beginning + "."):
            return error()
    if "DirectoryRecordSequence" in ds:
        return DicomDirectory()
    if "EncapsulatedDocument" in ds:
        return EncapsulatedDocument()
    if not any(tag.group > 2 for tag in ds.keys()):  # noqa: SIM118 - a data set's iteration is of its elements
        return BrokenDicom(problem="it ends after its header")
    return NoPixels()


def _dimension(ds: Dataset, keyword: str) -> int:
    found = whole(ds, keyword)
    if found is None or not 0 < found <= 0xFFFF:
        raise BrokenDicom(problem=f"it has no {keyword}")
    return found


def _check(source: Source) -> None:
    pixels, limits = source.rows * source.columns, source.limits
    if source.frames > limits.max_frames:
        raise TooManyFrames(frames=source.frames, max_frames=limits.max_frames)
    if source.samples not in (1, 3):
        raise UnsupportedPixels(what=f"{source.samples} samples per pixel")
    if source.bits not in (1, 8, 16, 32, 64):
        raise UnsupportedPixels(what=f"{source.bits} bits allocated")
    if pixels > limits.max_pixels or source.frame_bytes > MOST_BYTES * limits.max_pixels:
        raise TooManyPixels(pixels=pixels, max_pixels=limits.max_pixels)
    found = len(_bytes(source))
    if not found:
        raise NoPixels
    expected = native_bytes(source)
    if source.is_native and found < expected:
        raise TruncatedDicom(found=found, expected=expected)


def _bytes(source: Source) -> bytes:
    found = value(source.ds, source.keyword)
    return found if isinstance(found, bytes) else b""


def native_bytes(source: Source) -> int:
    """Length of all frames, uncompressed (PS3.5 8.1): bits are packed across frames, 4:2:2 has half the colour."""
    samples = source.rows * source.columns * source.samples * source.frames
    if source.photometric == "YBR_FULL_422":
        samples = samples * 2 // 3
    return -(-samples * source.bits // 8)
