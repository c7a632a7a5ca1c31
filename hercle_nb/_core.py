"""The hub's logic, on the hub's own thread: records what arrives, sends commands, finds their answers.

The faces (`Hub`, `AsyncHub`) hold a `Core`; a `Core` holds no face, so that a hub to which nothing refers
any more can be collected, which closes it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hercle_nb import commands
from hercle_nb._signalr.protocol import MAX_SENT_BYTES, invocation_text
from hercle_nb._signalr.supervisor import Supervisor
from hercle_nb.calls import Call, Calls
from hercle_nb.errors import CommandRejected, ConnectionFailed, HercleError, InvalidRequest
from hercle_nb.events import COMMAND, CONNECTION, Content
from hercle_nb.invoices import read_answer

if TYPE_CHECKING:
    from hercle_nb._signalr.transport import Timings
    from hercle_nb.config import ApiKey
    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice, InvoiceRequest
    from hercle_nb.log import EventLog
    from hercle_nb.simulator import Simulator

logger = logging.getLogger("hercle_nb")


class Core:
    """One hub.

    Args:
        environment: ``simulator``, ``sandbox`` or ``production``.
        url: The hub's URL.
        key: The API key.
        log: Where everything is recorded.
        simulator: The embedded simulator, which ends with the hub.
        timings: Time-outs and limits of the connection.
    """

    def __init__(
        self,
        environment: str,
        url: str,
        key: ApiKey,
        log: EventLog,
        simulator: Simulator | None = None,
        timings: Timings | None = None,
    ) -> None:
        self.environment = environment
        self.url = url
        self.log = log
        self.simulator = simulator
        self.creations: dict[str, Call] = {}
        self.journal_noted = False
        self.events = 0
        self.supervisor = Supervisor(url, key, self, timings)
        self._calls = Calls()

    # -- what the connection tells, in the order it happens; nothing here may raise ---------------------

    def received(self, raw: str, *, incomplete: bool = False) -> None:
        """Record an event, then see whether it answers somebody."""
        content = Content(type="incomplete") if incomplete else None
        seq = self.log.record(raw, self.supervisor.connections, content=content)
        self.events += 1
        if incomplete or not self._calls:
            return
        try:
            event = self.log.event(seq)
            if (call := self._calls.answered_by(event)) is not None:
                self._settle(call, event)
        except Exception:
            logger.exception("event %d could not be matched; it is in the log", seq)

    def completed(self, invocation_id: str, message: dict[str, Any]) -> None:
        """Take a completion: the method returned, or failed."""
        call = self._calls.take(invocation_id)
        if call is None:
            return
        error = message.get("error")
        if error is None:
            if not call.completion.done():
                call.completion.set_result(message.get("result"))
            return
        words = commands.completion_refusal(str(error))
        if words is None:
            call.fail(call.lost(f"the hub failed with {error!r}"))
            return
        call.rejection = CommandRejected(f"The hub refused {call.method}: {words}", message=words)
        self._calls.forget(call)
        call.fail(call.rejection)

    def opened(self, connection: int, attempts: int) -> None:
        """Record that a connection is up."""
        self._record_change("connection.opened", {"url": self.url, "attempts": attempts})

    def ended(self, error: HercleError, reason: str) -> None:
        """Record that the connection is over, and tell everybody who waits for an answer."""
        if self.supervisor.connections:
            self._record_change("connection.closed", {"reason": reason})
        for call in self._calls.unfinished():
            sent_change = call.sent_at is not None and not commands.changes_nothing(call.method)
            call.fail(call.lost(f"the connection ended ({reason})") if sent_change else error)

    # -- what the faces ask ------------------------------------------------------------------------------

    async def connect(self, timeout: float) -> None:
        """Connect; see `Supervisor.open`."""
        await self.supervisor.open(timeout)

    async def invoke(self, method: str, arguments: list[Any], timeout: float) -> Any:
        """Invoke a method and return what its completion brings."""
        named = arguments[0] if arguments and isinstance(arguments[0], str) else None
        call = Call(method, named)
        try:
            return await self._wait(call, call.completion, timeout, arguments)
        finally:
            self._calls.forget(call)

    async def command(self, method: str, arguments: list[Any], client_id: str, timeout: float) -> HubEvent:
        """Invoke a method with a ClientId and return the event that answers it."""
        call = Call(method, client_id)
        self._calls.expect_answer(call)
        try:
            event: HubEvent = await self._wait(call, call.answer, timeout, [client_id, *arguments])
            return event
        finally:
            self._calls.forget(call)

    async def create(self, request: InvoiceRequest, timeout: float) -> Invoice:
        """Create an invoice, or return the one that this ClientId has created already."""
        known = self.creations.get(request.client_id)
        if known is None:
            return await self._create(request, timeout)
        if known.request != request:
            raise InvalidRequest(
                f"The ClientId {request.client_id} was used for another invoice ({_summary(known)}); "
                "nothing was sent. Give this one a client_id of its own."
            )
        if not known.settled and known.waiting:  # another thread is creating it
            await self._wait(known, known.answer, timeout)
        if known.rejection is not None:
            raise known.rejection
        if known.invoice is None:
            raise known.lost("its answer has not come so far")
        return known.invoice.as_reused()

    async def close(self) -> None:
        """End the connection, then the simulator if there is one."""
        await self.supervisor.close()
        if self.simulator is not None:
            self.simulator.close()

    # -- inside ------------------------------------------------------------------------------------------

    async def _create(self, request: InvoiceRequest, timeout: float) -> Invoice:
        call = Call(commands.CREATE, request.client_id, request)
        self._calls.expect_answer(call)
        self.creations[request.client_id] = call
        try:
            await self._wait(call, call.answer, timeout, request.arguments)
        except BaseException as error:
            if call.sent_at is None:  # nothing left this machine, so the same ClientId may be tried again
                self._calls.forget(call)
                del self.creations[request.client_id]
                call.fail(error if isinstance(error, HercleError) else call.lost("it was interrupted"))
            raise
        if call.invoice is None:
            raise call.lost("the hub's answer holds no invoice")
        return call.invoice

    async def _wait(
        self, call: Call, future: asyncio.Future[Any], timeout: float, send: list[Any] | None = None
    ) -> Any:
        """Send, if that is still to be done, and wait; every way it can end becomes one of our errors."""
        call.waiting += 1
        try:
            async with asyncio.timeout(timeout):
                if send is not None:
                    await self._send(call, send)
                return await asyncio.shield(future)
        except TimeoutError as error:
            if isinstance(error, HercleError):
                raise
            raise call.lost(f"no answer came in {timeout:g} s") from None
        except asyncio.CancelledError:
            lost = call.lost("the wait for its answer was interrupted")
            if call.sent_at is None or commands.changes_nothing(call.method):
                raise
            raise lost from None  # reaches the user as a note on the interrupt
        finally:
            call.waiting -= 1

    async def _send(self, call: Call, arguments: list[Any]) -> None:
        self.supervisor.check()
        invocation_id = self._calls.number(call)
        text = invocation_text(invocation_id, call.method, arguments)
        if (size := len(text.encode())) >= MAX_SENT_BYTES:
            raise InvalidRequest(
                f"{call.method} would be a message of {size:,} bytes; the limit is {MAX_SENT_BYTES:,}."
            )
        content = Content(target=call.method, client_id=call.client_id, data=arguments)
        self.log.record(text, self.supervisor.connections, COMMAND, content)
        call.sent_at = datetime.now(UTC)
        try:
            await self.supervisor.invoke(invocation_id, call.method, arguments)
        except ConnectionFailed as error:
            raise call.lost("the connection was lost while it was sent") from error

    def _settle(self, call: Call, event: HubEvent) -> None:
        """An event answers a call: note how it ended, then tell who waits."""
        if commands.is_refusal(event):
            words = commands.hub_words(event)
            status = commands.http_status(event.data)
            code = f" ({status})" if status is not None else ""
            call.rejection = CommandRejected(
                f"The hub refused {call.method}{code}: {words}",
                message=words,
                subject=event.subject,
                http_status=status,
                event=event,
            )
            self._calls.forget(call)
            call.fail(call.rejection)
        elif not commands.is_success(event):
            call.fail(call.lost(f"the hub answered with status {commands.http_status(event.data)}"))
        else:
            if (
                call.request is not None
                and isinstance(event.data, dict)
                and event.data.get("encodedPaymentRequest")
            ):
                currency = "bc" if self.environment == "production" else ""
                call.invoice = read_answer(call.request, event.data, event.received_at, currency)
                self._calls.forget(call)
            if not call.answer.done():
                call.answer.set_result(event)

    def _record_change(self, subject: str, data: dict[str, Any]) -> None:
        self.log.record(None, self.supervisor.connections, CONNECTION, Content(subject=subject, data=data))


def _summary(call: Call) -> str:
    request = call.request
    assert request is not None  # noqa: S101  # typing: a creation has one
    return f"{request.amount_btc:f} BTC, memo {request.memo!r}, expiry {request.expiry_hours} h"
