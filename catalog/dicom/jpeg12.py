"""JPEG Extended with 12 bits through GDCM, which pydicom's own plugin leaves out. A decoder plugin of pydicom.

GDCM notices the precision and takes the library made for it (checked against dcmtk in the tests).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGExtended12Bit

gdcm: Any = None
try:
    gdcm = import_module("gdcm")  # has no types
except ImportError:
    HAVE_GDCM = False
else:
    HAVE_GDCM = True
    gdcm.Trace.WarningOff()  # what it says of a file may quote it
    gdcm.Trace.ErrorOff()

DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("python-gdcm",)}  # pydicom's wording for an error
NAME, PLACE = "gdcm12", ("catalog.dicom.jpeg12", "decode_frame")


def is_available(uid: str) -> bool:
    """As pydicom asks its plugins."""
    return HAVE_GDCM and uid == JPEGExtended12Bit


def decode_frame(src: bytes, runner: DecodeRunner) -> bytearray:
    """One frame of 16-bit samples, little endian."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(src)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation)))
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(JPEGExtended12Bit)))
    image.SetPixelFormat(
        gdcm.PixelFormat(
            runner.samples_per_pixel,
            runner.bits_allocated,
            runner.bits_stored,
            runner.bits_stored - 1,
            runner.pixel_representation,
        )
    )
    found = image.GetBuffer()
    if found is None:
        raise ValueError("GDCM gave no pixels")
    return bytearray(found.encode("utf-8", "surrogateescape"))
