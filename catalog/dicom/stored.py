"""The site's own copy of a DICOM file: the chosen frames, uncompressed, and the tags of the allow-list; nothing else.

The copy is written anew, never edited: what is not named here cannot be in it. Its preamble is empty, its file meta our
own, its UIDs and patient are keys (identity.py), its words are of a vocabulary, everything else in it is numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from catalog.dicom.attributes import code, whole
from catalog.dicom.identity import Identity, Keys, uid_of_key
from catalog.dicom.luts import Lut, Rescale, modality
from catalog.dicom.pixels import Frame, frame_read
from catalog.dicom.private import Own, own_of, own_write
from catalog.dicom.reading import Source
from catalog.dicom.rendering import stored_vois, voi_of
from catalog.dicom.vocabulary import body_part, explanation, modality_code
from catalog.dicom.windows import AS_STORED, Window, WindowChoice

IMPLEMENTATION = "2.25.241391287213894612963371023478120943377"  # ours, so that copies do not change with pydicom
MOST_INSTANCE = 1_000_000
# The allow-list: all that a copy can hold, besides file meta and the private block of private.py. Of the UIDs and the
# patient, keys; of words, those of vocabulary.py; PatientName is written empty.
ALLOWED = frozenset(
    (
        *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
        *("PatientName", "PatientID", "PatientIdentityRemoved", "DeidentificationMethod"),
        *("Modality", "BodyPartExamined", "BurnedInAnnotation", "InstanceNumber"),
        *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "FloatPixelData"),
        *("RescaleSlope", "RescaleIntercept", "PixelValueTransformationSequence"),
        *("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction"),
        *("VOILUTSequence", "LUTDescriptor", "LUTData", "FrameVOILUTSequence", "PerFrameFunctionalGroupsSequence"),
    )
)


@dataclass(frozen=True)
class Header:
    """All that is kept of a file beside its pixels. ``number`` from 1, of ``frames`` of the original."""

    keys: Keys
    modality: str
    body_part: str
    burned_in: str  # yes, no, or empty: not said
    instance_number: int | None
    numbers: tuple[int, ...]
    frames: int
    window: Window | None  # of the first frame; None: colour, or a table of the file
    is_table: bool = False


@dataclass(frozen=True)
class Copy:
    data: bytes
    header: Header


def dicom_copy(
    source: Source,
    numbers: list[int],
    identity: Identity,
    choice: WindowChoice = AS_STORED,
    *,
    strict: bool = True,
) -> Copy:
    """A copy of frames of a file (numbered from 1 as they lie in it), the chosen window first.

    The same frames, window and secret give the same bytes; a copy of a copy is that copy. Raises DicomError.
    """
    with source.lock:
        return _copy(source, numbers, identity, choice, strict)


def _copy(source: Source, numbers: list[int], identity: Identity, choice: WindowChoice, strict: bool) -> Copy:
    own, keys = own_of(source.ds), identity.keys(source)
    parts = [_part(source, number, choice, strict=strict) for number in numbers]
    first = next((voi for voi in parts[0].vois[:1]), None)
    header = Header(
        keys,
        modality_code(code(source.ds, "Modality")),
        body_part(code(source.ds, "BodyPartExamined")),
        {"YES": "yes", "NO": "no"}.get(code(source.ds, "BurnedInAnnotation"), ""),
        _instance_number(source),
        tuple(own.numbers[number - 1] if number <= len(own.numbers) else number for number in numbers),
        max(own.total, source.frames),
        first if isinstance(first, Window) else None,
        isinstance(first, Lut),
    )
    return Copy(_written(source, header, parts, identity), header)


def described(source: Source, identity: Identity) -> tuple[str, str, str]:
    """(key of the series, modality, body part), without a look at the pixels."""
    series = identity.keys(source).series
    return series, modality_code(code(source.ds, "Modality")), body_part(code(source.ds, "BodyPartExamined"))


@dataclass(frozen=True)
class _Part:
    """One frame: its values, how they become those of the modality, and its windows, the chosen one first."""

    frame: Frame
    rescale: Rescale
    vois: tuple[Window | Lut, ...]


def _part(source: Source, number: int, choice: WindowChoice, *, strict: bool) -> _Part:
    frame = frame_read(source, number)
    if frame.is_colour:
        if strict and choice != AS_STORED:
            voi_of(source, number, frame, WindowChoice(place=10**6))  # raises what render() does
        return _Part(frame, Rescale(), ())
    chosen = voi_of(source, number, frame, choice, strict=strict)
    rest = [voi for voi in stored_vois(source, number) if not _same(voi, chosen)]
    to_modality = modality(source, number - 1)
    if isinstance(to_modality, Lut):  # applied: a copy has a rescale or nothing
        values = to_modality(frame.values.astype(np.float64)).astype(np.uint16)
        return _Part(Frame(values, to_modality.bits, False), Rescale(), (chosen, *rest))
    return _Part(frame, to_modality, (chosen, *rest))


def _same(one: Window | Lut, other: Window | Lut) -> bool:
    if isinstance(one, Window) and isinstance(other, Window):
        return (one.center, one.width, one.function) == (other.center, other.width, other.function)
    return one is other or (isinstance(one, Lut) and isinstance(other, Lut) and np.array_equal(one.table, other.table))


def _instance_number(source: Source) -> int | None:
    found = whole(source.ds, "InstanceNumber")
    return found if found is not None and 0 <= found < MOST_INSTANCE else None


def _written(source: Source, header: Header, parts: list[_Part], identity: Identity) -> bytes:
    ds, first = Dataset(), parts[0]
    _write_identity(ds, header)
    _write_pixels(ds, source, [part.frame for part in parts])
    if not first.frame.is_colour:
        _write_greys(ds, parts)
    windows_first = any(isinstance(part.vois[0], Window) for part in parts if part.vois)
    how = header.window.how if header.window else "stored"
    own_write(ds, Own(header.numbers, header.frames, how, windows_first, identity.seal(header.keys)))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION
    ds.file_meta.ImplementationVersionName = "LOOKALIKE"
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _write_identity(ds: Dataset, header: Header) -> None:
    keys = header.keys
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = uid_of_key(keys.instance)
    ds.StudyInstanceUID = uid_of_key(keys.study)
    ds.SeriesInstanceUID = uid_of_key(keys.series)
    if keys.space:
        ds.FrameOfReferenceUID = uid_of_key(keys.space)
    ds.PatientID = keys.patient
    ds.PatientName = ""
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Allow-list of tags"
    ds.Modality = header.modality
    if header.body_part:
        ds.BodyPartExamined = header.body_part
    if header.burned_in:
        ds.BurnedInAnnotation = header.burned_in.upper()
    if header.instance_number is not None:
        ds.InstanceNumber = header.instance_number


def _write_pixels(ds: Dataset, source: Source, frames: list[Frame]) -> None:
    first = frames[0]
    ds.Rows, ds.Columns = first.values.shape[:2]
    ds.SamplesPerPixel = 3 if first.is_colour else 1
    ds.PhotometricInterpretation = "RGB" if first.is_colour else source.photometric
    if first.is_colour:
        ds.PlanarConfiguration = 0
    if len(frames) > 1:
        ds.NumberOfFrames = len(frames)
    if not first.bits:
        ds.FloatPixelData = b"".join(frame.values.astype("<f4").tobytes() for frame in frames)
        ds["FloatPixelData"].VR = "OF"
        ds.BitsAllocated = 32
        return
    kind = _kind(first)
    ds.BitsAllocated = 8 * kind.itemsize
    ds.BitsStored, ds.HighBit = first.bits, first.bits - 1
    ds.PixelRepresentation = int(first.is_signed)
    data = b"".join(frame.values.astype(kind, copy=False).tobytes() for frame in frames)
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB" if kind.itemsize == 1 else "OW"


def _kind(frame: Frame) -> np.dtype[Any]:
    size = next(size for size in (1, 2, 4, 8) if 8 * size >= frame.bits)
    return np.dtype(f"<{'i' if frame.is_signed else 'u'}{size}")


def _write_greys(ds: Dataset, parts: list[_Part]) -> None:
    """On top where all frames agree, else in functional groups."""
    groups = [_group(part) for part in parts]
    if all(group == groups[0] for group in groups[1:]):
        rescale, voi = groups[0]
        ds.update(rescale)
        ds.update(voi)
        return
    ds.PerFrameFunctionalGroupsSequence = Items([_item(*group) for group in groups])


def _item(rescale: Dataset, voi: Dataset) -> Dataset:
    item = Dataset()
    item.PixelValueTransformationSequence = Items([rescale])
    item.FrameVOILUTSequence = Items([voi])
    return item


def _group(part: _Part) -> tuple[Dataset, Dataset]:
    rescale, voi = Dataset(), Dataset()
    if part.rescale.is_given:
        rescale.RescaleSlope = _decimal(part.rescale.slope)
        rescale.RescaleIntercept = _decimal(part.rescale.intercept)
    function = next((one.function for one in part.vois if isinstance(one, Window)), "")
    windows = [one for one in part.vois if isinstance(one, Window) and one.function == function]
    if windows:
        voi.WindowCenter = [_decimal(one.center) for one in windows]
        voi.WindowWidth = [_decimal(one.width) for one in windows]
        voi.WindowCenterWidthExplanation = [explanation(one.name).upper() for one in windows]
        voi.VOILUTFunction = function
    tables = [one for one in part.vois if isinstance(one, Lut)]
    if tables:
        voi.VOILUTSequence = Items([_table(one) for one in tables])
    return rescale, voi


def _table(lut: Lut) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if lut.first < 0 else "US", [len(lut.table) % 65536, lut.first, lut.bits])
    item.add_new("LUTData", "OW", lut.table.astype("<u2").tobytes())
    return item


def _decimal(number: float) -> str:
    """At most 16 characters, as the decimal string of PS3.5 6.2 may have."""
    return next(text for digits in range(12, 0, -1) if len(text := f"{number:.{digits}g}") <= 16)
