"""What differs between engines in the life of a build: the kind of index, its place, its activation, its end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Set
from typing import Any

from django.conf import settings

from search.indexes import Index, IndexFault, auto_factory, build_index, default_params
from search.indexes.milvus_collection import MilvusCollection
from search.indexes.milvus_index import MilvusIndex
from search.indexes.milvus_kinds import auto_kind, counterpart
from search.indexes.milvus_server import CALL_TIMEOUT_S, Server, client, faults, server
from search.indexes.presets import preset_named
from search.indexes.saved import POINTER
from search.models import Engine, IndexBuild, SearchIndex

logger = logging.getLogger(__name__)


def milvus_server() -> Server:
    """Where the settings say that Milvus is."""
    return Server(settings.MILVUS_URI, settings.MILVUS_TOKEN, settings.MILVUS_PREFIX)


def factory_of(build: IndexBuild, count: int, dim: int) -> str:
    """The build's own factory, else the preset's, else one by the number of pictures. Raises BadFactory."""
    if build.factory:
        return build.factory
    milvus = build.engine == Engine.MILVUS
    if preset := build.index.preset:
        factory = preset_named(preset).factory(count, dim)
        return counterpart(factory, dim) if milvus else factory
    return auto_kind(count) if milvus else auto_factory(count, dim)[0]


def empty_index(build: IndexBuild, factory: str, dim: int) -> tuple[Index, dict[str, Any]]:
    """The index to fill, and its search parameters: the index's own before the usual. Raises IndexFault."""
    own = build.index.search_params
    if build.engine == Engine.MILVUS:
        name = server().collection(build.index_id, build.pk)
        return MilvusIndex.create(factory, dim, own, name), dict(own)
    params = {**default_params(factory), **own}
    from search.indexes.gpu import building_on_gpu  # brings FAISS, which the web process loads at its first search

    index = building_on_gpu(build_index(factory, dim, **params))
    index.check(params)
    return index, params


def finish(index: Index, report: Callable[[int], None]) -> None:
    """Wait till a server has indexed what it was given. What ``report`` raises ends it."""
    if isinstance(index, MilvusIndex):
        index.finish(lambda done, total: report(len(index) * done // max(1, total)))


def server_version() -> str:
    """Of the Milvus server."""
    milvus = client()
    with faults():
        return str(milvus.get_server_version(timeout=CALL_TIMEOUT_S))


def make_ready(build: IndexBuild) -> None:
    """Before activation: the collection is there and loaded. Raises MilvusDown, MilvusRefused …"""
    if build.engine == Engine.MILVUS:
        MilvusCollection(_collection(build), 1).load()


def point_alias(build: IndexBuild) -> None:
    """After activation: the index's alias names its collection. For other programs; searches name the build's own."""
    if build.engine != Engine.MILVUS:
        return
    alias, collection = server().alias(build.index_id), _collection(build)
    try:
        milvus = client()
        with faults():
            there = alias in _aliases(milvus)
            change = milvus.alter_alias if there else milvus.create_alias
            change(collection, alias, timeout=CALL_TIMEOUT_S)
    except IndexFault as error:
        logger.warning("the alias %s still names another build: %s", alias, error)


def _aliases(milvus: Any) -> dict[str, str]:
    """Alias -> collection, of all our collections."""
    at = server()
    names = [name for name in milvus.list_collections(timeout=CALL_TIMEOUT_S) if at.parsed(name)]
    found: dict[str, str] = {}
    for name in names:
        listed = milvus.list_aliases(name, timeout=CALL_TIMEOUT_S)
        found |= dict.fromkeys(listed.get("aliases", ()), name)
    return found


def _collection(build: IndexBuild) -> str:
    try:
        return str(json.loads((build.folder / POINTER).read_text(encoding="utf-8"))["collection"])
    except (OSError, ValueError, KeyError):
        return server().collection(build.index_id, build.pk)


def release_unused(index: SearchIndex) -> None:
    """Out of the server's memory with builds that no search uses any more; they are loaded again at activation."""
    if index.engine != Engine.MILVUS:
        return
    at, milvus = server(), client()
    with faults():
        for name in milvus.list_collections(timeout=CALL_TIMEOUT_S):
            if (parsed := at.parsed(name)) and parsed[0] == index.pk and parsed[1] != index.active_build_id:
                milvus.release_collection(name, timeout=CALL_TIMEOUT_S)


def drop_collections(kept: Mapping[int, Set[int]], only: int | None = None) -> int:
    """Drop our collections but those of ``kept`` (index -> builds); of the index ``only`` if one is given.

    A server that is down keeps them till the next time. Returns how many were dropped.
    """
    if not settings.MILVUS_URI:
        return 0
    try:
        return _dropped(kept, only)
    except IndexFault as error:
        logger.warning("collections of old builds stay on the Milvus server for now: %s", error)
        return 0


def _dropped(kept: Mapping[int, Set[int]], only: int | None) -> int:
    at, milvus, count = server(), client(), 0
    with faults():
        aliases = _aliases(milvus)
        for name in milvus.list_collections(timeout=CALL_TIMEOUT_S):
            parsed = at.parsed(name)
            if parsed is None or (only is not None and parsed[0] != only) or parsed[1] in kept.get(parsed[0], ()):
                continue
            for alias in (alias for alias, named in aliases.items() if named == name):
                milvus.drop_alias(alias, timeout=CALL_TIMEOUT_S)
            milvus.drop_collection(name, timeout=CALL_TIMEOUT_S)
            count += 1
    return count
