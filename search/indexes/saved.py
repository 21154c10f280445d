"""A build on disk: index, original descriptors, ids and a manifest; written once, opened by memory map.

index.faiss      the FAISS index, with our ids; or
milvus.json      which collection of the Milvus server it is, and how that was built
originals.f16    (count, dim) little-endian float16, row by row
ids.i64          picture id of each row
embeddings.i64   Embedding id of each row, rising
manifest.json    counts, factory, fingerprint, versions, and size and SHA-256 of the files above
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import BrokenIndex, Index
from search.indexes.half_precision import half_precision_scores
from search.indexes.ids import RowIds
from search.types import Descriptors, Ids, Scores

INDEX, POINTER, ORIGINALS, IDS, EMBEDDINGS, MANIFEST = (
    "index.faiss",
    "milvus.json",
    "originals.f16",
    "ids.i64",
    "embeddings.i64",
    "manifest.json",
)
INDEX_FILES = {"faiss": INDEX, "milvus": POINTER}  # by engine
FORMAT = 1
FEW = 1024  # rows up to which FAISS scores them, and sorts them besides
AT_ONCE = 8192  # rows of originals made float32 at once: 16 MB at 512 dimensions
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
    engine: str = "faiss"
    augmentation: dict[str, Any] = field(default_factory=dict)  # what originals.f16 was averaged with, if it was
    format: int = FORMAT

    @property
    def names(self) -> tuple[str, ...]:
        """The files beside it."""
        return INDEX_FILES[self.engine], ORIGINALS, IDS, EMBEDDINGS

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
        if manifest.engine not in INDEX_FILES:
            raise BrokenIndex(path=folder / MANIFEST, reason=f"it names an engine '{manifest.engine}'")
        if manifest.format != FORMAT:
            raise BrokenIndex(path=folder / MANIFEST, reason=f"format {manifest.format}, not {FORMAT}")
        return manifest


def describe(folder: Path, engine: str = "faiss") -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of a build's files, for its manifest."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in (INDEX_FILES[engine], ORIGINALS, IDS, EMBEDDINGS)
    }


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, manifest: Manifest, *, hashes: bool) -> None:
    """Raise BrokenIndex unless the files are the ones that were written."""
    if set(manifest.files) != set(manifest.names):
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
    """The descriptors of a build and their ids, memory-mapped: in memory is what was lately used."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._rows: NDArray[np.float16] = mapped(
            folder / ORIGINALS, "<f2", (manifest.count, manifest.dim), scattered=True
        )
        self._ids = RowIds(mapped(folder / IDS, "<i8", (manifest.count,)))

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def ids(self) -> Ids:
        """All of them, rising. Mostly they were written so, and it is the file itself."""
        ids = self._ids.array
        return ids if bool(np.all(ids[1:] > ids[:-1])) else np.sort(ids)

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of ``ids`` are in this build."""
        rows = self._ids.rows_of(ids)
        if len(rows) == len(ids):
            return np.ones(len(ids), bool)
        return np.isin(ids, self._ids.array[rows])

    def vectors(self, ids: Ids) -> Descriptors:
        """(len(ids), dim) float32. Raises KeyError for an id that is not held."""
        return self._stored(ids).astype(np.float32)

    def scores(self, query: Descriptors, ids: Ids) -> Scores:
        """(len(ids),) inner products with ``query`` (dim,). Raises KeyError as ``vectors``."""
        if len(ids) <= FEW:
            return half_precision_scores(query, self._stored(ids))
        return np.concatenate([self.vectors(ids[i : i + AT_ONCE]) @ query for i in range(0, len(ids), AT_ONCE)])

    def _stored(self, ids: Ids) -> NDArray[np.float16]:
        rows = self._ids.rows_of(ids)
        if len(rows) != len(ids):
            raise KeyError(f"not in this build: {ids[~self.holds(ids)][:3].tolist()}")
        return np.take(self._rows, rows, axis=0)


def mapped(path: Path, dtype: str, shape: tuple[int, ...], *, scattered: bool = False) -> NDArray[Any]:
    """A file of numbers as an array that is read where it is touched. Raises OSError, and ValueError if it is short.

    ``scattered``: single rows are read, here and there; the system then reads no neighbours along with them.
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    # Not np.memmap: indexing one makes another each time, which costs more than the reading.
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if scattered and hasattr(mmap, "MADV_RANDOM"):
        pages.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(pages, np.dtype(dtype), math.prod(shape)).reshape(shape)


@dataclass(frozen=True)
class SavedBuild:
    """An opened build. Dropping the last reference closes its files."""

    manifest: Manifest
    index: Index
    originals: OriginalRows
    embedding_ids: Ids  # rising

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises BrokenIndex for anything missing, changed or unreadable. A Milvus server is not asked yet."""
        manifest = Manifest.read(folder)
        size = sum(int(described["bytes"]) for described in manifest.files.values())
        verify(folder, manifest, hashes=size <= HASHED_UP_TO)
        try:
            originals = OriginalRows(folder, manifest)
            index = _opened(folder, manifest, originals)
            embedding_ids = mapped(folder / EMBEDDINGS, "<i8", (manifest.count,))
        except (OSError, ValueError) as error:
            raise BrokenIndex(path=folder, reason=error) from error
        if len(index) != manifest.count:
            raise BrokenIndex(path=folder, reason="its files disagree on the number of pictures")
        return cls(manifest, index, originals, embedding_ids)


def _opened(folder: Path, manifest: Manifest, originals: OriginalRows) -> Index:
    if manifest.engine == "milvus":
        from search.indexes.fallback import ExactWhenDown
        from search.indexes.milvus_index import MilvusIndex

        index = MilvusIndex.load(folder / POINTER, originals.ids, **manifest.search_params)
        return ExactWhenDown(index, originals)
    from search.indexes import load_index
    from search.indexes.gpu import on_gpu

    opened: Index = on_gpu(load_index(folder / INDEX, **manifest.search_params))
    return opened
