"""Files of an import by relative name: a folder on the server, or a ZIP archive (archive.py)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, Protocol

from catalog.dicom.signature import HEAD, is_dicom
from catalog.importers.errors import MissingFile, UnreadableFile, UnsafePath
from catalog.importers.rows import BadRow, text_of

# Files that lie beside pictures and are none; anything else that cannot be decoded is a bad row.
_SIDECARS = """
    .txt .csv .tsv .json .jsonl .xml .yaml .yml .toml .md .rst .html .htm .css .js .py .pdf .doc .docx .xls .xlsx
    .ini .cfg .log .db .mat .npy .npz .pkl .parquet .sha256 .md5 .license .url
"""
SIDECARS = frozenset(_SIDECARS.split())
JUNK = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


class Tree(Protocol):
    """Names are relative, with '/', sorted; hidden files and operating systems' litter are left out."""

    name: str  # of the folder or archive, for people
    folder: str  # what a benchmark found in it is called; "" if it has no name
    refused: list[BadRow]  # entries that may not be opened at all

    def files(self) -> list[str]: ...
    def has(self, name: str) -> bool: ...
    def size(self, name: str) -> int: ...
    def open(self, name: str) -> BinaryIO: ...
    def read(self, name: str) -> bytes: ...
    def close(self) -> None: ...


class FolderTree:
    """A folder of the machine the import runs on: for the command alone, never for an upload.

    ``max_bytes``: no more than one byte above it is read of a file. ``walk`` False: files() is empty,
    for a table that names its pictures itself.
    """

    def __init__(self, root: Path, max_bytes: int, *, walk: bool = True) -> None:
        self.root, self.max_bytes = root, max_bytes
        self.name = self.folder = text_of(root.resolve().name)
        self.refused: list[BadRow] = []
        self._files = sorted(self._walk()) if walk else []

    def _walk(self) -> Iterator[str]:
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not is_litter(name)]
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            yield from (name if inside == "." else f"{inside}/{name}" for name in names if not is_litter(name))

    def files(self) -> list[str]:
        return self._files

    def has(self, name: str) -> bool:
        return (self.root / name).is_file()

    def size(self, name: str) -> int:
        try:
            return (self.root / name).stat().st_size
        except OSError:
            return 0

    def open(self, name: str) -> BinaryIO:
        return (self.root / name).open("rb")

    def read(self, name: str) -> bytes:
        try:
            with self.open(name) as file:
                return file.read(self.max_bytes + 1)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise MissingFile(path=text_of(name)) from error
        except OSError as error:
            raise UnreadableFile(path=text_of(name)) from error

    def close(self) -> None:
        """Nothing is held open."""


def is_litter(part: str) -> bool:
    return part.startswith(".") or part in JUNK


def is_candidate(name: str) -> bool:
    """Whether a file should be a picture: by its suffix it is neither a sidecar nor without one."""
    suffix = PurePosixPath(name).suffix.lower()
    return bool(suffix) and suffix not in SIDECARS


def is_nameless_dicom(tree: Tree, name: str) -> bool:
    """Whether a file without suffix is DICOM by its bytes: in archives of pictures that is the rule."""
    if PurePosixPath(name).suffix:
        return False
    try:
        with tree.open(name) as file:
            return is_dicom(file.read(HEAD))
    except Exception:  # a damaged entry of an archive: no picture
        return False


def safe_name(name: str) -> str:
    """A relative name with '/', as written in a table or archive. Raises UnsafePath if it leads elsewhere."""
    path = PureWindowsPath(name)  # understands both separators, drives and shares
    if path.drive or path.root or ".." in path.parts or "\0" in name or not path.parts:
        raise UnsafePath(path=text_of(name)[:200])
    return "/".join(part for part in path.parts if part != ".")
