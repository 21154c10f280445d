"""Filters as id selections: read from the database once, kept, and brought up to date by what changed.

The guarantee: a change of a product, or a new picture, counts in filtered searches at most a second after
its commit; where bringing a selection up to date takes long, at most ten times as long as that took. It
holds for whatever touches ``Product.updated`` (every service, the importer, the admin) within a transaction
of less than two minutes. Anything else, as SQL by hand, counts after ten minutes. What was deleted or
hidden is never shown at all: hits are rows, read anew for each search.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from catalog.models import Image, ImageRole, Product
from search.filters import Filters
from search.indexes import Index, Selection
from search.types import Ids

CHECK_EVERY_S = 1.0
SHARE_OF_TIME = 10  # a selection that took t to bring up to date is left alone for 10 t
# Times and ids are given before the commit, so a change can appear behind later ones: looks go back this far.
WINDOW = timedelta(minutes=2)
OVERLAP = 1000  # picture ids
REREAD_S = 600.0
AFRESH_FROM = 50_000  # changed pictures from which all are read anew
KEPT_BYTES, PREPARED_BYTES = 256 * 1024**2, 64 * 1024**2
Key = tuple[object, ...]
Marker = tuple[object, ...]


def gallery_of(collection_id: int) -> QuerySet[Image]:
    """Pictures that can be found, in no order."""
    return Image.objects.filter(collection_id=collection_id, role=ImageRole.GALLERY).order_by()


def allowed_for(index: Any, filters: Filters) -> Selection | None:
    """Pictures of the index's collection that ``filters`` let through; None without filters.

    The same object as long as nothing changed, so that what an index prepares for it can be kept.
    ``index``: a SearchIndex.
    """
    if not filters:
        return None
    key = (index.collection_id, index.created, tuple(filters.to_query()))
    with _lock:
        kept = _kept.setdefault(key, Kept(index.collection_id, filters))
        _kept.move_to_end(key)
    selection = kept.selection()
    _shed()
    return selection


@dataclass(frozen=True)
class Read:
    """A selection as it was read, and from when on changes must be looked for."""

    selection: Selection
    marker: Marker
    since: datetime
    newest: int  # picture id
    at: float  # monotonic, of the last reading of all


class Kept:
    """One filter of one collection. Many threads may ask; one brings it up to date meanwhile."""

    def __init__(self, collection_id: int, filters: Filters) -> None:
        self._collection_id, self._filters = collection_id, filters
        self._lock = threading.Lock()
        self._read: Read | None = None
        self._next_check = 0.0

    @property
    def nbytes(self) -> int:
        return 0 if self._read is None else self._read.selection.ids.nbytes

    def selection(self) -> Selection:
        read = self._read
        if read is None:
            with self._lock:
                read = self._read or self._refresh(None)
        elif time.monotonic() >= self._next_check and self._lock.acquire(blocking=False):
            try:
                read = self._refresh(read)
            finally:
                self._lock.release()
        return read.selection

    def _refresh(self, old: Read | None) -> Read:
        started = time.monotonic()
        self._read = self._up_to_date(old)
        took = time.monotonic() - started
        self._next_check = started + max(CHECK_EVERY_S, SHARE_OF_TIME * took)
        return self._read

    def _up_to_date(self, old: Read | None) -> Read:
        now, marker = timezone.now(), _marker(self._collection_id)
        newest = _newest(self._collection_id)
        if old is None or time.monotonic() - old.at >= REREAD_S:
            return Read(self._all(), marker, now, newest, time.monotonic())
        if marker == old.marker:
            return old
        changed = self._changed(old)
        if len(changed) >= AFRESH_FROM:
            return Read(self._all(), marker, now, newest, time.monotonic())
        return Read(self._merged(old.selection, changed), marker, now, newest, old.at)

    def _all(self) -> Selection:
        # No iterator(): on Postgres that is a cursor, planned for its first rows, of which all are wanted.
        rows = self._filters.apply(gallery_of(self._collection_id)).values_list("id", flat=True)
        return Selection(np.unique(np.fromiter(rows, np.int64)))

    def _changed(self, old: Read) -> Ids:
        """Pictures that are new or whose product changed."""
        gallery = gallery_of(self._collection_id)
        of_changed = gallery.filter(
            product__collection_id=self._collection_id, product__updated__gte=old.since - WINDOW
        ).values_list("id", flat=True)
        new = gallery.filter(id__gt=old.newest - OVERLAP).values_list("id", flat=True)
        return np.unique(np.concatenate([np.fromiter(rows, np.int64) for rows in (of_changed, new)]))

    def _merged(self, selection: Selection, changed: Ids) -> Selection:
        """The same object if they pass as before."""
        passing: list[Ids] = []
        for start in range(0, len(changed), OVERLAP):
            some = gallery_of(self._collection_id).filter(pk__in=changed[start : start + OVERLAP].tolist())
            passing.append(np.fromiter(self._filters.apply(some).values_list("id", flat=True), np.int64))
        now = np.sort(np.concatenate(passing)) if passing else changed
        before = changed[selection.holds(changed)]
        if np.array_equal(now, before):
            return selection
        others = selection.ids[~Selection(changed).holds(selection.ids)]
        return Selection(np.union1d(others, now))


def _marker(collection_id: int) -> Marker:
    """Differs when something changed lately. Two short looks into the database's indexes."""
    recent = Product.objects.filter(collection_id=collection_id, updated__gte=timezone.now() - WINDOW)
    newest = _newest(collection_id)
    new = gallery_of(collection_id).filter(id__gt=newest - OVERLAP)
    return (*sorted(recent.aggregate(n=Count("id"), at=Max("updated")).items(), key=str), newest, new.count())


def _newest(collection_id: int) -> int:
    return gallery_of(collection_id).order_by("-id").values_list("id", flat=True).first() or 0


_kept: OrderedDict[Key, Kept] = OrderedDict()
_lock = threading.Lock()


def _shed() -> None:
    """Drop what was not asked for longest, until the rest fits."""
    with _lock:
        while len(_kept) > 1 and sum(kept.nbytes for kept in _kept.values()) > KEPT_BYTES:
            _kept.popitem(last=False)


def forget() -> None:
    """Drop everything: in a child after a fork, and between tests."""
    global _lock
    _lock = threading.Lock()
    _kept.clear()


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
    return sum(value.nbytes for value in vars(rows).values() if isinstance(value, np.ndarray)) if rows else 0
