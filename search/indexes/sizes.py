"""Which index suits how many pictures, and how wide to search one that was named without saying."""

from __future__ import annotations

import math
import re
from typing import Any

FLAT_UP_TO = 5_000
HNSW_UP_TO = 500_000
POINTS_PER_CELL = 39  # FAISS's least for k-means
GRAPH_FROM = 2048  # cells: from here on a graph finds the nearest of them quicker than comparing all
AXES_AT_LEAST, AXES_AT_MOST = 64, 384


def auto_factory(count: int, dim: int) -> tuple[str, dict[str, Any]]:
    """Factory string and search parameters for ``count`` descriptors of ``dim`` dimensions.

    All of them one by one while that is quick enough, for it is exact, also under every filter, and
    builds at once. As SQfp16, not Flat: descriptors are stored in float16, so nothing is lost, and half
    the memory is read: a query of 1280 dimensions over 10,000 took 1.6 ms of one core instead of 3.0, with the
    same scores to the last bit. From 5,000 on that is the largest part of a request (3.9 ms of one core at 10,000 of
    1368 dimensions). Then a graph over 8-bit codes: a query stays below a millisecond, a quarter
    of the memory is used, and the fine tier makes up for the codes. A graph's memory (some 270 bytes a
    picture) and build time (minutes from half a million on) grow with the catalog, so the largest get inverted
    lists of 1-bit codes (decision 12).
    """
    if count <= FLAT_UP_TO:
        factory = "SQfp16"
    elif count <= HNSW_UP_TO:
        factory = "HNSW32,SQ8"
    else:
        factory = compact_factory(count, dim)
    return factory, default_params(factory)


def compact_factory(count: int, dim: int) -> str:
    """Inverted lists of RaBitQ codes: a bit for each of the axes that are kept, and 8 bytes."""
    return f"PCAR{axes_for(dim)},{cells_for(count)},RaBitQ"


def axes_for(dim: int) -> int:
    """Principal axes that 1-bit codes keep: half of them, for the other half tells pictures hardly apart.

    Rotated at random, as RaBitQ asks for: without that its error grows with what the first axes hold.
    """
    return min(dim, max(AXES_AT_LEAST, min(AXES_AT_MOST, dim // 2)))


def cells_for(count: int) -> str:
    """About 4 sqrt(n) cells, as FAISS's guidelines have it, and no more than can be learned; a power of two."""
    most = math.log2(max(1, count / POINTS_PER_CELL))
    cells = 2 ** int(min(round(math.log2(4 * math.sqrt(max(1, count)))), most))
    return f"IVF{cells}_HNSW32" if cells >= GRAPH_FROM else f"IVF{cells}"


def default_params(factory: str) -> dict[str, Any]:
    """Search parameters for a factory. FAISS's own (nprobe 1, efSearch 16) find too little to be of use.

    Half the square root of the cells: 32 of 4096 found 0.98 of the first ten among a million real descriptors,
    64 found 0.99 in half as much time again (decision 12).
    """
    params: dict[str, Any] = {}
    if cells := re.search(r"IVF(\d+)", factory):
        nlist = int(cells[1])
        params["nprobe"] = min(nlist, max(16, round(math.sqrt(nlist) / 2))) or 1
    elif "HNSW" in factory:
        params["efSearch"] = 128
    return params
