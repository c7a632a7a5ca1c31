"""websockets' connection, handing on what one read brought as one batch instead of queueing frame by frame.

Of the 7.8 µs that a message costs with `recv`, queue and wake-up are most of what is not parsing (measured).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.exceptions import ConnectionClosed


_READ_BYTES = 1 << 20  # asyncio's own figure is a quarter of that


class HubSocket(ClientConnection):
    """A WebSocket whose frames go to whoever asked for them, in batches.

    Attributes:
        heard_at: When something was received last, by the monotonic clock.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heard_at = time.monotonic()
        self._frames: list[bytes] = []
        self._hand_on: Callable[[list[bytes]], None] | None = None
        self._changed = asyncio.Event()

    async def frames(self) -> list[bytes]:
        """Wait for the next frames.

        Raises:
            ConnectionClosed: None will come.
        """
        while not self._frames:
            if self.protocol.state is State.CLOSED:
                raise self.closed_by
            self._changed.clear()
            await self._changed.wait()
        frames, self._frames = self._frames, []
        return frames

    def hand_to(self, hand_on: Callable[[list[bytes]], None] | None) -> None:
        """From now on, call this with the frames of each read; it must not raise. None to drop them."""
        self._hand_on = hand_on or _drop

    @property
    def closed_by(self) -> ConnectionClosed:
        """How the connection was closed."""
        return self.protocol.close_exc

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have asyncio read more at once: beside a cell that computes, this thread gets few turns."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # asyncio's own transports, by no documented name
            transport.max_size = _READ_BYTES

    def data_received(self, data: bytes) -> None:
        """Take what one read brought."""
        self.heard_at = time.monotonic()
        super().data_received(data)
        if not self._frames:
            return
        if self._hand_on is None:
            self._changed.set()
        else:
            frames, self._frames = self._frames, []
            self._hand_on(frames)

    def process_event(self, event: Any) -> None:
        """Keep a data frame; the rest is websockets' own."""
        if type(event) is Frame and event.opcode in DATA_OPCODES:
            self._frames.append(event.data)  # type: ignore[arg-type]  # a bytearray does as well
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for frames."""
        super().connection_lost(exc)
        self._changed.set()


class Connect(connect):
    """websockets' connect, following no HTTP redirect: the key would go along."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def _drop(frames: list[bytes]) -> None:
    """Nobody listens any more."""
