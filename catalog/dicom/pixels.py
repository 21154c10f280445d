"""The stored values of one frame, decompressed: ready for the modality LUT, or RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless, UID_dictionary

from catalog.dicom import gdcm_plugin
from catalog.dicom.attributes import value, whole
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

gdcm_plugin.register()

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
# By which of pydicom's plugins each transfer syntax is decoded, the first that is installed: none that can end the
# process, which GDCM inside it can.
_PLUGINS: dict[str, tuple[str, ...]] = {
    JPEGBaseline8Bit: ("pillow",),
    JPEG2000: ("pylibjpeg", "pillow"),
    JPEG2000Lossless: ("pylibjpeg", "pillow"),
    RLELossless: ("pylibjpeg", "pydicom"),
    **dict.fromkeys(gdcm_plugin.SYNTAXES, (gdcm_plugin.NAME,)),
}
_VRS = {"PixelData": "OW", "FloatPixelData": "OF", "DoubleFloatPixelData": "OD"}
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
    try:
        return _read(source, _image(source), number - 1)
    except DicomError:
        raise
    except Exception:  # decoders raise nearly anything, and quote values
        raise BrokenDicom(problem="its pixels cannot be decoded") from None


def _image(source: Source) -> Dataset:
    """What decoders need of a file and no more, made good: many a file lacks what they insist on."""
    ds, image = source.ds, Dataset()
    image.add_new(source.keyword, _vr(source), value(ds, source.keyword))
    image.Rows, image.Columns, image.BitsAllocated = source.rows, source.columns, source.bits
    image.SamplesPerPixel, image.NumberOfFrames = source.samples, source.frames
    image.PhotometricInterpretation = source.photometric
    stored, high = whole(ds, "BitsStored"), whole(ds, "HighBit")
    image.BitsStored = stored if stored and 0 < stored <= source.bits else source.bits
    image.HighBit = high if high is not None and image.BitsStored - 1 <= high < source.bits else image.BitsStored - 1
    image.PixelRepresentation = 1 if whole(ds, "PixelRepresentation") == 1 else 0
    if source.samples > 1:
        image.PlanarConfiguration = 1 if whole(ds, "PlanarConfiguration") == 1 else 0
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if isinstance(table := value(ds, keyword), bytes):
            image.add_new(keyword, "OV", table)
    return image


def _vr(source: Source) -> str:
    """OB or OW matters: bytes that lie in big-endian words are swapped."""
    try:
        found = str(source.ds[source.keyword].VR)
    except Exception:
        found = ""
    return found if found in ("OB", "OW", "OF", "OD") else _VRS[source.keyword]


def _read(source: Source, image: Dataset, index: int) -> Frame:
    decoder, plugin = _decoder(source.syntax)
    if not source.is_native:
        _check_encoded(source, image, index)
    # The unused bits of what is not compressed are left to _significant(), which knows of the high bit.
    options = {"decoding_plugin": plugin, "correct_unused_bits": not source.is_native}
    array, facts = decoder.as_array(image, index=index, **options)
    if source.keyword != "PixelData":
        return Frame(array, 0, True)
    photometric, bits = str(facts["photometric_interpretation"]), int(image.BitsStored)
    if array.ndim == 3 and photometric in COLOURS:
        return Frame(_eight_bits(array, bits), 8, False)
    if photometric == "PALETTE COLOR":
        return Frame(_eight_bits_of_palette(apply_color_lut(array, source.ds)), 8, False)
    if array.ndim != 2:
        raise UnsupportedPixels(what="several samples per pixel that are no colours")
    is_signed = bool(image.PixelRepresentation)
    if source.is_native:
        array = _significant(array, bits, int(image.HighBit), is_signed)
    return Frame(array, bits, is_signed)


def _decoder(syntax: UID) -> tuple[Any, str]:
    """pydicom's decoder and the plugin it is to use, empty where it needs none."""
    if syntax.startswith(_VIDEO):
        raise VideoUnsupported(syntax=syntax_name(syntax))
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise UnsupportedSyntax(syntax=syntax_name(syntax)) from None
    wanted = _PLUGINS.get(syntax)
    plugin = next((name for name in wanted or () if name in decoder.available_plugins), "")
    if not decoder.is_available or (wanted and not plugin):
        raise DecoderMissing(syntax=syntax_name(syntax))
    return decoder, plugin


def syntax_name(syntax: UID) -> str:
    """Its name in the standard; nothing of an unknown one, which could be any text."""
    return UID_dictionary[syntax][0] if syntax in UID_dictionary else "a private one"


def _check_encoded(source: Source, image: Dataset, index: int) -> None:
    """Refuse a frame whose codestream claims another size, before its decoder allocates that."""
    try:
        data = get_frame(image.PixelData, index, number_of_frames=source.frames)
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


def _significant(array: NDArray[Any], bits: int, high: int, is_signed: bool) -> NDArray[Any]:
    """The stored bits alone: what older files keep in the others (overlays) is no part of the value."""
    size = array.dtype.itemsize
    if bits >= 8 * size or array.dtype.kind not in "iu":
        return array
    raw = array.astype(array.dtype.newbyteorder("="), copy=False).view(f"u{size}")
    up = (raw << (8 * size - 1 - high)).view(f"{'i' if is_signed else 'u'}{size}")
    return np.asarray(up >> (8 * size - bits))


def _eight_bits(array: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """RGB by its stored range; signed colours do not exist."""
    if array.dtype == np.uint8 and bits == 8:
        return array
    scaled = array.astype(np.float64) * (255 / (2**bits - 1))
    return np.asarray(np.clip(scaled + 0.5, 0, 255), np.uint8)


def _eight_bits_of_palette(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Entries of a palette have 8 bits or 16."""
    return np.asarray(array if array.dtype == np.uint8 else array >> 8, np.uint8)
