"""Whether bytes are a DICOM file: asked of every picture, so cheap."""

from __future__ import annotations

import re

HEAD = 256  # bytes of a file that are enough to tell

_MAGIC = slice(128, 132)
# Without the preamble of PS3.10: the first element of the file meta group or of group 0008, by its explicit VR ...
_EXPLICIT = re.compile(
    rb"[\x02\x08]\x00[\x00-\x20]\x00(UL|UI|CS|SH|LO|OB|DA|TM)|\x00[\x02\x08]\x00[\x00-\x20](UL|UI|CS)"
)
# ... or, implicit, by a tag that comes first in practice and a short length.
_IMPLICIT = re.compile(rb"\x08\x00[\x00\x01\x05\x08\x12-\x18]\x00.\x00\x00\x00", re.DOTALL)
SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")


def is_dicom(head: bytes) -> bool:
    """Whether the bytes are those of a DICOM file; at least the first HEAD of them are wanted.

    Asked before any other format is tried: the preamble may hold the header of a TIFF besides.
    """
    return head[_MAGIC] == b"DICM" or bool(_EXPLICIT.match(head) or _IMPLICIT.match(head))


def is_dicom_name(name: str) -> bool:
    """Whether a file calls itself DICOM: its name may then say who it is of, whatever its bytes are."""
    return name.lower().endswith(SUFFIXES)
