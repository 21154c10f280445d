"""Selections made ready for one build's index (bitmaps), kept as long as the build and within a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from search.indexes import Index, Selection

PREPARED_BYTES = 64 * 1024**2


@dataclass
class PreparedSelections:
    """What an index made of selections (bitmaps), the least lately used dropped beyond ``most_bytes``.

    It lives and dies with the build it is for.
    """

    most_bytes: int = PREPARED_BYTES
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ready: OrderedDict[int, tuple[Selection, Selection]] = field(default_factory=OrderedDict)

    def of(self, index: Index, selection: Selection) -> Selection:
        """``selection`` prepared for ``index``, once."""
        key = id(selection)  # it is kept, so no other can get the same
        with self._lock:
            if key in self._ready:
                self._ready.move_to_end(key)
                return self._ready[key][1]
        # Its ids are those of the selection: one copy is enough.
        prepared = replace(index.prepare(selection.ids), ids=selection.ids)
        with self._lock:
            self._ready[key] = selection, prepared
            while len(self._ready) > 1 and self.nbytes() > self.most_bytes:
                self._ready.popitem(last=False)
        return prepared

    def nbytes(self) -> int:
        return sum(_nbytes(prepared.rows) + selection.ids.nbytes for selection, prepared in self._ready.values())


def _nbytes(rows: Any) -> int:
    """Of whatever an index keeps: a bitmap, or an object that holds one."""
    parts = [rows, *getattr(rows, "__dict__", {}).values()]
    return sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
