"""How a descriptor lies in the database: little-endian float16."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.types import Descriptors


def to_bytes(x: Descriptors) -> list[bytes]:
    """(n, dim) -> n rows of little-endian float16."""
    return [row.tobytes() for row in np.ascontiguousarray(x, dtype="<f2")]


def from_bytes(data: bytes | memoryview, dim: int) -> NDArray[np.float32]:
    """What ``to_bytes`` made of one descriptor -> float32 (dim,)."""
    return np.frombuffer(data, dtype="<f2", count=dim).astype(np.float32)
