"""What a compressed frame says of its own size, read before a decoder allocates by it. No pydicom."""

from __future__ import annotations

# Start-of-frame markers of JPEG (T.81 table B.1) and JPEG-LS (T.87): not DHT C4, JPG C8, DAC CC.
_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_MOST_MARKERS = 4096
_MOST_BOXES = 65_536  # bytes of JP2 boxes before a codestream


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None where it names none."""
    start = data.find(b"\xff\x4f\xff\x51")  # SOC and SIZ: JPEG 2000, in a JP2 box or not
    if 0 <= start < _MOST_BOXES:
        return _siz(data, start + 4)
    return _sof(data) if data[:2] == b"\xff\xd8" else None


def _siz(data: bytes, at: int) -> tuple[int, int] | None:
    """T.800 A.5.1: Lsiz, Rsiz, then Xsiz, Ysiz, XOsiz, YOsiz of four bytes."""
    if len(data) < at + 20:
        return None
    x, y, x0, y0 = (int.from_bytes(data[at + 4 + 4 * place : at + 8 + 4 * place], "big") for place in range(4))
    return y - y0, x - x0


def _sof(data: bytes) -> tuple[int, int] | None:
    at = 2
    for _ in range(_MOST_MARKERS):
        if len(data) < at + 9 or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _SOF:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        else:
            at += 2 if marker in _ALONE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
