"""One open pipeline per process and index, which follows builds and changes of the database.

A state is immutable: a search takes the current one and keeps it to its end. At most once a second a
search looks whether another build was activated, the configuration changed or embeddings were added;
what changed is opened beside the old state and swapped in by one assignment. The old build closes
when the last search that uses it drops it: Python counts the references.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from django.conf import settings

from catalog.models import Collection
from search import selectors
from search.builds import index_for
from search.facts import facts_by_sku
from search.indexes import BadParameter, BrokenIndex, IndexFault, Selection, set_threads
from search.indexes.base import Allowed
from search.indexes.saved import SavedBuild
from search.models import IndexBuild, SearchIndex
from search.prepared_selections import PreparedSelections
from search.ranking import BadRule, Pipeline, Ranking, Rule, rules_from
from search.ranking.pipeline import Lookup
from search.selectors import permitted_for
from search.side import Side, embeddings_of
from search.types import Descriptors, Ids

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 1.0
# A picture that was hidden and is shown again is found after this long, and a broken build tried again.
FORGET_AND_RETRY_EVERY_S = 60.0
_NONE: Ids = np.empty(0, np.int64)


@dataclass(frozen=True)
class State:
    """What one search works with from beginning to end."""

    index: SearchIndex  # as it was read, with its feature model
    build: IndexBuild | None  # None: none is active, or its files are broken
    saved: SavedBuild | None
    side: Side
    pipeline: Pipeline
    masked: Ids  # pictures found to be gone
    prepared: PreparedSelections = field(default_factory=PreparedSelections)  # of the build

    def __len__(self) -> int:
        """Descriptors at hand, deleted ones that are not noticed yet included."""
        return len(self.side.exact) + (self.saved.manifest.count if self.saved else 0)


class Live:
    """An index as this process serves it."""

    def __init__(self, index_id: int) -> None:
        self._index_id = index_id
        self._lock = threading.Lock()
        self._state: State | None = None
        self._checked = self._forgot = 0.0

    def search(
        self,
        query: Descriptors,
        k: int,
        lookup: Lookup,
        *,
        offset: int = 0,
        allowed: Allowed | None = None,
        excluded: Ids | None = None,
        rules: Sequence[Rule] | None = None,
        explain: bool = False,
    ) -> tuple[Ranking, State]:
        """See Pipeline.search. ``query`` is (dim,); the state tells what answered.

        ``rules`` stand in for the configured ones. What ``allowed_for`` gave is made ready for the build once.
        """
        state = self.state()
        set_threads(settings.FAISS_THREADS or 1)
        pipeline = state.pipeline if rules is None else replace(state.pipeline, rules=rules)
        not_these = np.concatenate([state.masked, excluded]) if excluded is not None else state.masked

        def searched(among: Allowed | None) -> Ranking:
            ready = _ready(state, among)
            return pipeline.search(query, k, lookup, offset=offset, allowed=ready, excluded=not_these, explain=explain)

        ranking = searched(allowed)
        if ranking.cut_short and (permitted := permitted_for(state.index, pipeline.rules)) is not None:
            ranking = replace(searched(permitted if allowed is None else _both(permitted, allowed)), narrowed=True)
        if ranking.missing:
            self._mask(ranking.missing)
        return ranking, state

    def state(self) -> State:
        """The current state, checked against the database if the last check is a second old."""
        if self._state is None:
            with self._lock:
                if self._state is None:
                    self._checked = self._forgot = time.monotonic()
                    self._state = self._open()
        elif time.monotonic() - self._checked >= CHECK_EVERY_S and self._lock.acquire(blocking=False):
            try:  # one thread follows; the others go on with what they have
                self._checked = time.monotonic()
                self._state = self._follow(self._state)
            finally:
                self._lock.release()
        return self._state

    def _mask(self, ids: frozenset[int]) -> None:
        with self._lock:
            if self._state is not None:
                masked = np.union1d(self._state.masked, np.fromiter(ids, np.int64))
                self._state = replace(self._state, masked=masked)

    def _row(self) -> SearchIndex:
        return SearchIndex.objects.select_related("feature_model", "active_build", "collection").get(pk=self._index_id)

    def _open(self) -> State:
        index = self._row()
        build = index.active_build
        saved = _opened(build, index) if build else None
        dim = saved.manifest.dim if saved else _dim(index)
        side = Side(
            index,
            dim,
            saved.embedding_ids if saved else _NONE,
            saved.originals if saved else None,
            saved.manifest.watermark if saved else 0,
        )
        return State(index, build if saved else None, saved, side, _pipeline(index, saved, side), _NONE)

    def _follow(self, state: State) -> State:
        """``state`` if nothing changed, else the one that comes after it."""
        forget = time.monotonic() - self._forgot >= FORGET_AND_RETRY_EVERY_S
        if forget:
            self._forgot = time.monotonic()
            state = replace(state, masked=_NONE)
        try:
            index = self._row()
        except SearchIndex.DoesNotExist:  # deleted this very second; the next search of its collection has another
            return state
        broken = index.active_build_id is not None and state.saved is None
        if _source(index) != _source(state.index) or (broken and forget) or state.side.dim != _dim(index):
            return self._open()
        changed = state.side.refresh() or _configuration(index) != _configuration(state.index)
        if not changed:
            return state
        return replace(state, index=index, pipeline=_pipeline(index, state.saved, state.side))


def _ready(state: State, allowed: Allowed | None) -> Allowed | None:
    """A selection with what the build's index makes of it, unless it is scored one by one anyway."""
    index = state.pipeline.index
    if not isinstance(allowed, Selection) or index is None or len(allowed) <= state.pipeline.exact_limit():
        return allowed
    return state.prepared.of(index, allowed)


