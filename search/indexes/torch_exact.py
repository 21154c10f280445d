"""Exact search in half precision by torch: on a GPU without a GPU build of FAISS, on the CPU for the tests.

The descriptors lie on the device as float16. Their products are summed in float32, block by block, and the best
are scored again in float32: so the order is the exact one of what is stored.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from search.indexes.base import BrokenIndex
from search.indexes.device import CUDA, device_lock, wanted
from search.indexes.ids import RowIds
from search.indexes.masks import RowMask
from search.indexes.rows import RowIndex
from search.types import Descriptors, Ids, Scores

logger = logging.getLogger(__name__)

ROWS_AT_ONCE, QUERIES_AT_ONCE = 262_144, 64  # 64 MB of scores
SPARE = 32  # candidates scored again beyond those asked for: a GPU's halves may swap what lies that close


class TorchExactIndex(RowIndex):
    """See ``Index``. ``device``: auto (a GPU where there is one), cpu, cuda; empty: the one that is wanted for FAISS.

    One search at a time on a GPU. Without a GPU, or without room on it, the CPU does the same, with a warning.
    """

    def __init__(self, dim: int, device: str = "", search_params: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__(dim, RowIds(), "torch_exact", {}, search_params)
        import torch  # slow, and needed by nobody else: a web process without such an index never loads it

        self._torch: Any = torch
        self.device = self._named(device or wanted())
        self._matrix = self._empty(0)

    def _named(self, device: str) -> str:
        if device == "cpu" or self._torch.cuda.is_available():
            return "cpu" if device == "cpu" else CUDA
        if device == "cuda":
            logger.warning("torch finds no GPU: exact search runs on the CPU")
        return "cpu"

    def _empty(self, rows: int) -> Any:
        return self._torch.empty((rows, self.dim), dtype=self._torch.float16, device=self.device)

    def train(self, x: Descriptors) -> None:
        """Nothing to learn."""

    def add(self, ids: Ids, x: Descriptors) -> None:
        """See ``Index``. Room grows by half, so that few additions copy what is there."""
        self._ids.check_new(ids)
        start, end = len(self), len(self) + len(ids)
        with device_lock(self.device):
            if end > len(self._matrix):
                self._grow(start, max(end, start + start // 2, 1024))
            self._matrix[start:end] = self._sent(x).to(self._torch.float16)
        self._ids.append(ids)

    def _grow(self, count: int, rows: int) -> None:
        try:
            grown = self._empty(rows)
        except self._torch.OutOfMemoryError as error:
            logger.warning("the GPU has no room for %d rows, exact search goes on on the CPU: %s", rows, error)
            self.device = "cpu"
            grown = self._empty(rows)
        grown[:count] = self._matrix[:count].to(self.device)
        self._matrix = grown

    def code_bytes(self) -> int:
        """On the device, and the ids in memory."""
        return 2 * self.dim * len(self) + self._ids.nbytes

    def _sent(self, x: NDArray[Any]) -> Any:
        return self._torch.from_numpy(np.array(x, order="C")).to(self.device)

    def _queries(self, x: Descriptors) -> NDArray[Any]:
        return np.ascontiguousarray(x, np.float32)

    def _made_parameters(self, selector: Any, values: dict[str, Any]) -> Any:
        return None

    def _nearest(self, x: NDArray[Any], fetch: int, values: dict[str, Any]) -> tuple[Scores, Ids]:
        return self._searched(x, fetch, None)

    def _nearest_of(self, x: NDArray[Any], fetch: int, mask: RowMask, values: dict[str, Any]) -> tuple[Scores, Ids]:
        return self._searched(x, fetch, mask.holds(np.arange(len(self))))

    def _searched(self, x: NDArray[Any], fetch: int, mask: NDArray[np.bool_] | None) -> tuple[Scores, Ids]:
        with device_lock(self.device), self._torch.inference_mode():
            there = None if mask is None else self._sent(mask)
            blocks = [
                self._block(self._sent(x[start : start + QUERIES_AT_ONCE]), fetch, there)
                for start in range(0, len(x), QUERIES_AT_ONCE)
            ]
        return np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])

    def _block(self, x: Any, fetch: int, mask: Any) -> tuple[Scores, Ids]:
        """Scores and row numbers (queries, fetch) by (-score, row); -1 where there are no more."""
        torch, parts = self._torch, []
        for start in range(0, len(self), ROWS_AT_ONCE):
            rows = self._matrix[start : min(start + ROWS_AT_ONCE, len(self))]
            products = self._products(x, rows)
            if mask is not None:
                products.masked_fill_(~mask[start : start + len(rows)], -torch.inf)
            top = torch.topk(products, min(fetch + SPARE, len(rows)), dim=1)
            parts.append((top.values, top.indices + start))
        rough, near = (torch.cat(halves, 1) for halves in zip(*parts, strict=True))
        return self._rescored(x, rough, near, fetch)

    def _products(self, x: Any, rows: Any) -> Any:
        """(queries, rows) in float32. A GPU multiplies halves and sums in float32; a CPU is quicker in float32."""
        if self.device == CUDA:
            return (x.to(self._torch.float16) @ rows.T).to(self._torch.float32)
        return x @ rows.to(self._torch.float32).T

    def _rescored(self, x: Any, rough: Any, near: Any, fetch: int) -> tuple[Scores, Ids]:
        """The candidates in float32, query by query: all of them at once would be as large as the index."""
        scores = np.full((len(x), fetch), -np.inf, np.float32)
        rows = np.full((len(x), fetch), -1, np.int64)
        for number in range(len(x)):
            real = near[number][rough[number] > -self._torch.inf]
            exact = (self._matrix[real].to(self._torch.float32) @ x[number]).cpu().numpy()
            found = real.cpu().numpy()
            order = np.lexsort((found, -exact))[:fetch]
            scores[number, : len(order)], rows[number, : len(order)] = exact[order], found[order]
        return scores, rows

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, ids=self._ids.array, rows=self._matrix[: len(self)].cpu().numpy())

    @classmethod
    def load(cls, path: Path, device: str = "", search_params: Mapping[str, Any] = MappingProxyType({})) -> Self:
        """Raises BrokenIndex and BadParameter."""
        try:
            with np.load(path, allow_pickle=False) as data:
                index = cls(data["rows"].shape[1], device, search_params)
                index.add(data["ids"], data["rows"])
        except (OSError, ValueError, KeyError, IndexError, BadZipFile) as error:
            raise BrokenIndex(path=path, reason=error) from error
        return index
