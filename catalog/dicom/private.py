"""The private block of the site's own copies: which frames they hold, where their window came from, their seal."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from catalog.dicom.attributes import code, numbers, whole

CREATOR, GROUP = "LOOKALIKE", 0x0009
_NUMBERS, _TOTAL, _HOW, _FIRST, _SEAL = 0x01, 0x02, 0x03, 0x04, 0x05
_KEYWORDS = {
    _NUMBERS: "ReferencedFrameNumber",
    _TOTAL: "NumberOfFrames",
    _HOW: "Modality",
    _FIRST: "ImageType",
    _SEAL: "Manufacturer",
}
HOWS = ("stored", "preset", "own", "derived")


@dataclass(frozen=True)
class Own:
    """``numbers``: of the original's frames, one for each frame that the copy holds; ``total``: how many it had."""

    numbers: tuple[int, ...] = ()
    total: int = 0
    how: str = "stored"
    windows_first: bool = False
    seal: str = ""


def own_of(ds: Dataset) -> Own:
    """What a copy says of itself; of any other file, nothing."""
    try:
        block = ds.private_block(GROUP, CREATOR)
    except Exception:  # no such block, or a malformed one
        return Own()
    held = Dataset()  # under public names, to be read like everything else that nobody has checked
    for element, keyword in _KEYWORDS.items():
        if element in block:
            held.add_new(keyword, "LO" if element in (_HOW, _FIRST, _SEAL) else "IS", block[element].value)
    how = code(held, _KEYWORDS[_HOW]).lower()
    return Own(
        tuple(int(one) for one in numbers(held, _KEYWORDS[_NUMBERS])),
        whole(held, _KEYWORDS[_TOTAL]) or 0,
        how if how in HOWS else "stored",
        bool(code(held, _KEYWORDS[_FIRST])),
        code(held, _KEYWORDS[_SEAL]).lower(),
    )


def own_write(ds: Dataset, own: Own) -> None:
    block = ds.private_block(GROUP, CREATOR, create=True)
    block.add_new(_NUMBERS, "IS", list(own.numbers))
    block.add_new(_TOTAL, "IS", own.total)
    block.add_new(_HOW, "CS", own.how.upper())
    if own.windows_first:
        block.add_new(_FIRST, "CS", "WINDOWS")
    block.add_new(_SEAL, "LO", own.seal)