def _both(one: Selection, other: Allowed) -> Selection:
    ids = other.ids if isinstance(other, Selection) else np.unique(other)
    return Selection(one.ids[Selection(ids).holds(one.ids)])


def _source(index: SearchIndex) -> tuple[object, ...]:
    return index.active_build_id, index.feature_model_id, index.feature_model.fingerprint, index.collection_id


def _configuration(index: SearchIndex) -> tuple[object, ...]:
    return index.rules, index.search_params, index.fine_depth, index.rules_depth


def _dim(index: SearchIndex) -> int:
    """Of the feature model; before it was first opened, of what is stored under it."""
    if index.feature_model.dim:
        return index.feature_model.dim
    vector = embeddings_of(index).values_list("vector", flat=True).first()
    return len(vector) // 2 if vector else 1


def _opened(build: IndexBuild, index: SearchIndex) -> SavedBuild | None:
    """The build's files, or None with an error in the log: then all embeddings are searched exactly."""
    try:
        saved = SavedBuild.open(build.folder)
        if saved.manifest.fingerprint != index.feature_model.fingerprint:
            raise BrokenIndex(path=build.folder, reason="it was made from other descriptors (fingerprint)")
    except IndexFault as error:
        logger.error("build %s of index %s is not served, exact search answers instead: %s", build.pk, index, error)
        return None
    return saved


def _pipeline(index: SearchIndex, saved: SavedBuild | None, side: Side) -> Pipeline:
    return Pipeline(
        side=side.exact,
        index=saved.index if saved else None,
        originals=saved.originals if saved else None,
        superseded=side.superseded,
        search_params=_search_params(index, saved),
        rules=_rules(index),
        fine_depth=index.fine_depth,
        rules_depth=index.rules_depth,
        by_sku=partial(facts_by_sku, index.collection_id),
    )


def _search_params(index: SearchIndex, saved: SavedBuild | None) -> dict[str, Any]:
    params = dict(index.search_params)
    if saved is None or not params:
        return {}
    try:
        saved.index.check(params)
    except BadParameter as error:  # refused in the admin; still no reason to answer nothing
        logger.error("search parameters of index %s are left out: %s", index, error)
        return {}
    return params


def _rules(index: SearchIndex) -> list[Rule]:
    try:
        return rules_from(index.rules)
    except BadRule as error:  # refused in the admin; still no reason to answer nothing
        logger.error("business rules of index %s are left out: %s", index, error)
        return []


_lives: dict[tuple[int, object], Live] = {}
_lives_lock = threading.Lock()


def live(index: SearchIndex) -> Live:
    """This process's open pipeline of ``index``; opened by its first search, so after any fork."""
    key = (index.pk, index.created)
    found = _lives.get(key)
    if found is None:
        with _lives_lock:
            found = _lives.setdefault(key, Live(index.pk))
    return found


_defaults: dict[tuple[int, object], tuple[float, SearchIndex]] = {}


def default_index(collection: Collection) -> SearchIndex:
    """The collection's default index, read at most once a second: another default is followed as a build is."""
    key, now = (collection.pk, collection.created), time.monotonic()
    checked, index = _defaults.get(key, (0.0, None))
    if index is None or now - checked >= CHECK_EVERY_S:
        index = index_for(collection)
        _defaults[key] = now, index
    return index


def forget() -> None:
    """Close everything: in a child after a fork, and between tests."""
    global _lives_lock
    _lives_lock = threading.Lock()
    _lives.clear()
    _defaults.clear()
    selectors.forget()


os.register_at_fork(after_in_child=forget)
