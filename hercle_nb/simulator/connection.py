"""One client's connection: the handshake, the messages in and out, pings, and the ways it ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType

from hercle_nb.simulator import wire
from hercle_nb.simulator.execution import METHODS, Crash, HubException

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiohttp import web

    from hercle_nb.simulator.state import HubState

_FRAME = 65_536  # bytes that may wait to be written; also what one frame holds, give or take a message
_PATIENCE = 1.0  # seconds a client gets to take the last words


class Connection:
    """One open WebSocket.

    Args:
        socket: The prepared WebSocket.
        transport: Its TCP connection, to tear down.
        state: The hub it talks to.
        key: The key it was made with.
        user_id: The account of that key.
        keepalive: Seconds without a message after which a ping is sent.
        handshake_timeout: Seconds a client gets to introduce itself.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        state: HubState,
        *,
        key: str,
        user_id: str,
        keepalive: float,
        handshake_timeout: float,
    ) -> None:
        self.key = key
        self.user_id = user_id
        self.feeds: dict[str, asyncio.Task[None]] = {}
        self._socket = socket
        self._transport = transport
        self._state = state
        self._keepalive = keepalive
        self._handshake_timeout = handshake_timeout
        self._splitter = wire.Splitter()
        self._outgoing: list[str] = []
        self._waiting = 0  # characters in it
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Serve the client until either side ends the connection."""
        try:
            if await self._shake_hands():
                self._writer = asyncio.create_task(self._write())
                await self._serve()
        finally:
            self._state.leave(self)
            if self._closing:  # by another task, which is still at it
                await self._closed.wait()
            self._stop_writing()
            for task in self._tasks:
                task.cancel()

    async def send(self, text: str) -> None:
        """Queue messages; waits while the client is slow, does nothing once the connection is ending."""
        if self._closing:
            return
        self._outgoing.append(text)
        self._waiting += len(text)
        self._wake.set()
        while self._waiting > _FRAME and not self._closing:
            self._room.clear()
            await self._room.wait()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the messages, for as long as the connection lasts."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self, last_words: str = wire.GOODBYE) -> None:
        """End the connection in order: what waits, the last words, close code 1000."""
        if self._closing:
            return
        self._closing = True
        self._outgoing.append(last_words)
        self._wake.set()
        self._room.set()
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.wait([self._writer or asyncio.create_task(self._write())])
                await self._socket.close(code=1000)
        except (TimeoutError, ConnectionError):
            self._abort()
        finally:
            self._closed.set()

    def cut(self) -> None:
        """Tear the TCP connection down."""
        self._stop_writing()
        self._closed.set()
        self._abort()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _stop_writing(self) -> None:
        """Let the writer end by itself: cancelled, it would break aiohttp's wait for others (3.14)."""
        self._closing = True
        self._outgoing.clear()
        self._wake.set()
        self._room.set()

    async def _write(self) -> None:
        """Write what waits, as one frame: several messages share it as soon as several are ready."""
        with contextlib.suppress(ConnectionError):  # the reader notices, too
            while self._outgoing or not self._closing:
                try:
                    async with asyncio.timeout(self._keepalive):
                        await self._wake.wait()
                except TimeoutError:
                    self._outgoing.append(wire.PING)
                self._wake.clear()
                frame = "".join(self._outgoing)
                self._outgoing.clear()
                self._waiting = 0
                self._room.set()
                if frame:
                    await self._socket.send_str(frame)

    async def _receive(self) -> bool:
        """Take in one frame; False when there will be no more."""
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            self._splitter.feed(message.data.encode())
        elif message.type is WSMsgType.BINARY:
            self._splitter.feed(message.data)
        else:
            return False
        return True

    async def _shake_hands(self) -> bool:
        answer = wire.refusal("Handshake was canceled.")
        with contextlib.suppress(TimeoutError, wire.Malformed):
            async with asyncio.timeout(self._handshake_timeout):
                while (request := next(self._splitter.messages(), None)) is None:
                    if not await self._receive():
                        return False
            answer = wire.handshake_answer(request)
        if answer == wire.HANDSHAKE_DONE:
            self._state.enter(self)  # first: what is pushed once the client has the answer must reach it
            with contextlib.suppress(ConnectionError):
                await self._socket.send_str(answer)
                return True
            return False
        await self.close(answer)
        return False

    async def _serve(self) -> None:
        try:
            while await self._handle_all() and await self._receive():
                pass
        except wire.Malformed:
            await self.close(wire.BROKEN)

    async def _handle_all(self) -> bool:
        for message in self._splitter.messages():
            await self._handle(message)
            if self._closing:
                return False
        return True

    async def _handle(self, message: bytes) -> None:
        fields = wire.parse(message)
        if fields is None:
            self._splitter.stop_at(message)
            return
        kind = fields["type"]
        if kind == wire.PING_TYPE:
            return
        self._state.note(message.decode("utf-8", "replace"), fields.get("headers", {}))
        if kind == wire.CLOSE:
            await self.close()
        elif kind in (wire.INVOCATION, wire.STREAM_INVOCATION):
            error = await self._invoke(fields)
            if fields.get("invocationId"):
                await self.send(wire.completion(fields["invocationId"], error))

    async def _invoke(self, fields: dict[str, Any]) -> str | None:
        """Run the method, one at a time on a connection; returns what the completion says went wrong."""
        method = METHODS.get(fields["target"].lower())
        if method is None:
            name = fields["target"]
            return (
                f"Failed to invoke '{name}' due to an error on the server. "
                "HubException: Method does not exist."
            )
        try:
            arguments = wire.bind(fields["arguments"], method.parameters)
        except wire.Unbindable:
            return f"Failed to invoke '{method.name}' due to an error on the server."
        if fields["type"] == wire.STREAM_INVOCATION:
            return (
                f"The client attempted to invoke the non-streaming '{method.name}' method "
                "with a streaming invocation."
            )
        problem = f"An unexpected error occurred invoking '{method.name}' on the server."
        if streams := len(fields.get("streamIds", [])):
            return f"{problem} HubException: Client sent {streams} stream(s), Hub method expects 0."
        try:
            await method.run(self._state, self, *arguments)
        except HubException as error:
            return f"{problem} HubException: {error}"
        except Crash:
            return problem
        return None
