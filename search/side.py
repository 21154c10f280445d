"""Embeddings that a build does not hold, searched exactly beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from django.db.models import QuerySet

from catalog.models import ImageRole
from search.indexes import ExactIndex, Selection
from search.indexes.saved import OriginalRows
from search.models import Embedding, SearchIndex
from search.types import Descriptors, Ids

# Ids are handed out before they are committed, so a lower id can appear after a higher one: each look
# goes this far back behind the highest id seen, until nothing has changed for a while.
OVERLAP = 1000
QUIET_S = 10.0
CHUNK = 512
HALF_PRECISION_FROM = 50_000  # rows held in float16 from here on: half the memory, twice the time
_NONE: Ids = np.empty(0, np.int64)


def embeddings_of(index: SearchIndex) -> QuerySet[Embedding]:
    """The embeddings that an index is made of: gallery pictures that could be embedded."""
    return Embedding.objects.filter(
        feature_model_id=index.feature_model_id,
        image__collection_id=index.collection_id,
        image__role=ImageRole.GALLERY,
        vector__isnull=False,
    )


def newest_embedding(index: SearchIndex) -> int:
    """The highest id under the index's feature model, whatever the collection: one look into the database's index."""
    rows = Embedding.objects.filter(feature_model_id=index.feature_model_id).order_by("-id")
    return rows.values_list("id", flat=True).first() or 0


def stream(rows: QuerySet[Embedding], dim: int) -> Iterator[tuple[Ids, Ids, Descriptors]]:
    """Embedding ids, picture ids and descriptors (n, dim) in chunks, by rising embedding id.

    By key, not by one long cursor: SQLite would hold its snapshot, and the log grow, as long as that.
    Raises ValueError for a vector of another length.
    """
    last = 0
    while chunk := list(rows.filter(id__gt=last).order_by("id").values_list("id", "image_id", "vector")[:CHUNK]):
        last = chunk[-1][0]
        yield (
            np.array([row[0] for row in chunk], np.int64),
            np.array([row[1] for row in chunk], np.int64),
            _vectors([bytes(row[2] or b"") for row in chunk], dim),
        )


def _vectors(data: list[bytes], dim: int) -> Descriptors:
    if any(len(vector) != 2 * dim for vector in data):
        raise ValueError(f"an embedding is not {dim} numbers long")
    return np.frombuffer(b"".join(data), np.dtype("<f2")).reshape(len(data), dim).astype(np.float32)


class Side:
    """Grows by ``refresh``, which one thread at a time may call while others search ``exact``.

    ``superseded``: pictures of the build that were embedded again since.
    """

    def __init__(
        self, index: SearchIndex, dim: int, build_embeddings: Ids, build: OriginalRows | None, watermark: int
    ) -> None:
        """``build_embeddings``: embedding ids of the build, rising; ``build``: its pictures."""
        self._rows = embeddings_of(index)
        self._index = index
        # Looked up, never sorted nor copied: of ten million this is done once a second.
        self._build_embeddings, self._build = Selection(build_embeddings), build
        self._known: set[int] = set()
        self._seen, self._newest, self._changed = watermark, -1, time.monotonic()
        self.dim = dim
        self.exact = ExactIndex(dim)
        self.superseded = _NONE
        # Of the embeddings taken in, their number and a sum over them: the same in every process that holds the same.
        self.content = (0, 0)
        self.refresh()

    def refresh(self) -> bool:
        """Take in what was embedded since. True if ``exact`` or ``superseded`` is another object now."""
        top = newest_embedding(self._index)
        if top != self._newest:
            self._newest, self._changed = top, time.monotonic()
        elif time.monotonic() - self._changed > QUIET_S:
            return False
        new = self._new_ids()
        before = (self.exact, self.superseded)
        if len(new) + len(self.exact) > HALF_PRECISION_FROM and not len(self.exact):
            self.exact = ExactIndex(self.dim, np.float16)
        for start in range(0, len(new), CHUNK):
            for _, ids, vectors in stream(self._rows.filter(id__in=new[start : start + CHUNK]), self.dim):
                self._add(ids, vectors)
        self._known.update(new)
        self._seen = max(self._seen, new[-1] if new else 0)
        # Last: an answer that is kept under what this says has seen all of it.
        self.content = self.content[0] + len(new), (self.content[1] + _mixed(new)) % 2**64
        return before[0] is not self.exact or before[1] is not self.superseded

    def _new_ids(self) -> list[int]:
        after = self._rows.filter(id__gt=max(0, self._seen - OVERLAP)).order_by("id")
        ids = np.fromiter(after.values_list("id", flat=True), np.int64)
        ids = ids[~self._build_embeddings.holds(ids)]
        return [id_ for id_ in ids.tolist() if id_ not in self._known]

    def _add(self, ids: Ids, vectors: Descriptors) -> None:
        again = np.isin(self.exact.ids, ids)
        if again.any():  # embedded again: a new index without the old rows, as searches may be reading this one
            self.exact = self.exact.without(ids)
        self.exact.add(ids, vectors)
        newer = ids[self._build.holds(ids)] if self._build is not None else _NONE
        if newer.size:
            self.superseded = np.union1d(self.superseded, newer)


def _mixed(ids: list[int]) -> int:
    """Sum of the ids, each mixed by the finaliser of SplitMix64 (G. Steele et al., 2014), modulo 2 ** 64."""
    x = np.array(ids, np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return int((x ^ (x >> np.uint64(31))).sum(dtype=np.uint64))
