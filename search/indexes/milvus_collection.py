"""One collection on a Milvus server: what is asked of it, and waiting till it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from search.indexes.milvus_filter import LIMIT, within
from search.indexes.milvus_kinds import WIDEST, BadMilvusIndex, Kind, Value
from search.indexes.milvus_server import (
    CALL_TIMEOUT_S,
    SEARCH_TIMEOUT_S,
    MilvusDown,
    MilvusRefused,
    client,
    faults,
    pymilvus,
    server,
)
from search.types import Descriptors, Ids, Scores

FIELD, KEY, METRIC = "vector", "id", "IP"
BATCH_BYTES = 8 * 1024**2  # of one insert, or of one answer with descriptors; the server takes up to 64 MB
ANSWER_CELLS = 500_000  # hits of one answer, over all its queries
FLUSH_TIMEOUT_S, POLL_S = 600.0, 0.2
AT_LEAST_K = frozenset({"ef", "reorder_k", "search_list", "itopk_size"})  # the server refuses less than hits asked for

Report = Callable[[int, int], None]  # rows done, of all


def silent(done: int, total: int) -> None:
    """Nobody waits for a report."""


class MilvusCollection:
    """Every method raises MilvusDown and MilvusRefused."""

    def __init__(self, name: str, dim: int) -> None:
        self.name, self.dim = name, dim
        self.changed = False  # since it was loaded: then a search waits for what was written

    @property
    def at_once(self) -> int:
        """Rows in one message."""
        return max(1, BATCH_BYTES // (4 * self.dim + 8))

    @property
    def _consistency(self) -> str:
        return "Strong" if self.changed else "Eventually"

    def create(self) -> None:
        """Anew: one of that name is dropped."""
        milvus, module = client(), pymilvus()
        with faults():
            schema = module.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field(KEY, module.DataType.INT64, is_primary=True)
            schema.add_field(FIELD, module.DataType.FLOAT_VECTOR, dim=self.dim)
            if milvus.has_collection(self.name, timeout=CALL_TIMEOUT_S):
                milvus.drop_collection(self.name, timeout=CALL_TIMEOUT_S)
            milvus.create_collection(self.name, schema=schema, timeout=CALL_TIMEOUT_S)

    def drop(self) -> None:
        with faults():
            client().drop_collection(self.name, timeout=CALL_TIMEOUT_S)

    def send(self, ids: Ids, x: Descriptors, *, replace: bool = False) -> None:
        """Insert (n,) ids with (n, dim) descriptors, or upsert."""
        write = client().upsert if replace else client().insert
        x = np.ascontiguousarray(x, np.float32)
        for start in range(0, len(ids), self.at_once):
            block = slice(start, start + self.at_once)
            rows = [{KEY: id_, FIELD: row} for id_, row in zip(np.asarray(ids)[block].tolist(), x[block], strict=True)]
            with faults():
                write(self.name, rows, timeout=CALL_TIMEOUT_S)
        self.changed = True

    def delete(self, ids: Ids) -> None:
        for start in range(0, len(ids), LIMIT):
            some = np.asarray(ids)[start : start + LIMIT].tolist()
            with faults():
                client().delete(self.name, ids=some, timeout=CALL_TIMEOUT_S)
        self.changed = True

    def index(self, kind: Kind, built: Mapping[str, Value], report: Report) -> None:
        """Flush, index and load, and wait for each. What ``report`` raises ends it. Raises BadMilvusIndex."""
        wanted = pymilvus().MilvusClient.prepare_index_params()
        wanted.add_index(FIELD, index_type=kind.name, metric_type=METRIC, params=dict(built))
        with faults():
            client().flush(self.name, timeout=FLUSH_TIMEOUT_S)
        try:
            with faults():
                client().create_index(self.name, wanted, timeout=CALL_TIMEOUT_S, sync=False)
        except MilvusRefused as error:
            raise BadMilvusIndex(factory=kind.factory, dim=self.dim, reason=error.params["reason"]) from error
        self._await_index(kind, report)
        self.load(report)

    def _await_index(self, kind: Kind, report: Report) -> None:
        while True:
            with faults():
                found = client().describe_index(self.name, FIELD, timeout=CALL_TIMEOUT_S) or {}
            state = str(found.get("state", "Finished"))
            if state == "Failed":
                reason = found.get("index_state_fail_reason") or "the server does not say why"
                raise BadMilvusIndex(factory=kind.factory, dim=self.dim, reason=reason)
            report(int(found.get("indexed_rows", 0)), int(found.get("total_rows", 0)))
            if state == "Finished" and not int(found.get("pending_index_rows", 0)):
                return
            time.sleep(POLL_S)

    def load(self, report: Report = silent) -> None:
        """Into the server's memory, where it can be searched, and wait; one that is there stays as it is."""
        self._begin_loading()
        while True:
            with faults():
                found = client().get_load_state(self.name, timeout=CALL_TIMEOUT_S)
            loaded = found.get("state") == pymilvus().client.types.LoadState.Loaded
            report(100 if loaded else int(found.get("progress", 0)), 100)
            if loaded:
                break
            time.sleep(POLL_S)
        self.changed = False

    def _begin_loading(self) -> None:
        with faults():
            client().load_collection(self.name, timeout=CALL_TIMEOUT_S, _async=True)

    def search(self, x: Descriptors, k: int, expression: str, values: Mapping[str, Any]) -> tuple[Scores, Ids]:
        """(len(x), k), as the server orders them; padded with -inf and -1."""
        values = {name: max(value, k) if name in AT_LEAST_K else value for name, value in values.items()}
        if "ef" in values:
            values["ef"] = min(values["ef"], WIDEST)
        scores, ids = nothing(len(x), k)
        at_once = max(1, ANSWER_CELLS // k)
        for start in range(0, len(x), at_once):
            for row, hits in enumerate(self._answer(x[start : start + at_once], k, expression, values), start):
                found = np.asarray(hits.ids, np.int64)
                scores[row, : len(found)], ids[row, : len(found)] = hits.distances, found
        return scores, ids

    def _answer(self, x: Descriptors, k: int, expression: str, values: Mapping[str, Any]) -> Any:
        how = {"metric_type": METRIC, "params": dict(values)}
        try:
            with faults():
                return client().search(
                    self.name,
                    data=x,
                    anns_field=FIELD,
                    limit=k,
                    filter=expression,
                    search_params=how,
                    consistency_level=self._consistency,
                    timeout=SEARCH_TIMEOUT_S,
                )
        except MilvusRefused as error:
            if "not loaded" not in str(error):
                raise
            self._begin_loading()  # somebody released it: it is there again in a while
            raise MilvusDown(uri=server().shown, reason=f"it is loading {self.name}") from error

    def vectors(self, ids: Ids) -> tuple[Ids, Descriptors]:
        """Those of at most ``at_once`` ids that are there, and their descriptors."""
        with faults():
            rows = client().query(
                self.name,
                filter=within(ids),
                output_fields=[KEY, FIELD],
                consistency_level=self._consistency,
                timeout=SEARCH_TIMEOUT_S,
            )
        found = np.array([row[KEY] for row in rows], np.int64)
        return found, np.array([row[FIELD] for row in rows], np.float32).reshape(len(found), self.dim)


def nothing(rows: int, k: int) -> tuple[Scores, Ids]:
    return np.full((rows, k), -np.inf, np.float32), np.full((rows, k), -1, np.int64)
