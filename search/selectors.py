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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from catalog.models import Image, ImageRole, Product
from search.filters import Filters
from search.indexes import Selection
from search.ranking import Rule
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
Narrow = Callable[[QuerySet[Image]], QuerySet[Image]]


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
    return _selection(index, tuple(filters.to_query()), filters.apply)


def permitted_for(index: Any, rules: Sequence[Rule]) -> Selection | None:
    """Pictures that no rule of ``rules`` leaves out by what its product is; None where none does so.

    For a search that finds its best thousands blocked: the rest is found by a filter instead.
    """
    leaving_out = [rule for rule in rules if rule.name in _PASSING and rule.drops]
    if not leaving_out:
        return None

    def narrow(rows: QuerySet[Image]) -> QuerySet[Image]:
        for rule in leaving_out:
            rows = _PASSING[rule.name](rows, rule.values)
        return rows

    return _selection(index, repr([(rule.name, sorted(rule.values.items())) for rule in leaving_out]), narrow)


def _selection(index: Any, name: object, narrow: Narrow) -> Selection:
    key = (index.collection_id, index.created, name)
    with _lock:
        kept = _kept.setdefault(key, Kept(index.collection_id, narrow))
        _kept.move_to_end(key)
    selection = kept.selection()
    _shed()
    return selection


def _not_blocked(rows: QuerySet[Image], values: Mapping[str, Any]) -> QuerySet[Image]:
    for field, name in (("sku", "skus"), ("category", "categories"), ("brand", "brands")):
        if named := [value for value in values[name] if value]:
            rows = rows.exclude(**{f"product__{field}__in": named})
    for name, texts in (values["attributes"] or {}).items():
        blocked = Filters(attributes={name: tuple(texts)}).apply(Image.objects.order_by())
        rows = rows.exclude(pk__in=blocked.values("pk"))
    return rows


def _in_price_range(rows: QuerySet[Image], values: Mapping[str, Any]) -> QuerySet[Image]:
    lowest, highest = values["lowest"], values["highest"]
    within = Q(product__price__gte=Decimal(str(lowest)))
    if highest is not None:
        within &= Q(product__price__lte=Decimal(str(highest)))
    return rows.filter(within | Q(product__price__isnull=True) if values["keep_unknown"] else within)


_PASSING = {"block": _not_blocked, "price_range": _in_price_range}


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

    def __init__(self, collection_id: int, narrow: Narrow) -> None:
        self._collection_id, self._narrow = collection_id, narrow
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
        rows = self._narrow(gallery_of(self._collection_id)).values_list("id", flat=True)
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
            # By key alone: told the collection as well, SQLite walks through all of it.
            some = Image.objects.order_by().filter(pk__in=changed[start : start + OVERLAP].tolist())
            passing.append(np.fromiter(self._narrow(some).values_list("id", flat=True), np.int64))
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
