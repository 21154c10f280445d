"""The stored values of one frame, decompressed: ready for the modality LUT, or RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, JPEGExtended12Bit, RLELossless, UID_dictionary

from catalog.dicom import jpeg12
from catalog.dicom.attributes import whole
from catalog.dicom.codestream import codestream_size
from catalog.dicom.errors import (
    BadFrame,
    BrokenDicom,
    DecoderMissing,
    DicomError,
    UnsupportedPixels,
    UnsupportedSyntax,
    VideoUnsupported,
)
from catalog.dicom.reading import Source

if jpeg12.NAME not in get_decoder(JPEGExtended12Bit).available_plugins:
    get_decoder(JPEGExtended12Bit).add_plugin(jpeg12.NAME, jpeg12.PLACE)

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_VIDEO = ("1.2.840.10008.1.2.4.10",)  # MPEG2, MPEG-4 and HEVC: 4.100 to 4.108


@dataclass(frozen=True)
class Frame:
    """``values``: (rows, columns) integers or floats as stored, or (rows, columns, 3) uint8 RGB.

    ``bits``: how many of an integer count; 0 for floats.
    """

    values: NDArray[Any]
    bits: int
    is_signed: bool

    @property
    def is_colour(self) -> bool:
        return self.values.ndim == 3


def frame_read(source: Source, number: int) -> Frame:
    """Frame ``number``, from 1. Only that one is decoded. Raises DicomError."""
    if not 1 <= number <= source.frames:
        raise BadFrame(frame=number, frames=source.frames)
    if source.photometric not in (*MONOCHROME, *COLOURS):
        raise UnsupportedPixels(what="a photometric interpretation that is not of the standard or was retired")
    _complete(source)
    try:
        return _read(source, number - 1)
    except DicomError:
        raise
    except Exception:  # decoders raise nearly anything, and quote values
        raise BrokenDicom(problem="its pixels cannot be decoded") from None


def _complete(source: Source) -> None:
    """Fill in what decoders insist on and many a file lacks."""
    ds, bits = source.ds, source.bits
    ds.SamplesPerPixel, ds.NumberOfFrames = source.samples, source.frames
    ds.PhotometricInterpretation = source.photometric
    if source.keyword != "PixelData":
        return
    stored = whole(ds, "BitsStored")
    ds.BitsAllocated = bits
    ds.BitsStored = stored if stored and 0 < stored <= bits else bits
    high = whole(ds, "HighBit")
    ds.HighBit = high if high is not None and ds.BitsStored - 1 <= high < bits else ds.BitsStored - 1
    ds.PixelRepresentation = 1 if whole(ds, "PixelRepresentation") == 1 else 0
    if source.samples > 1:
        ds.PlanarConfiguration = 1 if whole(ds, "PlanarConfiguration") == 1 else 0


def _read(source: Source, index: int) -> Frame:
    decoder = _decoder(source.syntax)
    if not source.is_native:
        _check_encoded(source, index)
    array, facts = decoder.as_array(source.ds, index=index)
    if source.keyword != "PixelData":
        return Frame(array, 0, True)
    photometric = str(facts["photometric_interpretation"])
    if array.ndim == 3 and photometric in COLOURS:
        return Frame(_eight_bits(array, source), 8, False)
    if photometric == "PALETTE COLOR":
        return Frame(_eight_bits_of_palette(apply_color_lut(array, source.ds)), 8, False)
    if array.ndim != 2:
        raise UnsupportedPixels(what="several samples per pixel that are no colours")
    stored = whole(source.ds, "BitsStored") or source.bits
    is_signed = bool(source.ds.PixelRepresentation)
    return Frame(_significant(source, array, stored, is_signed), stored, is_signed)


def _decoder(syntax: UID) -> Any:
    if syntax.startswith(_VIDEO):
        raise VideoUnsupported(syntax=syntax_name(syntax))
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnsupportedSyntax(syntax=syntax_name(syntax)) from None
    if not decoder.is_available:
        raise DecoderMissing(syntax=syntax_name(syntax))
    return decoder


def syntax_name(syntax: UID) -> str:
    """Its name in the standard; nothing of an unknown one, which could be any text."""
    return UID_dictionary[syntax][0] if syntax in UID_dictionary else "a private one"


def _check_encoded(source: Source, index: int) -> None:
    """Refuse a frame whose codestream claims another size, before its decoder allocates that."""
    try:
        data = get_frame(source.ds.PixelData, index, number_of_frames=source.frames)
    except Exception:
        raise BrokenDicom(problem="its compressed frames cannot be found") from None
    if source.syntax == RLELossless:
        # T.87's worst case of PackBits is one byte more in 128; what is longer unpacks to more than there is room for.
        if len(data) > source.frame_bytes * 129 // 128 + 64 + 2 * 15 * source.rows:
            raise BrokenDicom(problem="its compressed frame is longer than an uncompressed one")
        return
    size = codestream_size(data)
    if size is None:
        raise BrokenDicom(problem="its compressed frame has no header")
    if size != (source.rows, source.columns):
        raise BrokenDicom(problem="its compressed frame is of another size than the file says")


def _significant(source: Source, array: NDArray[Any], bits: int, is_signed: bool) -> NDArray[Any]:
    """The stored bits alone: what older files keep in the others (overlays) is no part of the value."""
    allocated = array.dtype.itemsize * 8
    if not source.is_native or bits >= allocated or array.dtype.kind not in "iu":
        return array
    kind = np.dtype(f"{'i' if is_signed else 'u'}{array.dtype.itemsize}")
    raw = array.astype(array.dtype.newbyteorder("="), copy=False).view(f"u{array.dtype.itemsize}")
    up = (raw << (allocated - 1 - int(source.ds.HighBit))).view(kind)
    return np.asarray(up >> (allocated - bits))


def _eight_bits(array: NDArray[Any], source: Source) -> NDArray[np.uint8]:
    """RGB by its stored range; signed colours do not exist."""
    if array.dtype == np.uint8 and source.ds.BitsStored == 8:
        return array
    bits = int(source.ds.BitsStored)
    scaled = array.astype(np.float64) * (255 / (2**bits - 1))
    return np.asarray(np.clip(scaled + 0.5, 0, 255), np.uint8)


def _eight_bits_of_palette(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Entries of a palette have 8 bits or 16."""
    return np.asarray(array if array.dtype == np.uint8 else array >> 8, np.uint8)
