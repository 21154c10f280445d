"""Every file that pydicom carries: the picture that others show of it, or an error that says why there is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from catalog.dicom import errors, reading
from catalog.dicom.reading import dicom_open
from catalog.dicom.rendering import Rendered, render
from catalog.images import Limits, PictureError, UnsupportedFormat, decode
from tests.catalog.dicom_files import DATA, OTHERS, carried, data_of
from tests.conftest import missing

TESTS = "test_files/"
TINY = f"{TESTS}dicomdirtests/TINY_ALPHA/"
REFUSED: dict[str, type[PictureError]] = {
    **{
        f"{TESTS}dicomdirtests/DICOMDIR{suffix}": errors.DicomDirectory
        for suffix in ("", "-bigEnd", "-empty.dcm", "-implicit", "-nooffset", "-nopatient", "-reordered")
    },
    f"{TINY}DICOMDIR": errors.DicomDirectory,
    **dict.fromkeys((name for name in carried() if name.startswith(f"{TINY}PT000000/")), errors.NoPixels),  # fifty
    **{f"palettes/{name}.dcm": errors.NoPixels for name in ("fall", "hotiron", "hotmetalblue", "pet", "pet20step")},
    **{f"palettes/{name}.dcm": errors.NoPixels for name in ("spring", "summer", "winter")},
    **{
        f"charset_files/{name}.dcm": errors.NoPixels
        for name in ("chrJapMulti", "chrJapMultiExplicitIR6", "chrKoreanMulti", "chrSQEncoding", "chrSQEncoding1")
    },
    f"{TESTS}UN_sequence.dcm": errors.NoPixels,
    f"{TESTS}empty_charset_LEI.dcm": errors.NoPixels,
    f"{TESTS}priv_SQ.dcm": errors.NoPixels,
    f"{TESTS}meta_missing_tsyntax.dcm": errors.BrokenDicom,  # pixels, but no rows and columns
    f"{TESTS}nested_priv_SQ.dcm": errors.BrokenDicom,  # likewise
    f"{TESTS}JPEG2000-embedded-sequence-delimiter.dcm": errors.BrokenDicom,  # a codestream 3,722,445,056 pixels wide
    f"{TESTS}MR_truncated.dcm": errors.TruncatedDicom,
    f"{TESTS}no_meta.dcm": UnsupportedFormat,  # begins in the middle of an element
    f"{TESTS}reportsi.dcm": errors.StructuredReport,
    f"{TESTS}reportsi_with_empty_number_tags.dcm": errors.StructuredReport,
    f"{TESTS}test-SR.dcm": errors.StructuredReport,
    f"{TESTS}waveform_ecg.dcm": errors.Waveform,
    **{
        f"{TESTS}{name}.dcm": errors.RadiotherapyObject
        for name in ("rtplan", "rtplan_truncated", "rtstruct", "ExplVR_BigEndNoMeta", "ExplVR_LitEndNoMeta")
    },
    f"{TESTS}no_meta_group_length.dcm": errors.RadiotherapyObject,
}
PICTURES = [name for name in carried() if name not in REFUSED]
# pydicom decodes 12-bit JPEG with an extension of ours or not at all: dcmtk alone is a reference.
TWELVE_BITS = {f"{TESTS}JPEG-lossy.dcm", f"{TESTS}JPGExtended.dcm"}
# Files whose transfer syntax, or one's slip, dcmtk 3.6 does not read; pydicom is the reference.
NOT_IN_DCMTK = {
    f"{TESTS}{name}.dcm"
    for name in (
        *("693_J2KI", "GDCMJ2K_TextGBR", "J2K_pixelrep_mismatch", "JPEG2000", "MR_small_jp2klossless"),
        *("SC_rgb_gdcm_KY", "examples_jpeg2k", "SC_rgb_jpeg"),
    )
}
# dcmtk swaps the halves of 32-bit big-endian values; the same dose lies there in little endian, too.
TWINS = {f"{TESTS}rtdose_expb.dcm": f"{TESTS}rtdose.dcm", f"{TESTS}rtdose_expb_1frame.dcm": f"{TESTS}rtdose_1frame.dcm"}


def frames_of(name: str) -> list[int]:
    return sorted({1, dicom_open(data_of(name), Limits()).frames})


def shown(name: str, frame: int) -> Rendered:
    return render(dicom_open(data_of(name), Limits()), frame)


def distance(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_nothing_is_left_out() -> None:
    names = set(carried())
    assert set(REFUSED) <= names
    assert NOT_IN_DCMTK | TWELVE_BITS | set(TWINS) <= set(PICTURES)
    assert len(PICTURES) > 100
    assert len(REFUSED) == 89
    assert all((DATA / name).is_file() for name in OTHERS)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_picture_says_why(name: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode(data_of(name))
    assert type(caught.value) is REFUSED[name]
    assert str(caught.value).count(".") >= 2  # a cause and a cure


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_what_pydicom_shows(name: str) -> None:
    for frame in frames_of(name):
        found = shown(name, frame)
        if name in TWELVE_BITS:
            assert found.pixels.shape == (1024, 256)
            assert found.pixels.max() > 100
            continue
        assert distance(found.pixels, _pydicom(name, frame - 1, found)) <= 1


def _pydicom(name: str, index: int, found: Rendered) -> np.ndarray:
    """By pydicom's own processing, in 8 bits. A derived window is handed to it."""
    ds = pydicom.dcmread(DATA / name, force=True)
    if name == f"{TESTS}badVR.dcm":
        ds.NumberOfFrames = 1  # it says 1A
    if not getattr(ds.file_meta, "TransferSyntaxUID", None):
        ds.file_meta.TransferSyntaxUID = reading._guessed(ds)
    array = pixel_array(ds, index=index)
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        return np.asarray(apply_color_lut(array, ds) >> 8)
    if ds.SamplesPerPixel == 3:
        return np.asarray(
            array if array.dtype == np.uint8 else array.astype(np.float64) / (2.0**ds.BitsStored - 1) * 255
        )
    if found.window:
        ds.WindowCenter, ds.WindowWidth = found.window.center, found.window.width
        ds.VOILUTFunction = found.window.function
    grey = apply_voi_lut(apply_modality_lut(array, ds), ds, prefer_lut=False)
    low, high = _output_range(ds)
    shares = (grey - low) / (high - low)
    return np.asarray(np.round(255 * (1 - shares if ds.PhotometricInterpretation == "MONOCHROME1" else shares)))


