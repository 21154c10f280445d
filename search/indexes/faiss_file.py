"""A FAISS index and our ids in one file, both opened by memory map.

The file begins with what FAISS writes of the index. Behind it stand our ids, from a multiple of 8 bytes
on, and a footer: where they begin, how many they are, and a mark. FAISS reads as far as its own goes.
Files of before have the ids in an IDMap around the index; those are read too.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from search.indexes.base import BrokenIndex
from search.indexes.faiss_module import faiss
from search.types import Ids

FOOTER = struct.Struct("<qq8s")
MARK = b"lookids1"


def append_padding(path: Path) -> None:
    """Go on at a multiple of 8 bytes."""
    with path.open("ab") as file:
        file.write(b"\0" * (-file.tell() % 8))


def append_ids(path: Path, ids: Ids) -> None:
    """Write ``ids`` behind the index that FAISS wrote to ``path``."""
    append_padding(path)
    with path.open("ab") as file:
        start = file.tell()
        ids.astype("<i8", copy=False).tofile(file)
        file.write(FOOTER.pack(start, len(ids), MARK))


def ids_start(path: Path) -> int | None:
    """Where the ids begin; None without a footer. Raises BrokenIndex."""
    found = _footer(path)
    return None if found is None else found[0]


def read_ids(path: Path, *, mmap: bool) -> Ids | None:
    """The ids of the file, or None if it has no footer. Raises BrokenIndex."""
    found = _footer(path)
    if found is None:
        return None
    start, count = found
    if not count:
        return np.empty(0, np.int64)
    if mmap:
        return np.asarray(np.memmap(path, np.dtype("<i8"), "r", offset=start, shape=(count,)))
    return np.fromfile(path, np.dtype("<i8"), count, offset=start)


def _footer(path: Path) -> tuple[int, int] | None:
    """Where the ids begin and how many they are."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - FOOTER.size))
        tail = file.read()
    if len(tail) < FOOTER.size or not tail.endswith(MARK):
        return None
    start, count, _ = FOOTER.unpack(tail)
    if start < 0 or count < 0 or start + 8 * count + FOOTER.size != size:
        raise BrokenIndex(path=path, reason="its ids are cut off")
    return start, count


def is_binary(path: Path) -> bool:
    """Whether FAISS wrote a binary index there. Raises BrokenIndex."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"IB"
    except OSError as error:
        raise BrokenIndex(path=path, reason=error) from error


def read_faiss(path: Path, *, mmap: bool, read: Any = None) -> Any:
    """FAISS's part of a file: memory-mapped where FAISS can map this kind, read into memory where it cannot.

    ``read``: FAISS's function for it, ``read_index`` unless told. Raises BrokenIndex.
    """
    read = read or faiss.read_index
    try:
        if mmap:
            try:
                return read(str(path), faiss.IO_FLAG_MMAP_IFC)
            except RuntimeError:
                pass
        return read(str(path))
    except Exception as error:
        raise BrokenIndex(path=path, reason=reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """FAISS's message without the source line it came from."""
    message = re.sub(r"^Error in .* at \S+:\d+: (Error: )?", "", str(error).strip(), flags=re.DOTALL)
    return message.rstrip(". ") or type(error).__name__
