"""The connection to Milvus, against a gRPC server of our own that answers what we tell it to."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from search.indexes.milvus_server import CHANNEL, MilvusDown, client, forget
from tests.search.milvus import using

pytestmark = pytest.mark.milvus


class Door:
    """A server that greets, or sends away so many callers first."""

    def __init__(self) -> None:
        self.sends_away, self.callers, self.words = 0, list[str](), "Too many pings"

    def greet(self, request: Any, context: Any) -> Any:
        import grpc
        from pymilvus.grpc_gen import milvus_pb2

        self.callers.append(context.peer())
        if len(self.callers) <= self.sends_away:
            context.abort(grpc.StatusCode.UNAVAILABLE, self.words)
        return milvus_pb2.ConnectResponse(identifier=1)


@pytest.fixture
def door() -> Iterator[Door]:
    import grpc
    from pymilvus.grpc_gen import milvus_pb2

    door = Door()
    greet = grpc.unary_unary_rpc_method_handler(
        door.greet, milvus_pb2.ConnectRequest.FromString, milvus_pb2.ConnectResponse.SerializeToString
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("milvus.proto.milvus.MilvusService", {"Connect": greet}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with using(f"http://127.0.0.1:{port}"):
        yield door
    server.stop(None).wait()


def test_a_client_that_is_sent_away_comes_again_on_a_new_connection(door: Door) -> None:
    door.sends_away = 1
    assert client() is client()
    assert len(set(door.callers)) == 2


def test_a_client_that_is_sent_away_twice_is_an_error(door: Door) -> None:
    door.sends_away = 2
    with pytest.raises(MilvusDown):
        client()
    assert len(door.callers) == 2


def test_another_failure_is_not_tried_again(door: Door) -> None:
    door.sends_away, door.words = 1, "out of order"
    with pytest.raises(MilvusDown):
        client()
    assert len(door.callers) == 1


def test_a_child_after_a_fork_has_a_connection_of_its_own(door: Door) -> None:
    first = client()
    forget()  # what a child does
    assert client() is not first
    assert len(set(door.callers)) == 2
    first.close()


def test_it_pings_no_more_than_grpc_servers_allow(door: Door) -> None:
    """gRPC's default enforcement: no ping within five minutes of the last, none between calls."""
    options = client()._handler._grpc_options
    assert options == CHANNEL
    assert options["grpc.keepalive_time_ms"] > 300_000
    assert not options["grpc.keepalive_permit_without_calls"]
