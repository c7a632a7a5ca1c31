"""Each name of pysignalr and websockets that we lean on: an upgrade that moves one is noticed here."""

from __future__ import annotations

import inspect

import pytest
from pysignalr.messages import CloseMessage, InvocationMessage, PingMessage
from pysignalr.protocol.json import JSONProtocol
from pysignalr.transport.abstract import ConnectionState
from pysignalr.transport.websocket import WebsocketTransport
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection

from hercle_nb._signalr.negotiate import Negotiated
from hercle_nb._signalr.protocol import HubProtocol
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
    """The WebSocket library asks `process_redirect`, and `recv` gives bytes on request."""
    assert "exc" in inspect.signature(connect.process_redirect).parameters
    assert "decode" in inspect.signature(ClientConnection.recv).parameters


def test_a_connection_can_be_dropped() -> None:
    """A connection's asyncio transport stands under the name by which we abort it."""
    assert "transport" in Connection.__annotations__ or "transport" in inspect.getsource(Connection)
