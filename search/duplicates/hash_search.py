"""The nearest perceptual hashes, by Hamming distance. No Django."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.duplicates.phash import BITS

NEAREST = 16  # a bound: a thousand plain pictures share one hash, and would be half a million pairs


class HashSearch:
    """Exact; 8 bytes a picture. A million against a million take about nine minutes of one core."""

    def __init__(self, hashes: NDArray[np.uint8]) -> None:
        from search.indexes.faiss_module import faiss  # only now: a process that forks must not have used it before

        self._hashes = np.ascontiguousarray(hashes)
        self._index = faiss.IndexBinaryFlat(BITS)
        self._index.add(self._hashes)
        self._plain = self._hashes.max(axis=1, initial=0) == 0  # without a hash, or nothing to be seen on it

    def nearest(self, start: int, end: int, most: int) -> list[list[tuple[int, int]]]:
        """For each row in [start, end) the rows within ``most`` bits, as (row, distance), itself left out."""
        count = min(NEAREST + 1, len(self._hashes))
        distances, rows = self._index.search(self._hashes[start:end], count)
        return [
            [] if self._plain[start + place] else self._near(start + place, rows[place], distances[place], most)
            for place in range(end - start)
        ]

    def _near(
        self, own: int, rows: NDArray[np.int64], distances: NDArray[np.int32], most: int
    ) -> list[tuple[int, int]]:
        pairs = zip(rows.tolist(), distances.tolist(), strict=True)
        return [(row, distance) for row, distance in pairs if distance <= most and row not in (own, -1)]
