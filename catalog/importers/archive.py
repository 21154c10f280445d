"""A ZIP archive as a tree. Nothing is ever unpacked to disk; bombs are refused by what the directory claims,
and every read is bounded whatever it claims."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from catalog.dicom.signature import HEAD, is_dicom, is_dicom_name
from catalog.images import TooManyBytes
from catalog.importers.errors import (
    ArchiveBomb,
    BadArchive,
    EncryptedEntry,
    LinkEntry,
    MissingFile,
    NothingToImport,
    UnreadableFile,
    UnsafePath,
)
from catalog.importers.rows import BadRow, text_of
from catalog.importers.trees import is_litter, safe_name

MAX_RATIO = 100  # unpacked to packed, of the whole archive: pictures stay near 1, tables below 20
RATIO_FROM = 64 * 1024 * 1024  # bytes unpacked below which no ratio is dangerous
UTF8_NAME, ENCRYPTED = 0x800, 0x1


class ZipTree:
    """``max_bytes``: of one picture; ``max_total``: of everything, unpacked. Raises an ImportRefused."""

    def __init__(self, path: Path | BinaryIO, max_bytes: int, max_total: int, name: str = "") -> None:
        self.name = name or text_of(Path(path.name).name)
        self.folder = ""
        self.max_bytes = max_bytes
        self.refused: list[BadRow] = []
        self._entries: dict[str, zipfile.ZipInfo] = {}
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError) as error:
            raise BadArchive(name=self.name) from error
        try:
            self._check_total(path, max_total)
            self._read_directory()
        except BaseException:
            self._zip.close()
            raise

    def _check_total(self, path: Path | BinaryIO, max_total: int) -> None:
        unpacked = sum(info.file_size for info in self._zip.infolist())
        packed = path.stat().st_size if isinstance(path, Path) else path.seek(0, os.SEEK_END)
        dense = unpacked > RATIO_FROM and unpacked > MAX_RATIO * packed
        if unpacked > max_total or dense:
            raise ArchiveBomb(name=self.name, unpacked=unpacked)

    def _read_directory(self) -> None:
        for number, info in enumerate(self._zip.infolist(), 1):
            if info.is_dir():
                continue
            raw = _entry_name(info)
            try:
                name = safe_name(raw)
                self._check_entry(info, name)
            except (UnsafePath, LinkEntry, EncryptedEntry) as error:
                self.refused.append(BadRow(number, text_of(raw)[:200], error))
                continue
            if not any(is_litter(part) for part in name.split("/")):
                self._entries[name] = info
        if not self._entries and not self.refused:
            raise NothingToImport(name=self.name)

    def _check_entry(self, info: zipfile.ZipInfo, name: str) -> None:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise LinkEntry(path=name)
        if info.flag_bits & ENCRYPTED:
            raise EncryptedEntry(path=name)

    def files(self) -> list[str]:
        return sorted(self._entries)

    def has(self, name: str) -> bool:
        return name in self._entries

    def size(self, name: str) -> int:
        info = self._entries.get(name)
        return info.file_size if info else 0

    def open(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self._zip.open(self._entries[name]))

    def read(self, name: str) -> bytes:
        if not self.has(name):
            raise MissingFile(path=name)
        if self.size(name) > self.max_bytes:
            raise TooManyBytes(max_bytes=self.max_bytes)
        try:
            with self.open(name) as file:
                return file.read(self.max_bytes + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise UnreadableFile(path=name) from error

    def close(self) -> None:
        self._zip.close()


def holds_dicom(tree: ZipTree) -> bool:
    """Whether an entry is a DICOM file, by its name or its first bytes; a damaged one is none."""
    for name in tree.files():
        if is_dicom_name(name):
            return True
        try:
            with tree.open(name) as file:
                if is_dicom(file.read(HEAD)):
                    return True
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError):
            continue
    return False


def _entry_name(info: zipfile.ZipInfo) -> str:
    """The name as its packer meant it: without the UTF-8 flag it is UTF-8 (macOS) or GB18030 (Windows in Chinese)."""
    name = info.orig_filename
    if info.flag_bits & UTF8_NAME:
        return name
    raw = name.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name
