"""One negotiated connection on pysignalr's WebSocket transport, from upgrade to close.

What stays of pysignalr is its transport's constructor and `send`, the handshake request and the message
classes. Its run, negotiate, keepalive, decoding and dispatch are replaced: they retry in the dark, die of a
handler's error and cannot be ended cleanly (measured on 1.3.3).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pysignalr.messages import CloseMessage, InvocationMessage, PingMessage
from pysignalr.transport.abstract import ConnectionState
from pysignalr.transport.websocket import WebsocketTransport
from pysignalr.utils import replace_scheme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from hercle_nb._signalr.failures import AttemptFailed, not_a_hub, refused_by_status, unreachable
from hercle_nb._signalr.protocol import SEPARATOR, HubProtocol
from hercle_nb.config import is_loopback
from hercle_nb.errors import ConnectionFailed
from hercle_nb.events import CLOSE, COMPLETION, PING, read_message

if TYPE_CHECKING:
    from hercle_nb._signalr.negotiate import Negotiated

# at DEBUG, websockets writes request headers, the key among them; this logger never gets there
_quiet = logging.getLogger("hercle_nb.websocket")
_quiet.setLevel(logging.INFO)

_INVOCATION_START = '{"type":1,'  # as ASP.NET Core writes it; any other order is found by decoding


@dataclass(frozen=True)
class Timings:
    """Seconds, and one size; the defaults are SignalR's own where it has one."""

    negotiate: float = 15.0
    handshake: float = 15.0
    upgrade: float = 15.0
    ping: float = 15.0
    server_silence: float = 30.0
    goodbye: float = 2.0
    max_size: int = 16 * 1024 * 1024  # bytes of one message received


class Receiver(Protocol):
    """Who is told what arrives, in order, on the hub's thread; neither method may raise."""

    def received(self, raw: str, *, incomplete: bool = False) -> None:
        """An event, or whatever else the hub sent."""

    def completed(self, invocation_id: str, message: dict[str, Any]) -> None:
        """The completion of an invocation."""


