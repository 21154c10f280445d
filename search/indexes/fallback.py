"""An index on a server, answered by exact search over the stored originals while the server does not."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search.indexes.base import Allowed, BadParameter, Index, IndexFault, Selection, selection_of
from search.indexes.exact import ExactIndex
from search.types import Descriptors, Ids, Scores

if TYPE_CHECKING:
    from search.indexes.saved import OriginalRows

logger = logging.getLogger(__name__)

RETRY_S = 10.0  # a server that failed is left alone this long: no search waits for it in vain meanwhile
BLOCK = 16_384  # rows scored at once


class ExactWhenDown:
    """See ``Index``. Whatever the server's fault is, it is logged once in RETRY_S, and exact search answers."""

    def __init__(self, index: Index, originals: OriginalRows) -> None:
        self.index, self.originals, self.dim = index, originals, index.dim
        self._retry_at = 0.0

    def __len__(self) -> int:
        return len(self.index)

    @property
    def is_down(self) -> bool:
        return time.monotonic() < self._retry_at

    def search(
        self, x: Descriptors, k: int, allowed: Allowed | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        self.index.check(params)
        if not self.is_down:
            try:
                return self.index.search(x, k, allowed, excluded=excluded, **params)
            except BadParameter:
                raise
            except IndexFault as error:
                self._retry_at = time.monotonic() + RETRY_S
                logger.error("exact search answers for the next %d seconds: %s", RETRY_S, error)
        return scan(self.originals, x, k, allowed, excluded)

    def train(self, x: Descriptors) -> None:
        self.index.train(x)

    def add(self, ids: Ids, x: Descriptors) -> None:
        self.index.add(ids, x)

    def prepare(self, allowed: Ids) -> Selection:
        return self.index.prepare(allowed)

    def code_bytes(self) -> int:
        return self.index.code_bytes()

    def check(self, params: Mapping[str, Any]) -> None:
        self.index.check(params)

    def save(self, path: Path) -> None:
        self.index.save(path)


def scan(
    originals: OriginalRows, x: Descriptors, k: int, allowed: Allowed | None = None, excluded: Ids | None = None
) -> tuple[Scores, Ids]:
    """Exact search, (len(x), k), over memory-mapped originals block by block: the whole never lies in memory."""
    ids = originals.ids
    if allowed is not None:
        selection = allowed if isinstance(allowed, Selection) else selection_of(allowed)
        ids = ids[selection.holds(ids)]
    best = np.full((len(x), k), -np.inf, np.float32), np.full((len(x), k), -1, np.int64)
    for start in range(0, len(ids), BLOCK):
        block = ids[start : start + BLOCK]
        part = ExactIndex(x.shape[1])
        part.add(block, originals.vectors(block))
        scores, found = part.search(x, k, excluded=excluded)
        scores, found = np.hstack([best[0], scores]), np.hstack([best[1], found])
        order = np.lexsort((found, -scores), axis=-1)[:, :k]
        best = np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)
    return best
