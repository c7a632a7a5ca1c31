"""A bare SignalR client and a simulated hub to talk to, for tests of the protocol."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import websockets

from hercle_nb.simulator.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


KEY = "test-key"
SEPARATOR = "\x1e"


class Client:
    """A bare SignalR client: sends text, takes messages apart, judges nothing."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection
        self.frames: list[str] = []
        self._ready: list[Any] = []
        self._rest = ""

    async def send(self, text: str) -> None:
        """Send messages, each without its separator."""
        await self.connection.send(text + SEPARATOR)

    async def invoke(self, method: str, *arguments: Any, invocation_id: str = "1") -> None:
        """Call a hub method."""
        call = {"type": 1, "invocationId": invocation_id, "target": method, "arguments": arguments}
        await self.send(json.dumps(call))

    async def next(self, timeout: float = 5) -> Any:
        """The next message."""
        async with asyncio.timeout(timeout):
            while not self._ready:
                frame = await self.connection.recv()
                assert isinstance(frame, str)
                self.frames.append(frame)
                *complete, self._rest = (self._rest + frame).split(SEPARATOR)
                self._ready += [json.loads(text, parse_float=Decimal) for text in complete]
        return self._ready.pop(0)

    async def event(self) -> Any:
        """The argument of the next event; completions in between must be good."""
        while (message := await self.next())["type"] != 1:
            assert message.get("error") is None
            assert message["type"] == 3
        return message["arguments"][0]

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call a hub method and return its event."""
        await self.invoke(method, *arguments)
        return await self.event()

    async def silent(self, seconds: float = 0.05) -> bool:
        """Whether nothing comes."""
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False

    async def close_code(self) -> int | None:
        """How the connection ends."""
        async with asyncio.timeout(5):
            await self.connection.wait_closed()
        return self.connection.close_code


@asynccontextmanager
async def connected(url: str, key: str) -> AsyncIterator[Client]:
    """A client after its handshake."""
    headers = {"Authorization": f"Bearer {key}"}
    async with websockets.connect(
        url.replace("http", "ws"), additional_headers=headers, compression=None, proxy=None
    ) as connection:
        client = Client(connection)
        await client.send('{"protocol":"json","version":1}')
        assert await client.next() == {}
        yield client


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Server]:
    """A server on this loop, with its waits cut short."""
    server = Server(KEY, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.close()