class _Connect(connect):
    """websockets' connect, following no HTTP redirect: the key would go along."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class HubTransport(WebsocketTransport):
    """One connection: `open` it, `run` it until it ends, `say_goodbye` to end it.

    Attributes:
        ending: Why it ended, once `run` has returned.
        allow_reconnect: What the hub's close message said of coming back; None without one.
        bytes_in: Bytes received.
        messages_in: Messages received, pings and completions among them.
    """

    def __init__(self, target: Negotiated, receiver: Receiver, timings: Timings) -> None:
        self.wire = HubProtocol()
        super().__init__(
            url=replace_scheme(target.url, ws=True),
            protocol=self.wire,
            callback=self._ignore,
            headers=target.headers,
            skip_negotiation=True,
            connection_timeout=timings.upgrade,  # type: ignore[arg-type]  # declared int, used as seconds
            max_size=timings.max_size,
        )
        self.ending = ""
        self.allow_reconnect: bool | None = None
        self.bytes_in = 0
        self.messages_in = 0
        self._hub_url = target.url.partition("?")[0]
        self._receiver = receiver
        self._timings = timings
        self._rest = b""
        self._leaving = False

    async def open(self, key_source: str) -> None:
        """Upgrade and shake hands.

        Raises:
            AttemptFailed: With the reason, and whether another attempt is worth it.
        """
        await self._set_state(ConnectionState.connecting)
        connection = await self._upgrade(key_source)
        try:
            async with asyncio.timeout(self._timings.handshake):
                await self._shake_hands(connection)
        except TimeoutError:
            await connection.close()
            raise unreachable(
                self._hub_url, f"the handshake was not answered in {self._timings.handshake:g} s"
            ) from None
        except ConnectionClosed as error:
            raise unreachable(
                self._hub_url, f"the connection broke during the handshake ({error})"
            ) from error
        except BaseException:
            await connection.close()
            raise
        self._ws = connection
        await self._set_state(ConnectionState.connected)

    async def run(self) -> None:
        """Receive until the connection ends; `ending` then says why. Never raises on what is received."""
        connection = self._ws
        if connection is None:
            raise RuntimeError("run() needs a connection that open() made")
        pinging = asyncio.create_task(self._keepalive(connection))
        try:
            self.ending = await self._receive(connection)
        finally:
            pinging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pinging
            self._ws = None
            await self._set_state(ConnectionState.disconnected)
            await connection.close()
            if self._rest:
                self._receiver.received(_text(self._rest), incomplete=True)

    async def invoke(self, invocation_id: str, method: str, arguments: list[Any]) -> None:
        """Send an invocation.

        Raises:
            ConnectionFailed: The connection was gone; bytes may or may not have left.
        """
        try:
            await self.send(InvocationMessage(invocation_id, method, arguments))
        except (ConnectionClosed, RuntimeError) as error:  # pysignalr raises RuntimeError when not open
            raise ConnectionFailed(f"The connection was lost while {method} was sent.") from error

    async def say_goodbye(self) -> None:
        """End the connection as a client should: a close message, then the WebSocket's own."""
        self._leaving = True
        if (connection := self._ws) is None:
            return
        with contextlib.suppress(WebSocketException, RuntimeError, TimeoutError):
            async with asyncio.timeout(self._timings.goodbye):
                await self.send(CloseMessage())
        await connection.close()

    async def _upgrade(self, key_source: str) -> ClientConnection:
        url = self._hub_url
        try:
            return await _Connect(
                self._url,
                additional_headers=self._headers,
                proxy=None if is_loopback(url) else True,
                open_timeout=self._timings.upgrade,
                ping_interval=None,  # SignalR has pings of its own
                close_timeout=self._timings.goodbye,
                max_size=self._max_size,
                logger=_quiet,
            )
        except InvalidStatus as error:
            body = self._redacted(bytes(error.response.body or b""))
            failure = refused_by_status(error.response.status_code, url, key_source, body)
            if error.response.status_code in (404, 409):  # the id ran out between negotiate and upgrade
                failure.final = False
            raise failure from error
        except TimeoutError:
            raise unreachable(url, f"the upgrade was not answered in {self._timings.upgrade:g} s") from None
        except (InvalidHandshake, OSError, EOFError) as error:
            raise unreachable(url, f"the upgrade to a WebSocket failed ({error})") from error

    async def _shake_hands(self, connection: ClientConnection) -> None:
        await connection.send(self.wire.encode(self.wire.handshake_message()))
        while SEPARATOR.encode() not in self._rest:
            self._count(await connection.recv(decode=False))
        reply, _, self._rest = self._rest.partition(SEPARATOR.encode())
        _, answer = read_message(_text(reply))
        if not isinstance(answer, dict):
            raise not_a_hub(self._hub_url, f"it answered the handshake with {self._redacted(reply)}")
        if answer.get("error"):
            raise AttemptFailed(
                ConnectionFailed(
                    f"The hub at {self._hub_url} refused the handshake: {self._redacted(reply)}"
                ),
                final=True,
            )

    async def _receive(self, connection: ClientConnection) -> str:
        try:
            while True:
                *messages, self._rest = self._rest.split(SEPARATOR.encode())
                for message in filter(None, messages):
                    self.messages_in += 1
                    if (goodbye := self._deliver(_text(message))) is not None:
                        return goodbye
                if len(self._rest) > self._timings.max_size:
                    return f"a message exceeded {self._timings.max_size:,} bytes"
                async with asyncio.timeout(self._timings.server_silence):
                    self._count(await connection.recv(decode=False))
        except TimeoutError:
            return f"nothing was heard from the hub for {self._timings.server_silence:g} s"
        except ConnectionClosed as error:
            return self._why_closed(error)

    def _count(self, frame: bytes) -> None:
        self.bytes_in += len(frame)
        self._rest += frame

    def _deliver(self, raw: str) -> str | None:
        """Hand one message on; a text only for the message by which the hub ends the connection."""
        if raw.startswith(_INVOCATION_START):
            self._receiver.received(raw)
            return None
        kind, message = read_message(raw)
        if kind == PING:
            return None
        if kind == COMPLETION and isinstance(message.get("invocationId"), str):
            self._receiver.completed(message["invocationId"], message)
            return None
        if kind == CLOSE:
            self.allow_reconnect = message.get("allowReconnect") is True
            reason = message.get("error")
            return f"the hub ended the connection: {reason}" if reason else "the hub ended the connection"
        self._receiver.received(raw)
        return None

    async def _keepalive(self, conn: ClientConnection) -> None:
        """Ping at once and then every `Timings.ping` seconds, as the official clients do."""
        with contextlib.suppress(WebSocketException, RuntimeError):  # the receiver tells why it ended
            while True:
                await self.send(PingMessage())
                await asyncio.sleep(self._timings.ping)

    def _why_closed(self, error: ConnectionClosed) -> str:
        if self._leaving:
            return "closed by this client"
        if error.rcvd is None and error.sent is not None and error.sent.code == 1009:
            return f"a message exceeded {self._timings.max_size:,} bytes"
        if error.rcvd is None:
            return "the connection broke off without a close frame"
        reason = f" ({error.rcvd.reason})" if error.rcvd.reason else ""
        return f"the hub closed the WebSocket with code {error.rcvd.code}{reason}"

    def _redacted(self, said: bytes) -> str:
        """What a server said, quoted, without the key that it may have echoed."""
        text = said.decode("utf-8", "replace").strip()[:200]
        return (
            repr(text.replace(self._headers["Authorization"].removeprefix("Bearer "), "[secure]"))
            if text
            else ""
        )

    async def _ignore(self, message: object) -> None:
        """Take what pysignalr's own dispatch would hand on; nothing calls it."""


def _text(message: bytes) -> str:
    """A message as text; bytes that are not UTF-8 survive as lone surrogates."""
    return message.decode("utf-8", "surrogateescape")
