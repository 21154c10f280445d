"""DICOM files for tests: the ones that pydicom carries, and made ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

DATA = Path(pydicom.__file__).parent / "data"
# What lies in pydicom's folders and is no DICOM file.
OTHERS = {
    *("hashes.json", "urls.json", "__init__.py", "download.py", "retry.py", "data_manager.py"),
    *("test_files/README.txt", "test_files/crayons.icc", "test_files/rtplan.dump", "test_files/rtstruct.dump"),
    *("test_files/test1.json", "test_files/test_PN.json", "test_files/zipMR.gz", "charset_files/FileInfo.txt"),
    *("test_files/dicomdirtests/README.txt", "test_files/dicomdirtests/TINY_ALPHA/README", "palettes/README.md"),
}
SKIPPED_FOLDERS = {"__pycache__"}


def carried() -> list[str]:
    """Every DICOM file of the pydicom package, by its path in the package's data."""
    files = (path for path in DATA.rglob("*") if path.is_file() and not SKIPPED_FOLDERS & set(path.parts))
    return sorted(name for path in files if (name := path.relative_to(DATA).as_posix()) not in OTHERS)


def data_of(name: str) -> bytes:
    return (DATA / name).read_bytes()


def dataset(values: np.ndarray, **tags: Any) -> Dataset:
    """A CT slice, or several frames: ``values`` (rows, columns), (frames, rows, columns) or uint8 (..., 3)."""
    is_colour = values.dtype == np.uint8 and values.ndim >= 3 and values.shape[-1] == 3
    shape = values.shape[:-1] if is_colour else values.shape
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.PatientID, ds.PatientName, ds.Modality = "MRN-48151623", "Featherstone^Wilhelmina", "CT"
    ds.Rows, ds.Columns = shape[-2:]
    if len(shape) == 3:
        ds.NumberOfFrames = shape[0]
    ds.SamplesPerPixel = 3 if is_colour else 1
    ds.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        ds.PlanarConfiguration = 0
    bits = values.dtype.itemsize * 8
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in tags.items():
        setattr(ds, name, value)
    return ds


def written(ds: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The bytes of a file, as pydicom writes them."""
    if not hasattr(ds, "file_meta"):
        ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def made(values: np.ndarray, **tags: Any) -> bytes:
    return written(dataset(values, **tags))


def item(**tags: Any) -> Dataset:
    found = Dataset()
    for name, value in tags.items():
        setattr(found, name, value)
    return found


def items(*datasets: Dataset) -> Sequence:
    return Sequence(list(datasets))


def ramp(dtype: str = "<i2", low: int = -1000, step: int = 10, shape: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Rising values."""
    return (low + step * np.arange(shape[0] * shape[1])).reshape(shape).astype(dtype)
