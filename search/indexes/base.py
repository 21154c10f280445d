"""What every index does, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, eq=False)
class Selection:
    """Ids that may be found, made ready for one index by its ``prepare``; every other index reads ``ids``.

    Immutable: it may be kept, and used by many threads. An index that has grown since takes its ``ids``.
    """

    ids: Ids  # rising, each once; also those that the index does not hold
    rows: Any = None  # the index's own
    owner: object = None  # the index it was made for

    def __len__(self) -> int:
        return len(self.ids)

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of ``ids`` are among them."""
        if not len(self.ids):
            return np.zeros(len(ids), bool)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        found: NDArray[np.bool_] = self.ids[places] == ids
        return found


Allowed: TypeAlias = "Ids | Selection"


def selection_of(ids: Ids) -> Selection:
    """``ids`` in any order, repeated or not, ready for any index."""
    return Selection(np.unique(np.asarray(ids, np.int64)))


class Index(Protocol):
    """Descriptors in, nearest ids out. Searching is safe from many threads; adding is not."""

    dim: int

    def __len__(self) -> int: ...

    def train(self, x: Descriptors) -> None:
        """Learn the index's cells and codes from ``x`` (n, dim)."""

    def add(self, ids: Ids, x: Descriptors) -> None:
        """Add ``x`` (n, dim) under ``ids`` (n,), >= 0. Raises DuplicateIds, and then adds none."""

    def search(
        self, x: Descriptors, k: int, allowed: Allowed | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        """The ``k`` highest inner products of each row of ``x``, ordered by (-score, id).

        ``allowed``: only these ids, an array or what ``prepare`` made of one; ``excluded``: none of these.
        Ids the index does not hold are ignored. Rows are padded with id -1 and score -inf. ``params`` are the
        index's own, for example nprobe or efSearch, and hold for this call alone. Returns two arrays of
        (len(x), k).
        """

    def prepare(self, allowed: Ids) -> Selection:
        """``allowed`` made ready to be given to many searches: the pass over the index is done once, here."""

    def code_bytes(self) -> int:
        """Bytes in memory of the index itself: codes, cells, graph and ids. A file that is mapped counts too."""

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
