"""An index on a Milvus server, one collection each, behind the contract of every index.

The server keeps descriptors and codes; here are the ids alone, so that filters can be planned and ids told
apart. Nothing is asked of the server before the first call that needs it: a build opens also while it is down.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import Allowed, BrokenIndex, Selection, ordered, selection_of
from search.indexes.ids import RowIds
from search.indexes.milvus_collection import MilvusCollection, Report, nothing, silent
from search.indexes.milvus_filter import LIMIT, Plan, chosen_of, plan, within
from search.indexes.milvus_kinds import Kind, Value, kind_of
from search.types import Descriptors, Ids, Scores

EXACT_UP_TO = 16_384  # ids whose descriptors are fetched and scored here, where the index comes home with too few
_NONE: Ids = np.empty(0, np.int64)


class MilvusIndex:
    """See ``Index``. ``built``: what the server built it with; None before ``finish``."""

    def __init__(
        self,
        collection: MilvusCollection,
        kind: Kind,
        ids: Ids,
        built: Mapping[str, Value] | None,
        search_params: Mapping[str, Any],
    ) -> None:
        kind.check(search_params)
        self.collection, self.kind, self.dim = collection, kind, collection.dim
        self.built, self.search_params = built, dict(search_params)
        self._rows = RowIds(ids)
        self._exists = built is not None

    @classmethod
    def create(cls, factory: str, dim: int, search_params: Mapping[str, Any], collection: str = "") -> Self:
        """An empty index. Raises BadFactory and BadParameter.

        The server is asked when training or adding begins; a ``collection`` of that name is dropped then.
        """
        kind = kind_of(factory, dim)
        name = collection or f"lookalike_{uuid.uuid4().hex}"
        return cls(MilvusCollection(name, dim), kind, _NONE, None, search_params)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def factory(self) -> str:
        return self.kind.factory

    def check(self, params: Mapping[str, Any]) -> None:
        self.kind.check(params)

    def train(self, x: Descriptors) -> None:
        """Make the collection; the server trains by itself, on what it will hold."""
        self._created()

    def add(self, ids: Ids, x: Descriptors) -> None:
        """See ``Index``."""
        self._rows.check_new(ids)
        self._created()
        self.collection.send(ids, x)
        self._rows.append(ids)
        self.__dict__.pop("_held", None)

    def upsert(self, ids: Ids, x: Descriptors) -> None:
        """Add, or replace where an id is there. ``ids`` come once each."""
        self._created()
        self.collection.send(ids, x, replace=True)
        self._rows.append(np.asarray(ids, np.int64)[~np.isin(ids, self._held)])
        self.__dict__.pop("_held", None)

    def delete(self, ids: Ids) -> None:
        """Those that are not held are no matter."""
        self.collection.delete(ids)
        self._rows = RowIds(np.setdiff1d(self._held, ids))
        self.__dict__.pop("_held", None)

    def _created(self) -> None:
        if not self._exists:
            self.collection.create()
            self._exists = True

    @cached_property
    def _held(self) -> Ids:
        """Rising."""
        return np.sort(self._rows.array)

    def finish(self, report: Report = silent) -> None:
        """Let the server index and load what was added, and wait. What ``report`` raises ends it."""
        self._created()
        built = self.kind.build_params(len(self), self.dim)
        self.collection.index(self.kind, built, report)
        self.search_params = {**self.kind.search_params(built), **self.search_params}
        self.built = built

    def search(
        self, x: Descriptors, k: int, allowed: Allowed | None = None, *, excluded: Ids | None = None, **params: Any
    ) -> tuple[Scores, Ids]:
        """See ``Index``. At most 16,384 hits a query, Milvus's own limit: what is deeper is padded."""
        self.check(params)
        if self.built is None and len(self):
            self.finish()
        x = np.ascontiguousarray(x, np.float32)
        how = plan(self._held, allowed, excluded, self)
        want = min(k, how.available, LIMIT)
        if not want or not len(x):
            return nothing(len(x), k)
        found = self._settled(x, want, how, {**self.search_params, **params})
        pairs = [ordered(scores, ids, k) for scores, ids in zip(*found, strict=True)]
        return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])

    def prepare(self, allowed: Ids) -> Selection:
        selection = selection_of(allowed)
        return Selection(selection.ids, chosen_of(self._held, selection, self), self)

    def code_bytes(self) -> int:
        """Of the server's memory, by arithmetic: Milvus does not tell."""
        built = self.kind.build_params(len(self), self.dim) if self.built is None else self.built
        return self.kind.code_bytes(len(self), self.dim, built)

    def _settled(self, x: Descriptors, want: int, how: Plan, values: dict[str, Any]) -> tuple[Scores, Ids]:
        """As FaissIndex does: more are fetched where equal scores reach over the edge, within reason."""
        fetch, most = min(want + 1, how.available, LIMIT), min(how.available, 4 * want + 256, LIMIT)
        while True:
            scores, ids = self._filled(x, fetch, how, values)
            undecided = fetch > want and bool(np.any((ids[:, -1] >= 0) & (scores[:, want - 1] == scores[:, -1])))
            if not undecided or fetch >= most:
                return scores, ids
            fetch = min(2 * fetch, most)

    def _filled(self, x: Descriptors, fetch: int, how: Plan, values: dict[str, Any]) -> tuple[Scores, Ids]:
        """(len(x), fetch) hits. Under a filter, rows with too few are searched again, as wide as it goes.

        Without one they stay short, as FAISS's do: an evaluation must see the index as it is.
        """
        scores, ids = self._first(x, fetch, how, values)
        if how.chosen is None:
            return scores, ids
        for again in (self._everywhere, self._exactly):
            short = np.flatnonzero(np.count_nonzero(ids >= 0, axis=1) < fetch)
            if not len(short):
                break
            scores[short], ids[short] = again(x[short], fetch, how)
        return scores, ids

    def _first(self, x: Descriptors, fetch: int, how: Plan, values: dict[str, Any]) -> tuple[Scores, Ids]:
        if how.is_listed:
            return self.collection.search(x, fetch, how.expression, self._widened(values, how.share))
        limit = how.wide_limit(fetch)
        if limit > LIMIT:
            return nothing(len(x), fetch)
        assert how.chosen is not None
        scores, ids = self.collection.search(x, limit, "", values)
        real = np.isin(ids, how.chosen)
        return front(np.where(real, scores, -np.inf), np.where(real, ids, -1), fetch)

    def _everywhere(self, x: Descriptors, fetch: int, how: Plan) -> tuple[Scores, Ids]:
        """All cells, or the widest look into a graph; a long selection piece by piece."""
        if how.is_listed:
            return self.collection.search(x, fetch, how.expression, self._widened(self.search_params, 0.0))
        best = nothing(len(x), fetch)
        for piece in how.pieces():
            values = self._widened(self.search_params, len(piece) / how.held)
            found = self.collection.search(x, min(fetch, len(piece)), within(piece), values)
            best = front(np.hstack([best[0], found[0]]), np.hstack([best[1], found[1]]), fetch)
        return best

    def _exactly(self, x: Descriptors, fetch: int, how: Plan) -> tuple[Scores, Ids]:
        """Few ids that a graph does not reach: their descriptors, scored here. Too many: as many as there were."""
        if how.available > EXACT_UP_TO:
            return self._everywhere(x, fetch, how)
        chosen, best = how.ids(self._held), nothing(len(x), fetch)
        for start in range(0, len(chosen), self.collection.at_once):
            ids, vectors = self.collection.vectors(chosen[start : start + self.collection.at_once])
            every = np.broadcast_to(ids, (len(x), len(ids)))
            best = front(np.hstack([best[0], x @ vectors.T]), np.hstack([best[1], every]), fetch)
        return best

    def _widened(self, values: Mapping[str, Any], share: float) -> dict[str, Any]:
        """Search wider under a filter, so that as many allowed rows are met as all rows without one."""
        name = self.kind.type.widens
        if name not in values:
            return dict(values)
        most = int((self.built or {}).get("nlist", 4096))
        wide = min(math.ceil(values[name] / share), max(most, values[name])) if share else most
        return {**values, name: wide}

    def save(self, path: Path) -> None:
        """A pointer to the collection, and how it was built."""
        if self.built is None:
            self.finish()
        pointer = {"collection": self.collection.name, "factory": self.factory, "dim": self.dim, "built": self.built}
        path.write_text(json.dumps(pointer, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path, ids: Ids, **search_params: Any) -> Self:
        """What ``save`` wrote; ``ids`` are those it holds. Asks nothing of the server. Raises BrokenIndex."""
        try:
            pointer = json.loads(path.read_text(encoding="utf-8"))
            collection = MilvusCollection(str(pointer["collection"]), int(pointer["dim"]))
            factory, built = str(pointer["factory"]), dict(pointer["built"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokenIndex(path=path, reason=error) from error
        kind = kind_of(factory, collection.dim)
        return cls(collection, kind, ids, built, {**kind.search_params(built), **search_params})


def front(scores: NDArray[Any], ids: Ids, k: int) -> tuple[Scores, Ids]:
    """The first ``k`` of each row by (-score, id), padded."""
    order = np.lexsort((ids, -scores), axis=-1)[:, :k]
    missing = ((0, 0), (0, k - order.shape[1]))
    scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
    return (
        np.pad(scores, missing, constant_values=-np.inf).astype(np.float32),
        np.pad(ids, missing, constant_values=-1),
    )
