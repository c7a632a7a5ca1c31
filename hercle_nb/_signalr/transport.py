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
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from hercle_nb._signalr.failures import AttemptFailed, Finality, not_a_hub, refused_by_status, unreachable
from hercle_nb._signalr.policy import Ending
from hercle_nb._signalr.protocol import HubProtocol, Incoming
from hercle_nb._signalr.socket import Connect, HubSocket
from hercle_nb.config import is_loopback
from hercle_nb.errors import ConnectionFailed
from hercle_nb.events import CLOSE, COMPLETION, PING, read_message, to_text

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from hercle_nb._signalr.negotiate import Negotiated

# at DEBUG, websockets writes request headers, the key among them; this logger never gets there
_quiet = logging.getLogger("hercle_nb.websocket")
_quiet.setLevel(logging.INFO)
logger = logging.getLogger("hercle_nb")

_INVOCATION_START = b'{"type":1,'  # as ASP.NET Core writes it; any other order is found by decoding
_LOOKS = 30  # at the clock, in the time that a hub may be silent


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
    """Who is told what arrives, in order, on the hub's thread; none of these may raise."""

    def received(self, messages: list[bytes]) -> None:
        """Events, or whatever else the hub sent, that arrived together."""

    def received_part(self, message: bytes) -> None:
        """What had arrived of a message when the connection ended."""

    def completed(self, invocation_id: str, message: dict[str, Any]) -> None:
        """The completion of an invocation."""


class HubTransport(WebsocketTransport):
    """One connection: `open` it, `run` it until it ends, `say_goodbye` or `abandon` it to end it.

    Attributes:
        bytes_in: Bytes received.
        messages_in: Messages received, pings and completions among them.
    """

    _ws: HubSocket | None

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
        self._hub_url = target.url.partition("?")[0]
        self._receiver = receiver
        self._timings = timings
        self._incoming = Incoming()
        self._early: list[bytes] = []  # what came right behind the handshake's reply
        self._ending: Ending | None = None  # why it ends, where we know it before the WebSocket does
        self._ends = asyncio.Event()

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
            self._hand_on(self._early)
            connection.hand_to(lambda frames: self._hand_on(self._cut(frames)))
            ending = await self._watch(connection)
        finally:
            pinging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pinging
            self._ws = None
            await self._set_state(ConnectionState.disconnected)
            connection.hand_to(None)
            await connection.close()
            if rest := self._incoming.rest():
                self._receiver.received_part(rest)
        return ending

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
        return 0.0 if self._ws is None else time.monotonic() - self._ws.heard_at

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

    async def _upgrade(self, key_source: str) -> HubSocket:
        url = self._hub_url
        try:
            return await Connect(  # type: ignore[return-value]  # what `create_connection` makes
                self._url,
                create_connection=HubSocket,
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

    async def _shake_hands(self, connection: HubSocket) -> None:
        await connection.send(self.wire.encode(self.wire.handshake_message()))
        messages: list[bytes] = []
        while not messages:
            messages = self._cut(await connection.frames())
        reply, *self._early = messages
        _, answer = read_message(to_text(reply))
        if not isinstance(answer, dict):
            raise not_a_hub(self._hub_url, f"it answered the handshake with {self._redacted(reply)}")
        if answer.get("error"):
            raise AttemptFailed(
                ConnectionFailed(
                    f"The hub at {self._hub_url} refused the handshake: {self._redacted(reply)}"
                ),
                Finality.AT_FIRST,
            )

    def _hand_on(self, messages: list[bytes]) -> None:
        try:
            self._deliver(messages)
        except Exception:  # it would end in asyncio, which drops the connection
            logger.exception("a fault of this package")
        if self._incoming.unfinished > self._timings.max_size:
            self._end(self._too_large())

    def _cut(self, frames: list[bytes]) -> list[bytes]:
        data = b"".join(frames)
        self.bytes_in += len(data)
        return self._incoming.feed(data)

    def _deliver(self, messages: list[bytes]) -> None:
        """Hand messages on in their order; what stands behind a goodbye are events all the same."""
        self.messages_in += len(messages)
        begin = 0
        for index, message in enumerate(messages):
            if message.startswith(_INVOCATION_START):
                continue
            if begin < index:
                self._receiver.received(messages[begin:index])
            begin = index + 1
            self._deliver_odd(message)
        if begin < len(messages):
            self._receiver.received(messages[begin:])

    def _deliver_odd(self, raw: bytes) -> None:
        """Hand on a message that does not look like an event."""
        kind, message = read_message(to_text(raw))
        if kind == PING:
            return
        if kind == COMPLETION and isinstance(message.get("invocationId"), str):
            self._receiver.completed(message["invocationId"], message)
        elif kind == CLOSE:
            reason = f": {message['error']}" if message.get("error") else ""
            self._end(
                Ending(
                    f"the hub ended the connection{reason}", goodbye=message.get("allowReconnect") is not True
                )
            )
        else:
            self._receiver.received([raw])

    def _end(self, ending: Ending) -> None:
        """Have `run` end for a reason; the first one counts."""
        self._ending = self._ending or ending
        self._ends.set()

    async def _watch(self, connection: HubSocket) -> Ending:
        """Wait for the connection's end, which a hub that is silent for too long is as well.

        A cell that holds the GIL stops this thread as well, and what came meanwhile lies in the socket: only
        the time in which this thread could listen counts.
        """
        loop = asyncio.get_running_loop()
        look = self._timings.server_silence / _LOOKS
        closing = asyncio.ensure_future(connection.wait_closed())
        ending = asyncio.ensure_future(self._ends.wait())
        silence, heard_at, looked_at = 0.0, connection.heard_at, loop.time()
        try:
            while silence < self._timings.server_silence:
                done, _ = await asyncio.wait((closing, ending), timeout=look, return_when="FIRST_COMPLETED")
                if done:
                    return self._ending or self._why_closed(connection.closed_by)
                now = loop.time()
                if connection.heard_at != heard_at:
                    silence, heard_at = 0.0, connection.heard_at
                elif now - looked_at < 2 * look:
                    silence += now - looked_at
                looked_at = now
        finally:
            closing.cancel()
            ending.cancel()
        connection.transport.abort()  # nobody is there to answer a goodbye
        return Ending(f"nothing was heard from the hub for {self._timings.server_silence:g} s")

    async def _get_connection(self) -> ClientConnection:
        """What `send` sends on; pysignalr's own waits by `wait_for`, which swallows cancellation (3.11)."""
        if self._ws is None:
            raise RuntimeError("there is no connection")
        return self._ws

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


async def _drop(connection: HubSocket) -> None:
    """End a connection without waiting for the other side."""
    connection.transport.abort()
    await connection.close()
