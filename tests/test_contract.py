"""Each name of pysignalr and websockets that we lean on: an upgrade that moves one is noticed here."""

from __future__ import annotations

import inspect
from asyncio.selector_events import _SelectorSocketTransport

import pytest
from pysignalr.messages import CloseMessage, InvocationMessage, PingMessage
from pysignalr.protocol.json import JSONProtocol
from pysignalr.transport.abstract import ConnectionState
from pysignalr.transport.websocket import WebsocketTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.protocol import Protocol

from hercle_nb._columns import Columns
from hercle_nb._signalr.negotiate import Negotiated
from hercle_nb._signalr.protocol import HubProtocol
from hercle_nb._signalr.socket import _READ_BYTES
from hercle_nb._signalr.transport import HubTransport, Timings


def test_transport_constructor() -> None:
    """The transport's constructor takes what we give it and keeps it under the private names we read."""
    transport = HubTransport(Negotiated("http://127.0.0.1/hub?id=1", {"Authorization": "x"}), None, Timings())
    assert transport._url == "ws://127.0.0.1/hub?id=1"
    assert transport._headers == {"Authorization": "x"}
    assert transport._max_size == Timings().max_size
    assert transport._ws is None
    assert transport._state is ConnectionState.disconnected


@pytest.mark.parametrize("name", ["_set_state", "_get_connection", "_keepalive", "run", "send"])
def test_transport_coroutines(name: str) -> None:
    """The private coroutines that we call or replace exist."""
    assert inspect.iscoroutinefunction(getattr(WebsocketTransport, name))


def test_keepalive_signature() -> None:
    """We replace `_keepalive`, which takes the connection."""
    assert list(inspect.signature(WebsocketTransport._keepalive).parameters) == ["self", "conn"]


def test_handshake_request() -> None:
    """The handshake request is SignalR's."""
    assert HubProtocol().encode(HubProtocol().handshake_message()) == '{"protocol": "json", "version": 1}\x1e'


def test_ping() -> None:
    """The ping is SignalR's."""
    assert HubProtocol().encode(PingMessage()) == '{"type": 6}\x1e'


def test_invocation_leaves_headers_out() -> None:
    """Trap: pysignalr copies the connection's headers, the key among them, into every invocation."""
    message = InvocationMessage("1", "M", ["a", 1], {"Authorization": "Bearer key"})
    assert "Bearer key" in JSONProtocol().encode(message)
    assert (
        HubProtocol().encode(message) == '{"type":1,"invocationId":"1","target":"M","arguments":["a",1]}\x1e'
    )


def test_close_message() -> None:
    """Trap: pysignalr's close message has fields that the protocol does not know."""
    assert HubProtocol().encode(CloseMessage()) == '{"type":7}\x1e'


def test_redirects_are_ours_to_refuse() -> None:
    """The WebSocket library asks `process_redirect`, and makes the connection that we name."""
    assert "exc" in inspect.signature(connect.process_redirect).parameters
    assert "create_connection" in inspect.signature(connect.__init__).parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("process_event", ["self", "event"]),
        ("data_received", ["self", "data"]),
        ("connection_made", ["self", "transport"]),
        ("connection_lost", ["self", "exc"]),
        ("wait_closed", ["self"]),
    ],
)
def test_connection_methods(name: str, parameters: list[str]) -> None:
    """What we override of a connection, and what tells its end."""
    assert list(inspect.signature(getattr(ClientConnection, name)).parameters) == parameters
    assert isinstance(Protocol.close_exc, property)
    assert "self.process_event(event)" in inspect.getsource(Connection.data_received)


def test_read_size() -> None:
    """Asyncio's transports read as much at once as their ``max_size`` says."""
    assert _SelectorSocketTransport.max_size < _READ_BYTES


def test_frames_stand_over_our_arrays() -> None:
    """Pandas shows what is written to the arrays beneath a frame, so that none has to be built again."""
    columns = Columns(0)
    assert columns._in_place


def test_a_connection_can_be_dropped() -> None:
    """A connection's asyncio transport stands under the name by which we abort it."""
    assert "transport" in Connection.__annotations__ or "transport" in inspect.getsource(Connection)
