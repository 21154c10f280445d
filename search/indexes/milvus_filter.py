"""How a filter reaches Milvus: as a list of ids in the expression, or by searching wide and keeping what is allowed.

A list of 10,000 ids costs the server some 50 ms to read. So a small selection is sent as it is, a large one
as what is left out, and one between the two is searched for wide, the hits kept here; only where that comes
home with too few is the selection sent in pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from search.indexes.base import Allowed, Selection, selection_of
from search.types import Ids

LISTED = 10_000  # ids in one expression
LIMIT = 16_384  # hits of one search: Milvus's own limit


@dataclass(frozen=True)
class Plan:
    """``chosen``: rising ids that are held and may be found; None: all of them, or all but ``left_out``."""

    held: int
    chosen: Ids | None = None
    left_out: Ids | None = None

    @property
    def available(self) -> int:
        if self.chosen is not None:
            return len(self.chosen)
        return self.held - (0 if self.left_out is None else len(self.left_out))

    @property
    def share(self) -> float:
        return self.available / max(1, self.held)

    @property
    def is_listed(self) -> bool:
        """Whether one expression says it."""
        return self.chosen is None or len(self.chosen) <= LISTED

    @property
    def expression(self) -> str:
        if self.chosen is not None:
            return within(self.chosen)
        return "" if self.left_out is None else without(self.left_out)

    def ids(self, held: Ids) -> Ids:
        """The ids that may be found, rising; ``held`` is what the plan was made from."""
        if self.chosen is not None:
            return self.chosen
        return held if self.left_out is None else np.setdiff1d(held, self.left_out, assume_unique=True)

    def wide_limit(self, k: int) -> int:
        """Hits to ask for so that ``k`` allowed ones are likely among them; over LIMIT: not worth trying."""
        return math.ceil(1.5 * k / self.share) + 64

    def pieces(self) -> Iterator[Ids]:
        assert self.chosen is not None
        for start in range(0, len(self.chosen), LISTED):
            yield self.chosen[start : start + LISTED]


def plan(held: Ids, allowed: Allowed | None, excluded: Ids | None, owner: object) -> Plan:
    """``held``: rising ids of the index ``owner``."""
    out = None if excluded is None or not len(excluded) else held[places(held, excluded)]
    if allowed is None:
        return _without(held, out)
    chosen = chosen_of(held, allowed, owner)
    if out is not None and len(out):
        chosen = np.setdiff1d(chosen, out, assume_unique=True)
    if len(chosen) > LISTED and len(held) - len(chosen) <= LISTED:
        return _without(held, np.setdiff1d(held, chosen, assume_unique=True))
    return Plan(len(held), chosen)


def _without(held: Ids, out: Ids | None) -> Plan:
    if out is None or not len(out):
        return Plan(len(held))
    if len(out) <= LISTED:
        return Plan(len(held), left_out=out)
    return Plan(len(held), np.setdiff1d(held, out, assume_unique=True))


def chosen_of(held: Ids, allowed: Allowed, owner: object) -> Ids:
    """Those of ``allowed`` that are held, rising; made by ``prepare`` already where ``owner`` is the one it was for."""
    selection = allowed if isinstance(allowed, Selection) else selection_of(allowed)
    if selection.owner is owner and selection.rows is not None:
        rows: Ids = selection.rows
        return rows
    return held[places(held, selection.ids)]


def places(held: Ids, ids: Ids) -> Ids:
    """Where those of ``ids`` that are held stand in ``held`` (rising); each once, rising."""
    if not len(held) or not len(ids):
        return np.empty(0, np.int64)
    ids = np.unique(ids)
    at = np.minimum(np.searchsorted(held, ids), len(held) - 1)
    found: Ids = at[held[at] == ids]
    return found


def within(ids: Ids) -> str:
    return f"id in {_list(ids)}"


def without(ids: Ids) -> str:
    return f"not (id in {_list(ids)})"


def _list(ids: Ids) -> str:
    return "[" + ",".join(map(str, ids.tolist())) + "]"
