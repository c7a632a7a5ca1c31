"""The hub's logic, on the hub's own thread: records what arrives, sends commands, finds their answers.

The faces (`Hub`, `AsyncHub`) hold a `Core`; a `Core` holds no face, so that a hub to which nothing refers
any more can be collected, which closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hercle_nb import commands
from hercle_nb._signalr.protocol import MAX_SENT_BYTES, invocation_text
from hercle_nb._signalr.supervisor import Supervisor
from hercle_nb.amounts import MAX_MSAT
from hercle_nb.book import Book
from hercle_nb.callbacks import Callbacks
from hercle_nb.calls import AtLoss, Call, Calls
from hercle_nb.creating import Creating, used
from hercle_nb.errors import CommandRejected, ConnectionFailed, HercleError, InvalidRequest, OutcomeUnknown
from hercle_nb.events import COMMAND, Content, read_message, to_text
from hercle_nb.invoice_request import check_client_id
from hercle_nb.journal.rows import DONE, REJECTED
from hercle_nb.lists import Lists
from hercle_nb.memory import KnownToJournal, Memory
from hercle_nb.payments import Payments
from hercle_nb.readers import Growth, Reader, first_match
from hercle_nb.recorder import close_all
from hercle_nb.subscriptions import Feeds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from hercle_nb._signalr.policy import Ending
    from hercle_nb._signalr.transport import Timings
    from hercle_nb.batch.batch import Batch
    from hercle_nb.config import ApiKey
    from hercle_nb.events import HubEvent
    from hercle_nb.log import EventLog
    from hercle_nb.simulator import Simulator

logger = logging.getLogger("hercle_nb")

_ROUND_TRIPS = 1_000  # the last so many are remembered


class Core:
    """One hub.

    Args:
        environment: ``simulator``, ``sandbox`` or ``production``.
        url: The hub's URL.
        key: The API key.
        log: Where everything is recorded.
        simulator: The embedded simulator, which ends with the hub.
        timings: Watchdogs and limits of the connection.
        max_msat: The most that one invoice may ask for.
        currency: The network expected, as in a payment request's prefix; empty for any but Bitcoin itself.
    """

    def __init__(
        self,
        environment: str,
        url: str,
        key: ApiKey,
        log: EventLog,
        simulator: Simulator | None = None,
        timings: Timings | None = None,
        *,
        max_msat: int = MAX_MSAT,
        currency: str = "",
    ) -> None:
        self.environment = environment
        self.url = url
        self.log = log
        self.simulator = simulator
        self.memory = Memory(self)
        self.max_msat = max_msat
        self.currency = currency
        self.book = Book(currency)
        self.book.doubt = self.memory.account.doubt
        self.batches: dict[str, Batch] = {}  # by batch_id, the last one last
        self.events = 0
        self.stream_drops = 0
        self.round_trips: deque[float] = deque(maxlen=_ROUND_TRIPS)
        self.supervisor = Supervisor(url, key, self, timings)
        self.callbacks = Callbacks(log)
        self.feeds = Feeds(self)
        self.creating = Creating(self)
        self.lists = Lists(self)
        self.payments = Payments(self)
        self.calls = Calls()
        self._growth = Growth()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what the connection tells, in the order it happens; nothing here may raise ---------------------

    def received(self, messages: list[bytes]) -> None:
        """Record events, then see whether one of them is an answer."""
        first = self.log.extend(messages, self.supervisor.connections)
        self.events += len(messages)
        if self.calls and any(map(commands.may_answer, {message[: commands.HEAD] for message in messages})):
            for seq, message in enumerate(messages, first):
                if commands.may_answer(message):
                    self._answer(seq)
        self._growth.tell()
        self.callbacks.tell()

    def received_part(self, message: bytes) -> None:
        """Record an event whose end is missing."""
        content = Content(type="incomplete")
        self.log.append(to_text(message), self.supervisor.connections, content=content)
        self.events += 1
        self._growth.tell()
        self.callbacks.tell()

    def _answer(self, seq: int) -> None:
        try:
            event = self.log.event(seq)
            if (call := self._answered_by(event)) is not None:
                self._settle(call, event)
        except Exception:
            logger.exception("event %d could not be looked at; it is in the log", seq)

    def _answered_by(self, event: HubEvent) -> Call | None:
        return self.calls.answered_by(event, self.supervisor.hub_time(), self.memory.account.is_ours)

    def completed(self, invocation_id: str, message: dict[str, Any]) -> None:
        """Take a completion: the method returned, or failed."""
        call = self.calls.take(invocation_id)
        if call is None:
            return
        self._time(call)
        error = message.get("error")
        if error is None:
            if call.bare:
                self.memory.answered(call, DONE, lambda: self._complete(call, message.get("result")))
            return
        self.memory.completed(call, message)
        words = commands.completion_refusal(str(error))
        if words is None:
            call.fail(call.lost(f"the hub failed with {error!r}"))
            return
        self._refuse(call, CommandRejected(f"The hub refused {call.method}: {words}", message=words))

    def _complete(self, call: Call, result: Any) -> None:
        call.done = True
        if not call.completion.done():
            call.completion.set_result(result)

    def _refuse(self, call: Call, rejection: CommandRejected) -> None:
        """The hub has refused a command: nothing came of it."""

        def finish() -> None:
            call.rejection = rejection
            self.calls.forget(call)
            self.book.refused(call)
            call.fail(rejection)

        words = f"a refusal ({rejection.message})"
        self.memory.answered(call, REJECTED, finish, event=rejection.event, rejection=rejection, words=words)

    def opened(self, connection: int, attempts: int) -> None:
        """Record that a connection is up; after a loss, ask unanswered queries again and refresh."""
        if connection == 1:
            opened = {"url": self.url, "attempts": attempts}
            self.log.record_change("connection.opened", opened, connection)
            self.memory.note_change(connection, "connection.opened", opened)
            return
        self.log.record_return(connection, attempts)
        self.memory.note_change(connection, "connection.restored", {"attempts": attempts})
        self.feeds.again()
        asked = [call for call in self.calls.unfinished() if call.repeatable and call.sent_at is not None]
        self.start(self._ask_again(asked))

    def lost(self, ending: Ending) -> None:
        """Record that the connection is gone; `Call.at_loss` decides what becomes of each call under way."""
        connection = self.supervisor.connections
        self.log.record_loss(connection, ending.reason)
        self.memory.note_change(connection, "connection.lost", {"reason": ending.reason})
        lost_at = self.lists.lost()
        for call in self._unanswered():
            decision = call.at_loss(too_large=ending.too_large)
            if decision is not AtLoss.SEND_LATER:
                call.lost_at = call.lost_at or lost_at
            if decision is AtLoss.FAIL:
                if ending.too_large:
                    self.lists.too_large(call)
                call.fail(call.lost(f"the connection was lost ({ending.reason})"))
        self.memory.lose(call for call in self._unanswered() if call.lost_at == lost_at)

    def ended(self, error: HercleError, reason: str) -> None:
        """Record that the connection is over, and tell everybody who waits."""
        if connection := self.supervisor.connections:
            self.log.record_change("connection.closed", {"reason": reason}, connection)
            self.memory.note_change(connection, "connection.closed", {"reason": reason})
        for call in self._unanswered():
            sent_change = call.sent_at is not None and not call.repeatable
            call.fail(call.lost(f"the connection ended ({reason})") if sent_change else error)
        self._growth.tell()
        self.payments.ended()

    # -- what the faces ask ------------------------------------------------------------------------------

    async def connect(self, timeout: float) -> None:
        """Open the journal, connect, and look at what earlier kernels left open.

        Raises:
            JournalError: The journal cannot be used.
            HercleError: As `Supervisor.open`.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout
        await self.memory.open(timeout)
        await self.supervisor.open(max(due - loop.time(), 0.1))
        await self.memory.look_once(max(due - loop.time(), 0.1))

    async def invoke(self, method: str, arguments: list[Any], timeout: float) -> Any:
        """Invoke a method and return what its completion brings."""
        self.creating.check_bare(method, arguments)
        named = arguments[0] if arguments and isinstance(arguments[0], str) else None
        call = Call(method, named, arguments=arguments, bare=True, unique=_has_client_id(method, named))
        await self._check_unused(call, timeout)
        try:
            return await self.perform(call, call.completion, timeout)
        except KnownToJournal as known:
            raise used(known.call) from None
        except OutcomeUnknown:
            if named is not None:
                self.book.others[named] = call
            raise
        finally:
            self.calls.forget(call)

    async def command(self, method: str, arguments: list[Any], client_id: str, timeout: float) -> HubEvent:
        """Invoke a method with a ClientId and return the event that answers it."""
        call = Call(method, client_id, arguments=[client_id, *arguments])
        self.creating.check_bare(method, call.arguments)
        await self._check_unused(call, timeout)
        self.calls.expect_answer(call)
        try:
            event: HubEvent = await self.perform(call, call.answer, timeout)
        except KnownToJournal as known:
            raise used(known.call) from None
        except OutcomeUnknown:
            self.book.others[client_id] = call  # and a late answer is still taken
            raise
        except BaseException:
            self.calls.forget(call)
            raise
        self.calls.forget(call)
        return event

    async def _check_unused(self, call: Call, timeout: float) -> None:
        """Refuse a ClientId under which something was sent that may have changed something.

        Raises:
            InvalidRequest: This one was used.
        """
        if call.repeatable or not call.unique or call.client_id is None:
            return
        await self.memory.know_account(timeout)
        await self.memory.recall_of(call.client_id)
        self.memory.account.check(call.client_id)
        if (known := self.book.used(call.client_id)) is not None:
            raise used(known)

    async def wait_for(
        self, matches: Callable[[HubEvent], bool], needles: tuple[bytes, ...], since: int, timeout: float
    ) -> HubEvent:
        """The first event from row ``since`` on that matches; see `readers.first_match`."""
        reader = Reader(self.log, since)
        return await first_match(reader, self._growth, matches, needles, timeout, self.supervisor.check)

    async def grown(self, seq: int) -> None:
        """Wait until there is a row of that seq.

        Raises:
            HercleError: The hub is closed and there will be none.
        """
        while self.log.next_seq <= seq:
            self.supervisor.check()
            await self._growth.wait()

    async def close(self) -> None:
        """End the connection, then who reads the log, then the simulator if there is one."""
        await self.supervisor.close()
        for task in self._tasks:
            task.cancel()
        self.callbacks.close()
        close_all(self.log)
        for call in self.calls.unfinished():
            if call.sent_at is None:  # its intent may be on its way
                self.memory.withdraw(call)
        await self.memory.close()
        if self.simulator is not None:
            self.simulator.close()

    # -- inside ------------------------------------------------------------------------------------------

    async def perform(self, call: Call, future: asyncio.Future[Any], timeout: float) -> Any:
        """Send a call, as soon as there is a connection, and wait for its future."""
        self.supervisor.check()
        try:
            return await self.wait(call, future, timeout, send=True)
        except BaseException:
            if call.sent_at is None:
                self.memory.withdraw(call)
            else:
                self.memory.give_up(call)
            raise

    async def _ask_again(self, asked: list[Call]) -> None:
        """After a loss: ask what was asked before, and for the list, once it is known whose the key is."""
        if self.memory.has_new_key:
            await self.memory.look_quietly()
        for call in asked:
            if call.waiting and not call.settled:
                self.start(self._send_again(call))
        self.lists.refresh_soon()

    async def _send_again(self, call: Call) -> None:
        with contextlib.suppress(HercleError):  # whoever waits hears of it
            await self._send(call)

    async def wait(
        self, call: Call, future: asyncio.Future[Any], timeout: float, *, send: bool = False
    ) -> Any:
        """Wait for a call's future; every way that can end becomes one of our errors."""
        call.waiting += 1
        call.waits_until = self.supervisor.hub_time() + timeout
        try:
            async with asyncio.timeout(timeout):
                if send:
                    await self._send(call)
                return await (future if call.request is None else asyncio.shield(future))
        except TimeoutError as error:
            if isinstance(error, HercleError):
                raise
            raise call.lost(f"{self._missing(call)} in {round(timeout, 2):g} s") from None
        except asyncio.CancelledError:
            if call.sent_at is None or call.repeatable:
                raise
            lost = call.lost("the wait for its answer was interrupted")
            raise lost from None  # reaches the user as a note on the interrupt
        finally:
            call.waiting -= 1

    def _missing(self, call: Call) -> str:
        """What a call has waited for."""
        if call.unwritten or (call.sent_at is None and self.supervisor.state == "connected"):
            trouble = self.memory.trouble
            return f"{trouble} It was not written" if trouble else "the journal did not take it"
        return "no answer came" if call.sent_at else "there was no connection"

    async def _send(self, call: Call) -> None:
        await self.supervisor.ready()
        invocation_id = self.calls.number(call)
        text = invocation_text(invocation_id, call.method, call.arguments)
        if (size := len(text.encode())) >= MAX_SENT_BYTES:
            raise InvalidRequest(
                f"{call.method} would be a message of {size:,} bytes; the limit is {MAX_SENT_BYTES:,}."
            )
        while not await self.memory.intend(call):  # the key that was noted is the one that it is sent with
            await self.supervisor.ready()
        _, message = read_message(text)  # what a row holds is what its JSON says
        content = Content(target=call.method, client_id=call.client_id, data=message["arguments"])
        self.log.append(text, self.supervisor.connections, COMMAND, content)
        call.sent_at, call.hub_time = datetime.now(UTC), self.supervisor.hub_time()
        self.book.note_sent(call)
        with contextlib.suppress(ConnectionFailed):  # `lost` sees to it as to any call under way
            await self.supervisor.invoke(invocation_id, call.method, call.arguments)

    def _settle(self, call: Call, event: HubEvent) -> None:
        """An event answers a call: note how it ended, then tell who waits."""
        self._time(call)
        if commands.is_refusal(event):
            words = commands.hub_words(event)
            status = commands.http_status(event.data)
            code = f" ({status})" if status is not None else ""
            rejection = CommandRejected(
                f"The hub refused {call.method}{code}: {words}",
                message=words,
                subject=event.subject,
                http_status=status,
                event=event,
            )
            self._refuse(call, rejection)
        elif not commands.is_success(event):
            self._leave_open(call, event, f"the hub answered with status {commands.http_status(event.data)}")
        elif call.request is None:
            self.memory.answered(call, DONE, lambda: self._finish(call, event), event=event, words="an event")
        elif commands.payment_request(event.data) is not None:
            self.creating.adopt(call, event.data, event)
        else:
            if event.client_id:  # else it is not certain that the answer is this one's
                call.named_id = commands.named_id(event.data) or call.named_id
            named = "" if call.named_id is None else f" for its invoice {call.named_id}"
            self._leave_open(call, event, f"the hub's answer holds no payment request{named}")

    def _leave_open(self, call: Call, event: HubEvent, why: str) -> None:
        """An answer settles nothing: whoever waits is told, and a later one or the hub's list may."""
        if not call.settled:
            self.memory.unanswered(call, event)
            call.fail(call.lost(why))

    def _finish(self, call: Call, event: HubEvent) -> None:
        """Any other command is carried out: tell who waits."""
        if call.method.lower() == commands.LIST.lower():
            self.lists.take(call, event)
        elif self.book.others.pop(call.client_id or "", None) is not None:
            self.calls.forget(call)
        call.done = True
        if not call.answer.done():
            call.answer.set_result(event)

    def expect(self, call: Call) -> None:
        """An answer may still settle a command of an earlier kernel."""
        with contextlib.suppress(InvalidRequest):  # one of this kernel's has that ClientId and is open
            self.calls.expect_answer(call)

    def _unanswered(self) -> list[Call]:
        """The calls that are open; not one whose answer is just being made durable."""
        return [call for call in self.calls.unfinished() if not call.unwritten]

    def _time(self, call: Call) -> None:
        if call.sent_at is not None and not call.timed:
            call.timed = True
            self.round_trips.append((datetime.now(UTC) - call.sent_at).total_seconds())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _has_client_id(method: str, first: str | None) -> bool:
    """Whether the first argument of a bare invocation is known to be a ClientId."""
    if first is None or commands.documented(method) is None:
        return False
    try:
        check_client_id(first)
    except InvalidRequest:
        return False
    return True
