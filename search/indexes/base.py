"""What every index does, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from catalog.errors import LookalikeError, gettext_noop
from search.types import Descriptors, Ids, Scores


class IndexFault(LookalikeError):
    """Base of what can go wrong with an index."""

    code = "index"


class BadFactory(IndexFault):
    code = "bad_factory"
    text = gettext_noop("FAISS cannot make an index '%(factory)s' of %(dim)s dimensions: %(reason)s.")
    cure = gettext_noop("Write a factory string such as Flat, HNSW32 or IVF512,SQ8, or leave it empty.")


class BadParameter(IndexFault):
    code = "bad_search_parameter"
    text = gettext_noop("The index '%(factory)s' has no search parameter '%(name)s'.")
    cure = gettext_noop("It has: %(choices)s.")


class DuplicateIds(IndexFault):
    code = "duplicate_ids"
    text = gettext_noop("%(count)s ids are twice in the index, for example %(example)s.")


class BrokenIndex(IndexFault):
    code = "broken_index"
    text = gettext_noop("The index file %(path)s cannot be opened: %(reason)s.")
    cure = gettext_noop("Build the index again.")


class Index(Protocol):
    """Descriptors in, nearest ids out. Searching is safe from many threads; adding is not."""

    dim: int

    def __len__(self) -> int: ...

    def train(self, x: Descriptors) -> None:
        """Learn the index's cells and codes from ``x`` (n, dim)."""

    def add(self, ids: Ids, x: Descriptors) -> None:
        """Add ``x`` (n, dim) under ``ids`` (n,), >= 0. Raises DuplicateIds, and then adds none."""

    def search(
        self, x: Descriptors, k: int, allowed: Ids | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        """The ``k`` highest inner products of each row of ``x``, ordered by (-score, id).

        ``allowed``: only these ids; ``excluded``: none of these. Ids the index does not hold are
        ignored. Rows are padded with id -1 and score -inf. ``params`` are the index's own, for example
        nprobe or efSearch, and hold for this call alone. Returns two arrays of (len(x), k).
        """

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise BadParameter for a search parameter this index does not have."""

    def save(self, path: Path) -> None: ...


def check_new(known: Ids, ids: Ids) -> None:
    """Raise DuplicateIds if ``ids`` repeat themselves or meet ``known``."""
    unique, counts = np.unique(ids, return_counts=True)
    repeated = unique[counts > 1]
    # Ids mostly come in rising order: then nothing old can be met, and the pass over it is spared.
    if not repeated.size and known.size and ids.size and unique[0] <= known.max():
        repeated = unique[np.isin(unique, known)]
    if repeated.size:
        raise DuplicateIds(count=repeated.size, example=int(repeated[0]))


def ordered(scores: Scores, ids: Ids, k: int) -> tuple[Scores, Ids]:
    """One query's candidates in order (-score, id), cut or padded to ``k``. Ids of -1 are dropped."""
    real = ids >= 0
    scores, ids = scores[real], ids[real]
    order = np.lexsort((ids, -scores))[:k]
    missing = k - len(order)
    return (
        np.pad(scores[order], (0, missing), constant_values=-np.inf).astype(np.float32),
        np.pad(ids[order], (0, missing), constant_values=-1).astype(np.int64),
    )
