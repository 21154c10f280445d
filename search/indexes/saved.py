"""A build on disk: index, original descriptors, ids and a manifest; written once, opened by memory map.

index.faiss      the FAISS index, with our ids
originals.f16    (count, dim) little-endian float16, row by row
ids.i64          picture id of each row
embeddings.i64   Embedding id of each row, rising
manifest.json    counts, factory, fingerprint, versions, and size and SHA-256 of the files above
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import BrokenIndex, Index
from search.types import Descriptors, Ids, Scores

INDEX, ORIGINALS, IDS, EMBEDDINGS, MANIFEST = (
    "index.faiss",
    "originals.f16",
    "ids.i64",
    "embeddings.i64",
    "manifest.json",
)
FORMAT = 1
HASHED_UP_TO = 1024**3  # bytes hashed at opening; beyond, sizes must do and the nightly check hashes


@dataclass(frozen=True)
class Manifest:
    factory: str
    dim: int
    count: int
    fingerprint: str
    watermark: int  # Embedding id
    search_params: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> {"bytes", "sha256"}
    ann_recall: float | None = None
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=2, sort_keys=True)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises BrokenIndex."""
        try:
            manifest = cls(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise BrokenIndex(path=folder / MANIFEST, reason=error) from error
        if manifest.format != FORMAT:
            raise BrokenIndex(path=folder / MANIFEST, reason=f"format {manifest.format}, not {FORMAT}")
        return manifest


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of a build's files, for its manifest."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in (INDEX, ORIGINALS, IDS, EMBEDDINGS)
    }


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, manifest: Manifest, *, hashes: bool) -> None:
    """Raise BrokenIndex unless the files are the ones that were written."""
    if set(manifest.files) != {INDEX, ORIGINALS, IDS, EMBEDDINGS}:
        raise BrokenIndex(path=folder / MANIFEST, reason="it does not list the files of a build")
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            same = path.stat().st_size == expected["bytes"] and (not hashes or sha256(path) == expected["sha256"])
        except OSError as error:
            raise BrokenIndex(path=path, reason=error) from error
        if not same:
            raise BrokenIndex(path=path, reason="it is not the file that was written")


class OriginalRows:
    """The descriptors of a build, memory-mapped. ``ids`` is rising."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        shape = (manifest.count, manifest.dim)
        self._rows: NDArray[np.float16] = np.memmap(folder / ORIGINALS, np.dtype("<f2"), "r", shape=shape)
        ids = np.fromfile(folder / IDS, np.dtype("<i8"))
        self._order = np.argsort(ids, kind="stable")
        self.ids: Ids = ids[self._order]

    def __len__(self) -> int:
        return len(self.ids)

    def vectors(self, ids: Ids) -> Descriptors:
        """(len(ids), dim) float32. Raises KeyError for an id that is not held."""
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        if not np.array_equal(self.ids[places], ids):
            raise KeyError(f"not in this build: {ids[self.ids[places] != ids][:3].tolist()}")
        return np.asarray(self._rows[self._order[places]], np.float32)

    def scores(self, query: Descriptors, ids: Ids) -> Scores:
        blocks = [self.vectors(ids[start : start + 8192]) @ query for start in range(0, len(ids), 8192)]
        return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


@dataclass(frozen=True)
class SavedBuild:
    """An opened build. Dropping the last reference closes its files."""

    manifest: Manifest
    index: Index
    originals: OriginalRows
    embedding_ids: Ids  # rising

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises BrokenIndex for anything missing, changed or unreadable."""
        from search.indexes import load_index

        manifest = Manifest.read(folder)
        size = sum(int(described["bytes"]) for described in manifest.files.values())
        verify(folder, manifest, hashes=size <= HASHED_UP_TO)
        try:
            index = load_index(folder / INDEX, **manifest.search_params)
            originals = OriginalRows(folder, manifest)
            embedding_ids = np.fromfile(folder / EMBEDDINGS, np.dtype("<i8"))
        except (OSError, ValueError) as error:
            raise BrokenIndex(path=folder, reason=error) from error
        if not len(index) == len(originals) == len(embedding_ids) == manifest.count:
            raise BrokenIndex(path=folder, reason="its files disagree on the number of pictures")
        return cls(manifest, index, originals, embedding_ids)
