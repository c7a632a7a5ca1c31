"""Keeps the connection: when to try, what is final, what it is doing.

In this version a connection that is lost is not made again: the hub ends in the state ``closed`` with the
reason. `_keep` is where another attempt would start.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hercle_nb._signalr.failures import AttemptFailed
from hercle_nb._signalr.negotiate import negotiate
from hercle_nb._signalr.protocol import HubProtocol
from hercle_nb._signalr.transport import HubTransport, Receiver, Timings
from hercle_nb.errors import ConnectionFailed, HercleError

if TYPE_CHECKING:
    from hercle_nb.config import ApiKey

State = Literal["connecting", "connected", "reconnecting", "closed"]

_DELAYS = (0.0, 2.0)  # seconds before the second and any further attempt while somebody waits in a cell

logger = logging.getLogger("hercle_nb")


class Owner(Receiver, Protocol):
    """Who is told what arrives and what becomes of the connection, on the hub's thread."""

    def opened(self, connection: int, attempts: int) -> None:
        """Connection number ``connection`` is up."""

    def ended(self, error: HercleError, reason: str) -> None:
        """It is over; ``error`` is what every further call raises."""


class Supervisor:
    """The one connection of a hub.

    Attributes:
        state: ``connecting``, ``connected``, ``reconnecting`` or ``closed``.
        error: What every call raises once the state is ``closed``.
        attempts: Attempts to connect.
        connections: Connections that came about.
    """

    def __init__(self, url: str, key: ApiKey, owner: Owner, timings: Timings | None = None) -> None:
        self.state: State = "connecting"
        self.error: HercleError | None = None
        self.attempts = 0
        self.connections = 0
        self._url = url
        self._key = key
        self._owner = owner
        self._timings = timings or Timings()
        self._transport: HubTransport | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def open(self, timeout: float) -> None:
        """Connect, trying again within ``timeout`` seconds where that is worth it.

        Raises:
            AuthenticationError: The key was refused.
            ConnectionFailed: No hub there, not a hub, or nothing came of it in time.
            ConfigurationError: The callable that gives the key failed.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        failure: AttemptFailed | None = None
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    try:
                        self._transport = await self._attempt()
                        break
                    except AttemptFailed as error:
                        logger.info("attempt %d failed: %s", self.attempts, error)
                        if error.final:
                            raise error.error from error.__cause__
                        failure = error
                    delay = _DELAYS[min(self.attempts, len(_DELAYS)) - 1]
                    await asyncio.sleep(max(delay, failure.retry_after or 0.0))
        except TimeoutError:
            raise self._in_vain(timeout, failure) from (failure and failure.__cause__)
        finally:
            if self._transport is None:
                self.state = "closed"
        self.connections += 1
        self.state = "connected"
        self._owner.opened(self.connections, self.attempts)
        self._keeping = asyncio.create_task(self._keep(self._transport))

    async def invoke(self, invocation_id: str, method: str, arguments: list[Any]) -> None:
        """Send an invocation over the connection there is; `check` first."""
        if self._transport is None:
            raise self.error or ConnectionFailed("The hub is not connected.")
        await self._transport.invoke(invocation_id, method, arguments)

    def check(self) -> None:
        """Raise what every call raises once the hub is closed.

        Raises:
            HercleError: The state is not ``connected``.
        """
        if self.state != "connected":
            raise self.error or ConnectionFailed("The hub is not connected.")

    async def close(self) -> None:
        """Say goodbye and end; does nothing the second time."""
        self._end(ConnectionFailed("The hub was closed; call hercle.connect() for a new one."), "closed here")
        if self._transport is not None:
            await self._transport.say_goodbye()
        if self._keeping is not None:
            await self._keeping

    def counters(self) -> dict[str, int]:
        """Bytes and messages in and out; zeros before the first connection."""
        transport = self._transport
        wire = transport.wire if transport else HubProtocol()
        return {
            "bytes_in": transport.bytes_in if transport else 0,
            "bytes_out": wire.size,
            "messages_in": transport.messages_in if transport else 0,
            "messages_out": wire.messages,
        }

    async def _attempt(self) -> HubTransport:
        self.attempts += 1
        key = await asyncio.to_thread(self._key.ask) if self._key.may_block else self._key.ask()
        target = await negotiate(self._url, key, self._key.source, timeout=self._timings.negotiate)
        transport = HubTransport(target, self._owner, self._timings)
        await transport.open(self._key.source)
        return transport

    async def _keep(self, transport: HubTransport) -> None:
        try:
            await transport.run()
        except Exception:
            logger.exception("the connection ended by a fault of this package")
            transport.ending = "a fault of this package; the log hercle_nb has it"
        reason = transport.ending
        error = ConnectionFailed(
            f"The connection to {self._url} was lost: {reason}. Call hercle.connect() for a new one."
        )
        self._end(error, reason)

    def _end(self, error: HercleError, reason: str) -> None:
        if self.state == "closed":
            return
        self.state = "closed"
        self.error = error
        logger.info("closed: %s", reason)
        self._owner.ended(error, reason)

    def _in_vain(self, timeout: float, failure: AttemptFailed | None) -> ConnectionFailed:
        told = f" {failure.error}" if failure else f" Nothing came back from {self._url}."
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return ConnectionFailed(f"No connection after {attempts} in {timeout:g} s.{told}")
