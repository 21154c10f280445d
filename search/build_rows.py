"""What a build is made from while it is made: descriptors in a file, ids in memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.types import Descriptors, Ids

CHUNK = 4096  # rows added at once
FORGET_AFTER = 65_536  # rows read


@dataclass
class Rows:
    """What was read: descriptors on the disk, ids in memory."""

    originals: NDArray[np.float16]  # (n, dim), memory-mapped
    ids: Ids
    embedding_ids: Ids
    watermark: int
    read: int = 0  # rows, since the file's pages were last let go

    def vectors(self, rows: slice | NDArray[Any]) -> Descriptors:
        """A copy in float32; what was read of the file is not kept in this process's memory for long."""
        x = np.asarray(self.originals[rows], np.float32)
        self.read += len(x)
        if self.read >= FORGET_AFTER:
            self.forget()
        return x

    def chunks(self, report: Callable[[int], None]) -> Iterator[tuple[slice, Descriptors]]:
        """All rows in order, reported."""
        for start in range(0, len(self.ids), CHUNK):
            block = slice(start, min(start + CHUNK, len(self.ids)))
            yield block, self.vectors(block)
            report(block.stop)

    def forget(self) -> None:
        """Let the pages of the file go that were read; they stay in the system's cache while there is room."""
        mapping = getattr(self.originals, "_mmap", None)
        if mapping is not None:
            mapping.madvise(mmap.MADV_DONTNEED)
        self.read = 0
