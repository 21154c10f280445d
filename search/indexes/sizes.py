"""Which index suits how many pictures."""

from __future__ import annotations

import math
from typing import Any

FLAT_UP_TO = 20_000
HNSW_UP_TO = 200_000


def auto_factory(count: int, dim: int) -> tuple[str, dict[str, Any]]:
    """Factory string and search parameters for ``count`` descriptors of ``dim`` dimensions."""
    if count <= FLAT_UP_TO:
        return "Flat", {}
    if count <= HNSW_UP_TO:
        return "HNSW32,SQ8", {"efSearch": 128}
    nlist = 2 ** round(math.log2(4 * math.sqrt(count)))
    return f"IVF{nlist},SQ8", {"nprobe": max(16, nlist // 32)}
