"""Keeps the connection, for ever: connects, watches, reconnects, closes. Decides nothing, `policy` does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hercle_nb._signalr.clocks import SleepWatch
from hercle_nb._signalr.failures import AttemptFailed, Finality
from hercle_nb._signalr.negotiate import negotiate
from hercle_nb._signalr.policy import Ending, GiveUp, Policy, Retry
from hercle_nb._signalr.transport import HubTransport, Receiver, Timings
from hercle_nb.errors import ConfigurationError, ConnectionFailed, HercleError

if TYPE_CHECKING:
    from hercle_nb.config import ApiKey, Secret

State = Literal["connecting", "connected", "reconnecting", "closed"]

logger = logging.getLogger("hercle_nb")


class Owner(Receiver, Protocol):
    """Who is told what arrives and what becomes of the connection, on the hub's thread; may not raise."""

    def opened(self, connection: int, attempts: int) -> None:
        """Connection number ``connection`` is up, after so many attempts since the last one was lost."""

    def lost(self, ending: Ending) -> None:
        """The connection is gone and will be made again."""

    def ended(self, error: HercleError, reason: str) -> None:
        """It is over; ``error`` is what every further call raises."""


class Supervisor:
    """The connections of a hub, one after another.

    Attributes:
        state: ``connecting``, ``connected``, ``reconnecting`` or ``closed``.
        error: What every call raises once the state is ``closed``.
        trouble: What is being done about a connection that is not there, for a person; else empty.
        attempts: Attempts to connect, in all.
        connections: Connections that came about.
        closed_here: It ended by `close`.
        key: The key of the last attempt; None before the first.
        pace: What delays are multiplied with.
    """

    def __init__(
        self,
        url: str,
        key: ApiKey,
        owner: Owner,
        timings: Timings | None = None,
        policy: Policy | None = None,
        sleep_watch: SleepWatch | None = None,
    ) -> None:
        self.state: State = "connecting"
        self.error: HercleError | None = None
        self.trouble = ""
        self.attempts = 0
        self.connections = 0
        self.closed_here = False
        self._hub_clock = time.time() - time.monotonic()  # what the hub's is ahead of the monotonic one
        self._hub_clock_known = False
        self.pace = (timings or Timings()).pace
        self.key: Secret | None = None
        self._url = url
        self._key = key
        self._owner = owner
        self._timings = timings or Timings()
        self._policy = policy or Policy()
        self._sleep_watch = sleep_watch or SleepWatch()
        self._transport: HubTransport | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._usable = asyncio.Event()  # connected, or closed for good
        self._past = dict.fromkeys(("bytes_in", "bytes_out", "messages_in", "messages_out"), 0)

    async def open(self, timeout: float) -> None:
        """Connect, trying again within ``timeout`` seconds where that is worth it.

        Raises:
            AuthenticationError: The key was refused.
            ConnectionFailed: No hub there, not a hub, or nothing came of it in time.
            ConfigurationError: The callable that gives the key failed.
        """
        failure: AttemptFailed | None = None
        transport: HubTransport | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        transport = await self._attempt()
                    except AttemptFailed as error:
                        failure = error
                        decision = self._policy.first_failed(error)
                        if isinstance(decision, GiveUp):
                            raise decision.error from error.__cause__
                    else:
                        break
                    await self._pause(decision, str(failure))
        except TimeoutError:
            raise self._in_vain(timeout, failure) from (failure and failure.__cause__)
        finally:
            if transport is None:
                self.state = "closed"
        self._connected(transport, self.attempts)
        self._keeping = asyncio.create_task(self._keep(transport))

    async def ready(self) -> None:
        """Wait until there is a connection.

        Raises:
            HercleError: There will be none; the error says why.
        """
        while self.state != "connected":
            self.check()
            await self._usable.wait()

    def check(self) -> None:
        """Raise what every call raises once the hub is closed.

        Raises:
            HercleError: The state is ``closed``.
        """
        if self.state == "closed":
            raise self.error or ConnectionFailed("The hub is not connected.")

    async def invoke(self, invocation_id: str, method: str, arguments: list[Any]) -> None:
        """Send an invocation over the connection there is; wait for `ready` first.

        Raises:
            ConnectionFailed: The connection was lost; bytes may or may not have left.
        """
        if self._transport is None:
            raise ConnectionFailed("The hub is not connected.")
        await self._transport.invoke(invocation_id, method, arguments)

    async def close(self) -> None:
        """Say goodbye and end; does nothing the second time."""
        self.closed_here = self.closed_here or self.state != "closed"
        self._end(ConnectionFailed("The hub was closed; call hercle.connect() for a new one."), "closed here")
        if self._transport is not None:
            await self._transport.say_goodbye()
        elif self._keeping is not None:
            self._keeping.cancel()  # between two connections there is nobody to say goodbye to
        if self._keeping is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    def counters(self) -> dict[str, int]:
        """Bytes and messages in and out, over all connections."""
        now = self._transport
        return (
            self._past if now is None else {name: self._past[name] + n for name, n in _counted(now).items()}
        )

    def hub_time(self) -> float:
        """Now by the hub's clock, in seconds since 1970, whatever becomes of this computer's meanwhile."""
        return self._hub_clock + time.monotonic()

    @property
    def clock_ahead(self) -> float:
        """Seconds that the hub's clock is ahead of this computer's as it is set now; 0 where not known."""
        return self.hub_time() - time.time() if self._hub_clock_known else 0.0

    def silence(self) -> float | None:
        """Seconds since the last message of the present connection; None without one."""
        return None if self._transport is None else self._transport.silence()

    async def _attempt(self) -> HubTransport:
        self.attempts += 1
        try:
            key = await asyncio.to_thread(self._key.ask) if self._key.may_block else self._key.ask()
            self.key = key
        except ConfigurationError as error:
            raise AttemptFailed(error, Finality.AT_FIRST) from error.__cause__
        target = await negotiate(self._url, key, self._key.source, timeout=self._timings.negotiate)
        transport = HubTransport(target, self._owner, self._timings)
        await transport.open(self._key.source)
        self._hub_clock = time.time() + (target.clock_ahead or 0.0) - time.monotonic()
        self._hub_clock_known = target.clock_ahead is not None
        return transport

    async def _keep(self, transport: HubTransport) -> None:
        """Run one connection after another until the policy gives up or `close` is called."""
        try:
            while True:
                ending, lasted = await self._run(transport)
                if self.state == "closed":
                    return
                decision = self._policy.lost(ending, lasted)
                if isinstance(decision, GiveUp):
                    raise AttemptFailed(decision.error, Finality.ALWAYS)
                self.state = "reconnecting"
                self._owner.lost(ending)
                before = self.attempts
                transport = await self._reconnect(ending.reason, decision)
                self._connected(transport, self.attempts - before)
        except AttemptFailed as error:
            self._end(error.error, str(error).rstrip("."))
        except Exception:
            logger.exception("the connection ended by a fault of this package")
            self._end(
                ConnectionFailed("The connection ended by a fault of hercle_nb; see its log."), "a fault"
            )

    async def _run(self, transport: HubTransport) -> tuple[Ending, float]:
        """One connection, from now to its end, with an eye on the computer's sleep."""
        began = asyncio.get_running_loop().time()
        watching = asyncio.create_task(self._watch_sleep(transport))
        try:
            ending = await transport.run()
        finally:
            watching.cancel()
            self._usable.clear()
            self._past = self.counters()
            self._transport = None
        return ending, asyncio.get_running_loop().time() - began

    async def _watch_sleep(self, transport: HubTransport) -> None:
        while True:
            await asyncio.sleep(self._timings.tick)
            if slept := self._sleep_watch.slept():
                transport.abandon(Ending(f"this computer slept for {slept:.0f} s", slept=True))

    async def _reconnect(self, reason: str, decision: Retry) -> HubTransport:
        """Attempt until one succeeds.

        Raises:
            AttemptFailed: The policy gives up.
        """
        said = reason
        while True:
            await self._pause(decision, said)
            try:
                return await self._attempt()
            except AttemptFailed as error:
                logger.info("attempt %d failed: %s", self.attempts, error)
                said = str(error)
                next_step = self._policy.failed(error)
                if isinstance(next_step, GiveUp):
                    raise
                decision = next_step

    async def _pause(self, decision: Retry, said: str) -> None:
        """Wait for a retry's delay; less if the computer slept meanwhile."""
        delay = decision.delay * self._timings.pace
        self.trouble = f"{said} (trying again within {delay:.0f} s)"
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        while (left := due - loop.time()) > 0:
            await asyncio.sleep(min(left, self._timings.tick))
            if self._sleep_watch.slept():
                self._policy.woke()
                return

    def _connected(self, transport: HubTransport, attempts: int) -> None:
        self._transport = transport
        self._sleep_watch.slept()  # a nap before this connection is none of its business
        self.connections += 1
        self.state = "connected"
        self.trouble = ""
        logger.info("connection %d is up after %d attempts", self.connections, attempts)
        self._owner.opened(self.connections, attempts)
        self._usable.set()

    def _end(self, error: HercleError, reason: str) -> None:
        if self.state == "closed":
            return
        self.state = "closed"
        self.error = error
        self.trouble = ""
        logger.info("closed: %s", reason)
        self._owner.ended(error, reason)
        self._usable.set()

    def _in_vain(self, timeout: float, failure: AttemptFailed | None) -> ConnectionFailed:
        told = f" {failure.error}" if failure else f" Nothing came back from {self._url}."
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return ConnectionFailed(f"No connection after {attempts} in {round(timeout, 1):g} s.{told}")


def _counted(transport: HubTransport) -> dict[str, int]:
    return {
        "bytes_in": transport.bytes_in,
        "bytes_out": transport.wire.size,
        "messages_in": transport.messages_in,
        "messages_out": transport.wire.messages,
    }
