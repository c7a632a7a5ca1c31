"""One negotiated connection on pysignalr's WebSocket transport, from upgrade to close.

What stays of pysignalr is its transport's constructor and `send`, the handshake request and the message
classes. Its run, negotiate, keepalive, decoding and dispatch are replaced: they retry in the dark, die of a
handler's error and cannot be ended cleanly (measured on 1.3.3).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pysignalr.messages import CloseMessage, InvocationMessage, PingMessage
from pysignalr.transport.abstract import ConnectionState
from pysignalr.transport.websocket import WebsocketTransport
from pysignalr.utils import replace_scheme
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from hercle_nb._signalr.failures import AttemptFailed, Finality, not_a_hub, refused_by_status, unreachable
from hercle_nb._signalr.policy import Ending
from hercle_nb._signalr.protocol import HubProtocol, Incoming
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
    """Watchdogs and limits; the defaults are SignalR's own where it has one.

    Attributes:
        negotiate: Seconds for each request of a negotiation, connecting included.
        upgrade: Seconds for the WebSocket's opening, connecting included.
        handshake: Seconds for SignalR's handshake.
        ping: Seconds between our pings.
        server_silence: Seconds without any message after which the hub is taken for gone.
        goodbye: Seconds for a polite end.
        tick: Seconds between two looks at the clocks.
        pace: What the delays between attempts are multiplied with.
        max_size: Bytes of one message received.
    """

    negotiate: float = 15.0
    upgrade: float = 15.0
    handshake: float = 15.0
    ping: float = 15.0
    server_silence: float = 30.0
    goodbye: float = 2.0
    tick: float = 1.0
    pace: float = 1.0
    max_size: int = 16 * 1024 * 1024


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
    """One connection: `open` it, `run` it until it ends, `say_goodbye` or `abandon` it to end it.

    Attributes:
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
        self.bytes_in = 0
        self.messages_in = 0
        self._heard_at = time.monotonic()
        self._hub_url = target.url.partition("?")[0]
        self._receiver = receiver
        self._timings = timings
        self._incoming = Incoming()
        self._early: list[bytes] = []  # what came right behind the handshake's reply
        self._ending: Ending | None = None

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
            await _drop(connection)
            raise unreachable(
                self._hub_url, f"the handshake was not answered in {self._timings.handshake:g} s"
            ) from None
        except ConnectionClosed as error:
            raise unreachable(
                self._hub_url, f"the connection broke during the handshake ({error})"
            ) from error
        except BaseException:
            await _drop(connection)
            raise
        self._ws = connection
        await self._set_state(ConnectionState.connected)

    async def run(self) -> Ending:  # type: ignore[override]  # pysignalr's returns nothing
        """Receive until the connection ends, and say why it did. Never raises on what is received."""
        connection = self._ws
        if connection is None:
            raise RuntimeError("run() needs a connection that open() made")
        pinging = asyncio.create_task(self._keepalive(connection))
        try:
            ending = await self._receive(connection)
        finally:
            pinging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pinging
            self._ws = None
            await self._set_state(ConnectionState.disconnected)
            await connection.close()
            if rest := self._incoming.rest():
                self._receiver.received(_text(rest), incomplete=True)
        return self._ending or ending

    async def invoke(self, invocation_id: str, method: str, arguments: list[Any]) -> None:
        """Send an invocation.

        Raises:
            ConnectionFailed: The connection was gone; bytes may or may not have left.
        """
        try:
            await self.send(InvocationMessage(invocation_id, method, arguments))
        except (ConnectionClosed, RuntimeError) as error:  # pysignalr raises RuntimeError when not open
            raise ConnectionFailed(f"The connection was lost while {method} was sent.") from error

    def silence(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._heard_at

    def abandon(self, ending: Ending) -> None:
        """End the connection for a reason of ours, without a word to a hub that may not be there."""
        self._ending = ending
        if self._ws is not None:
            self._ws.transport.abort()

    async def say_goodbye(self) -> None:
        """End the connection as a client should: a close message, then the WebSocket's own."""
        self._ending = Ending("closed by this client")
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
            status = error.response.status_code
            if status in (404, 409):  # the id ran out between negotiate and upgrade
                gone = f"the upgrade found its connection gone ({f'{status} {body}'.strip()})"
                raise unreachable(url, gone) from error
            raise refused_by_status(status, url, key_source, body) from error
        except TimeoutError:
            raise unreachable(url, f"the upgrade was not answered in {self._timings.upgrade:g} s") from None
        except (InvalidHandshake, OSError, EOFError) as error:
            raise unreachable(url, f"the upgrade to a WebSocket failed ({error})") from error

    async def _shake_hands(self, connection: ClientConnection) -> None:
        await connection.send(self.wire.encode(self.wire.handshake_message()))
        messages: list[bytes] = []
        while not messages:
            messages = self._count(await connection.recv(decode=False))
        reply, *self._early = messages
        _, answer = read_message(_text(reply))
        if not isinstance(answer, dict):
            raise not_a_hub(self._hub_url, f"it answered the handshake with {self._redacted(reply)}")
        if answer.get("error"):
            raise AttemptFailed(
                ConnectionFailed(
                    f"The hub at {self._hub_url} refused the handshake: {self._redacted(reply)}"
                ),
                Finality.AT_FIRST,
            )

    async def _receive(self, connection: ClientConnection) -> Ending:
        messages = self._early
        try:
            while True:
                endings = [self._deliver(_text(message)) for message in messages if message]
                # what stands behind a goodbye are events all the same
                if goodbye := next(filter(None, endings), None):
                    return goodbye
                if self._incoming.unfinished > self._timings.max_size:
                    return self._too_large()
                messages = await self._listen(connection)
        except TimeoutError:
            connection.transport.abort()  # nobody is there to answer a goodbye
            return Ending(f"nothing was heard from the hub for {self._timings.server_silence:g} s")
        except ConnectionClosed as error:
            return self._why_closed(error)

    async def _listen(self, connection: ClientConnection) -> list[bytes]:
        """Wait for a frame, for as long as the hub may be silent, and return the messages it completes.

        A cell that holds the GIL stops this thread as well, and what came meanwhile lies in the socket: only
        the time in which this thread could listen counts.

        Raises:
            TimeoutError: The hub was silent.
        """
        loop = asyncio.get_running_loop()
        patience, moment = self._timings.server_silence, self._timings.server_silence / 30
        while True:
            due = loop.time() + patience
            try:
                async with asyncio.timeout_at(due):
                    return self._count(await connection.recv(decode=False))
            except TimeoutError:
                late = loop.time() - due > moment
                if patience == moment and not late:
                    raise
                patience = self._timings.server_silence if late else moment

    def _count(self, frame: bytes) -> list[bytes]:
        self._heard_at = time.monotonic()
        self.bytes_in += len(frame)
        return self._incoming.feed(frame)

    def _deliver(self, raw: str) -> Ending | None:
        """Hand one message on; an ending only for the message by which the hub ends the connection."""
        self.messages_in += 1
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
            reason = f": {message['error']}" if message.get("error") else ""
            return Ending(
                f"the hub ended the connection{reason}", goodbye=message.get("allowReconnect") is not True
            )
        self._receiver.received(raw)
        return None

    async def _keepalive(self, conn: ClientConnection) -> None:
        """Ping at once and then every `Timings.ping` seconds, as the official clients do."""
        with contextlib.suppress(WebSocketException, RuntimeError):  # the receiver tells why it ended
            while True:
                await self.send(PingMessage())
                await asyncio.sleep(self._timings.ping)

    def _why_closed(self, error: ConnectionClosed) -> Ending:
        if error.rcvd is None and error.sent is not None and error.sent.code == 1009:
            return self._too_large()
        if error.rcvd is None:
            return Ending("the connection broke off without a close frame")
        reason = f" ({error.rcvd.reason})" if error.rcvd.reason else ""
        return Ending(f"the hub closed the WebSocket with code {error.rcvd.code}{reason}")

    def _too_large(self) -> Ending:
        return Ending(f"a message exceeded {self._timings.max_size:,} bytes", too_large=True)

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


async def _drop(connection: ClientConnection) -> None:
    """End a connection without waiting for the other side."""
    connection.transport.abort()
    await connection.close()


def _text(message: bytes) -> str:
    """A message as text; bytes that are not UTF-8 survive as lone surrogates."""
    return message.decode("utf-8", "surrogateescape")
