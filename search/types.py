"""Array types of the core."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Descriptors: TypeAlias = NDArray[np.float32]  # (n, dim), rows L2-normalised
Scores: TypeAlias = NDArray[np.float32]  # (queries, k), inner products; -inf where there is no hit
Ids: TypeAlias = NDArray[np.int64]  # (queries, k) or (n,); -1 where there is no hit
