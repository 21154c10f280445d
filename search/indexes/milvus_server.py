"""The connection to a Milvus server: one client a process, errors with cause and cure, names of collections.

pymilvus (extra ``milvus``) is imported when the first index needs it. Where the server is comes from
``use``, which the site calls with its settings; without it from the environment.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from catalog.errors import gettext_noop
from search.indexes.base import IndexFault

CONNECT_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 60.0
SEARCH_TIMEOUT_S = 10.0
# gRPC's own servers, milvus-lite's among them, take one ping in five minutes during a call and next to none between
# calls; a client that pings more is cut off with "too many pings". pymilvus would ping every ten seconds, always.
# A channel with its own connections: pymilvus's reconnecting would else be given the one that was just refused.
CHANNEL = {
    "grpc.keepalive_time_ms": 330_000,
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.use_local_subchannel_pool": 1,
}
COLLECTION_NOT_FOUND = 100

logger = logging.getLogger(__name__)


class MilvusMissing(IndexFault):
    code = "milvus_missing"
    text = gettext_noop("The index is kept in Milvus, and pymilvus is not installed.")
    cure = gettext_noop("Install it: pip install 'lookalike[milvus]'.")


class MilvusUnset(IndexFault):
    code = "milvus_unset"
    text = gettext_noop("The index is kept in Milvus, and MILVUS_URI is not set.")
    cure = gettext_noop("Set MILVUS_URI to the server's address, for example http://milvus:19530.")


class MilvusDown(IndexFault):
    code = "milvus_down"
    text = gettext_noop("The Milvus server at %(uri)s does not answer: %(reason)s.")
    cure = gettext_noop("See that it runs and that MILVUS_URI and MILVUS_TOKEN are right, then try again.")
    status = 503


class MilvusRefused(IndexFault):
    code = "milvus_refused"
    text = gettext_noop("The Milvus server refused: %(reason)s.")
    cure = gettext_noop("See its log; if the collection was lost there, build the index again.")


@dataclass(frozen=True)
class Server:
    """``prefix`` begins the name of every collection: two sites on one server need two."""

    uri: str
    token: str = ""
    prefix: str = "lookalike"

    @property
    def shown(self) -> str:
        """The address without a password that may stand in it."""
        return re.sub(r"//[^/@]*@", "//", self.uri)

    def alias(self, index_id: int) -> str:
        """The name under which the active build of an index can always be reached."""
        return f"{self.prefix}_index{index_id}"

    def collection(self, index_id: int, build_id: int) -> str:
        return f"{self.alias(index_id)}_build{build_id}"

    def parsed(self, collection: str) -> tuple[int, int] | None:
        """Index and build of one of our collections; None for any other."""
        found = re.fullmatch(rf"{re.escape(self.prefix)}_index(\d+)_build(\d+)", collection)
        return (int(found[1]), int(found[2])) if found else None


def _from_environment() -> Server:
    get = os.environ.get
    return Server(get("MILVUS_URI", ""), get("MILVUS_TOKEN", ""), get("MILVUS_PREFIX", "") or "lookalike")


_provider: Callable[[], Server] = _from_environment
_clients: dict[tuple[str, str], Any] = {}
_lock = threading.Lock()


def use(provider: Callable[[], Server]) -> None:
    """Ask ``provider`` where the server is, each time anew."""
    global _provider
    _provider = provider


def server() -> Server:
    """Raises MilvusUnset."""
    found = _provider()
    if not found.uri:
        raise MilvusUnset
    return found


def pymilvus() -> Any:
    """The module. Raises MilvusMissing."""
    try:
        module = importlib.import_module("pymilvus")
    except ImportError as error:
        raise MilvusMissing from error
    except Exception as error:  # it reads MILVUS_URI itself while it is imported, and wants an address of http
        raise MilvusRefused(reason=reason_of(error)) from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # each fault is raised, and logged by us
    return module


def client() -> Any:
    """This process's MilvusClient. Raises MilvusMissing, MilvusUnset, MilvusDown."""
    at, module = server(), pymilvus()
    with _lock:
        found = _clients.get((at.uri, at.token))
        if found is None:
            with faults():
                found = _connected(module, at)
            _clients[at.uri, at.token] = found
    return found


def _connected(module: Any, at: Server) -> Any:
    """A client on a connection of its own. One that the server sends away while it greets is made once more."""

    def connect() -> Any:
        # Dedicated: pymilvus would else hand out what it keeps for the address, the parent's after a fork.
        return module.MilvusClient(
            uri=at.uri, token=at.token, timeout=CONNECT_TIMEOUT_S, dedicated=True, grpc_options=CHANNEL
        )

    try:
        return connect()
    except Exception as error:
        if not _was_sent_away(error):
            raise
        logger.info("the Milvus server at %s closed the line, connecting again: %s", at.shown, reason_of(error))
        return connect()


def _was_sent_away(error: BaseException | None) -> bool:
    """Whether the server ended the connection (HTTP/2's GOAWAY): it answers, a new connection may be served."""
    signs, seen = ("too many pings", "too_many_pings", "goaway", "enhance_your_calm"), set[int]()
    while error is not None and id(error) not in seen:  # pymilvus raises errors from themselves
        if any(sign in str(error).lower() for sign in signs):
            return True
        seen.add(id(error))
        error = error.__cause__
    return False


def close() -> None:
    """Hang up: the next ``client()`` connects anew."""
    with _lock:
        clients = list(_clients.values())
        _clients.clear()
    for each in clients:
        each.close()


def forget() -> None:
    """Close nothing, keep nothing: a child after a fork must not touch its parent's connections."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=forget)


@contextmanager
def faults() -> Iterator[None]:
    """What pymilvus and gRPC raise, as MilvusDown or MilvusRefused."""
    grpc: Any = importlib.import_module("grpc")
    exceptions: Any = importlib.import_module("pymilvus.exceptions")
    try:
        yield
    except (exceptions.MilvusUnavailableException, exceptions.ConnectError, grpc.RpcError, OSError) as error:
        raise MilvusDown(uri=server().shown, reason=reason_of(error)) from error
    except exceptions.MilvusException as error:
        if _is_gone(error):
            raise MilvusDown(uri=server().shown, reason=reason_of(error)) from error
        raise MilvusRefused(reason=reason_of(error)) from error


def _is_gone(error: Any) -> bool:
    """pymilvus gives most failures of the line one class and no code: its words are all there is."""
    text = str(error)
    return any(sign in text for sign in ("Retry run out", "Retry timeout", "UNAVAILABLE", "illegal connection"))


def reason_of(error: BaseException) -> str:
    """One line, without pymilvus's wrapping."""
    if callable(getattr(error, "details", None)):
        return str(error.details())  # type: ignore[attr-defined]
    text = str(getattr(error, "message", "") or error)
    return " ".join(text.split()).rstrip(". ")[:500] or type(error).__name__
