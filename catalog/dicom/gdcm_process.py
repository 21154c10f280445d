"""The other side of gdcm_plugin: a process of its own that decodes frames with GDCM and may die of one.

Run as a script, of nothing but GDCM. It reads requests from its standard input and writes answers to its standard
output, each a length of four bytes and as many bytes; a request is a line of JSON and the frame. It ends with its
input.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from importlib import import_module
from typing import Any

MOST_MEMORY = 4 * 1024**3  # bytes of address space


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the picture
    gdcm = import_module("gdcm")  # has no types
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        facts, _, frame = source.read(struct.unpack("<I", head)[0]).partition(b"\n")
        found = _decoded(gdcm, json.loads(facts), frame)
        sink.write(struct.pack("<I", len(found)) + found)
        sink.flush()


def _decoded(gdcm: Any, facts: dict[str, Any], frame: bytes) -> bytes:
    """The samples of one frame, little endian; nothing where GDCM gives none."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((facts["columns"], facts["rows"], 1))
    image.SetDataElement(element)
    image.SetPlanarConfiguration(0)
    kind = gdcm.PhotometricInterpretation.GetPIType(facts["photometric"])
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(facts["syntax"])))
    bits = facts["bits_stored"]
    image.SetPixelFormat(
        gdcm.PixelFormat(facts["samples"], facts["bits_allocated"], bits, bits - 1, facts["representation"])
    )
    try:
        found = image.GetBuffer()
    except Exception:
        return b""
    return b"" if found is None else bytes(found.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main()