def _output_range(ds: Any) -> tuple[float, float]:
    """Of pydicom's windowing: the stored range, rescaled."""
    half = 2.0 ** (ds.BitsStored - 1)
    low, high = (-half, half - 1) if ds.PixelRepresentation else (0.0, 2 * half - 1)
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_what_dcmtk_shows(name: str, tmp_path: Path) -> None:
    if not shutil.which("dcm2pnm"):
        missing("no dcm2pnm here: apt-get install dcmtk")
    for frame in frames_of(name):
        found = shown(name, frame)
        if name in TWINS:
            assert distance(found.pixels, shown(TWINS[name], frame).pixels) == 0
            continue
        picture = tmp_path / f"{frame}.pnm"
        run = subprocess.run([*_command(name, frame, found), str(DATA / name), str(picture)], capture_output=True)
        if run.returncode:
            assert name in NOT_IN_DCMTK, run.stderr
            continue
        with Image.open(picture) as shown_by_dcmtk:
            assert distance(found.pixels, np.asarray(shown_by_dcmtk)) <= 1


def _command(name: str, frame: int, found: Rendered) -> list[str]:
    """dcmtk has a program for each family of transfer syntaxes; -O: without overlays."""
    syntax = dicom_open(data_of(name), Limits()).syntax.name
    program = "dcml2pnm" if "JPEG-LS" in syntax else "dcmj2pnm" if "JPEG" in syntax else "dcm2pnm"
    command = [program if shutil.which(program) else "dcm2pnm", "-O", "+F", str(frame)]
    if found.window and found.window.how == "derived":
        exact = ["+Wfl"] if found.window.function == "LINEAR" else []
        return [*command, "+Ww", f"{found.window.center:.8f}", f"{found.window.width:.8f}", *exact]
    return [*command, "+Wi", "1"] if found.window else command
