"""What outlives the kernel: a hub's dealings with its journal. Without a journal every step is at once.

Everything here runs on the hub's thread but `Memory.recall`, which any thread may call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from hercle_nb.errors import HercleError, InvalidRequest, JournalError
from hercle_nb.journal.rows import DONE, call_of, invoice_of, refusal_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hercle_nb._core import Core
    from hercle_nb.calls import Call
    from hercle_nb.config import Secret
    from hercle_nb.errors import CommandRejected
    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice
    from hercle_nb.journal.journal import Journal

logger = logging.getLogger("hercle_nb")

_LOOK = 0.2  # seconds between two looks for the answer to what another kernel is creating


class KnownToJournal(HercleError):
    """A command was not sent, since its ClientId is in the journal already; never reaches a user.

    Attributes:
        call: What the journal knows of it.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(f"The ClientId {call.client_id} is in the journal.")
        self.call = call


class Memory:
    """What one hub writes to its journal and reads from it.

    Args:
        core: The hub.

    Attributes:
        journal: Its journal; None for none.
    """

    def __init__(self, core: Core) -> None:
        self.journal: Journal | None = None
        self._earlier: list[Call] = []
        self._failure = ""
        self._core = core
        self._fingerprint = ""
        self._fingerprint_of: Secret | None = None

    @property
    def trouble(self) -> str:
        """Why what is to be written waits; empty if nothing does."""
        return "" if self.journal is None else self.journal.trouble

    async def open(self, timeout: float) -> None:
        """Open the journal and read what is in it.

        Raises:
            JournalError: It cannot be used.
        """
        if self.journal is None:
            return
        try:
            async with asyncio.timeout(timeout):
                await self.journal.open()
                await self.look()
        except TimeoutError as error:
            if isinstance(error, HercleError):
                raise
            raise self.journal.place.error(f"it did not open in {timeout:g} s") from None

    async def look(self) -> None:
        """Take in what other kernels wrote.

        Raises:
            JournalError: The journal cannot be read.
        """
        if self.journal is None:
            return
        changes = await self.journal.changes()
        for call in self._core.book.remember(changes.commands, changes.invoices):
            self._core.expect(call)
        self._time_senders()

    async def look_once(self, timeout: float) -> None:
        """After connecting: look at what earlier kernels left open, in the hub's list, once."""
        if self.journal is None:
            return
        await self._know_key()
        book = self._core.book
        await self.look()
        questions = [call for call in book.questions() if not call.elsewhere]
        if not questions:
            return
        failure = ""
        if any(call.request is not None and not self.is_foreign(call) for call in questions):
            try:
                await self._core.lists.ask(timeout)
            except HercleError as error:
                failure = f"; the hub's list could not be had ({error})"
        self._earlier, self._failure = questions, failure

    @property
    def report(self) -> str:
        """What became of the questions that earlier kernels left, in a line; empty if there were none."""
        total = len(self._earlier)
        if not total:
            return ""
        left = sum(not call.settled for call in self._earlier)
        commands = "command of an earlier kernel" if total == 1 else "commands of earlier kernels"
        still = f"{left:,} still open, see hub.unresolved" if left else "none still open"
        return (
            f"{total:,} {commands} had no known outcome: {total - left:,} found out, {still}{self._failure}"
        )

    def is_foreign(self, call: Call) -> bool:
        """Whether a command was sent with another key, so that the hub's list may not show what it made."""
        return call.remembered and call.key is not None and call.key != self._fingerprint

    async def intend(self, call: Call) -> None:
        """Make a command durable before it is sent; one that changes nothing is not kept.

        Raises:
            KnownToJournal: Its ClientId is there already.
            JournalError: It cannot be written.
        """
        if self.journal is None or call.repeatable or call.intent is not None:
            return
        supervisor = self._core.supervisor
        await self._know_key()
        assert supervisor.key is not None  # noqa: S101  # typing: there was a connection
        rows = await self.journal.intend(call, supervisor.key, supervisor.hub_time())
        if rows is not None:
            call.intent = None
            self._core.creating.drop(call)
            raise KnownToJournal(self._take(*rows))
        call.key = self._fingerprint

    def withdraw(self, call: Call) -> None:
        """A command was not sent after all."""
        if self.journal is not None and call.intent is not None:
            self.journal.withdraw(call)

    def give_up(self, call: Call) -> None:
        """Nobody waits for a command's answer any more."""
        if self.journal is not None and call.intent is not None and not (call.settled or call.waiting):
            self.journal.give_up(call)

    def lose(self, calls: Iterable[Call]) -> None:
        """The connection that took these commands is lost."""
        if self.journal is not None:
            self.journal.lose(call for call in calls if call.intent is not None and call.sent_at is not None)

    def answered(
        self,
        call: Call,
        state: str,
        finish: Callable[[], None],
        *,
        event: HubEvent | None = None,
        rejection: CommandRejected | None = None,
        words: str = "an answer",
    ) -> None:
        """Make an answer durable, then finish: nobody is told before. Without a journal it finishes at once.

        Args:
            call: What it answers.
            state: How the command ended, one of `journal.rows`.
            finish: Tells whoever waits.
            event: The answering event.
            rejection: The hub's refusal.
            words: What the answer is, for a person who cannot be told that it is safe.
        """
        if self.journal is None or call.intent is None:
            finish()
            self.keep()
            return
        call.unwritten = words

        def told(_: Any, error: HercleError | None) -> None:
            if error is not None:
                call.fail(call.lost(str(error)))
                return
            call.unwritten = ""
            finish()
            self.keep()

        message = None if event is None else event.raw
        refusal = None if rejection is None else refusal_text(rejection)
        self.journal.answer(call, state, told, message=message, refusal=refusal)

    def created(
        self, call: Call, invoice: Invoice, finish: Callable[[], None], event: HubEvent | None
    ) -> None:
        """Make an invoice durable as a creation's, then finish.

        Args:
            call: The creation.
            invoice: What came of it.
            finish: Tells whoever waits.
            event: The answer that says so; None if it was found in the hub's list, which settles only what
                the journal calls open.
        """
        if self.journal is None or call.intent is None:
            finish()
            self.keep()
            return
        call.unwritten = f"the invoice {invoice.id}, {invoice.payment_request}"
        call.claimed = invoice.payment_request

        def told(written: Any, error: HercleError | None) -> None:
            if error is not None:
                call.fail(call.lost(str(error)))
                return
            call.unwritten, call.claimed = "", None
            if not written:  # another kernel knew more
                self._core.start(self.look_quietly())
                return
            finish()
            if self._core.book.changed.get(invoice.payment_request) == invoice:
                del self._core.book.changed[invoice.payment_request]
            self.keep()

        message = None if event is None else event.raw
        self.journal.answer(call, DONE, told, message=message, invoice=invoice, doubtful=event is None)

    async def look_quietly(self) -> None:
        """As `look`, where what is known already will do."""
        try:
            await self.look()
        except HercleError as error:
            logger.warning("%s", error)

    async def settle(self, timeout: float) -> None:
        """Wait for what a list has settled to be durable, if anything is not."""
        if self.journal is None or not any(call.claimed for call in list(self._core.book.creations.values())):
            return
        with contextlib.suppress(TimeoutError, HercleError):  # it stays open, and is written later
            async with asyncio.timeout(timeout):
                await self.journal.settled()

    def keep(self) -> None:
        """Write what is new about invoices."""
        changed, self._core.book.changed = self._core.book.changed, {}
        if self.journal is not None and changed:
            self.journal.keep(list(changed.values()))

    def note_change(self, connection: int, subject: str, data: dict[str, Any]) -> None:
        """Write a change of the connection."""
        if self.journal is not None:
            self.journal.note_change(connection, subject, data)

    async def dismiss(self, call: Call) -> None:
        """Settle by the user's decision that a command stays unknown, unless another kernel knows more.

        Raises:
            JournalError: The journal cannot be written.
        """
        if self.journal is None or call.intent is None or await self.journal.dismiss(call):
            call.dismissed = True
        else:
            await self.look()

    async def check_key(self, call: Call) -> None:
        """Refuse a ClientId that another key has used.

        Raises:
            InvalidRequest: This one was.
        """
        if self.journal is None or not call.remembered:
            return
        if call.key is None and (rows := await self.journal.find(call.client_id or "")) is not None:
            call.key = rows[0].key
        await self._know_key()
        if self.is_foreign(call):
            raise InvalidRequest(
                f"The ClientId {call.client_id} was used with another API key ({call.method}, "
                f"{call.sent_at:%Y-%m-%d %H:%M} UTC), as the journal {self.journal.place} knows; nothing was "
                "sent. Give this one a client_id of its own."
            )

    async def wait_elsewhere(self, call: Call, seconds: float) -> None:
        """Wait until the kernel that is sending a command has its answer, or waits no longer."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        while call.elsewhere and not call.settled and loop.time() < due:
            await asyncio.sleep(min(_LOOK, max(0.0, due - loop.time())))
            with contextlib.suppress(JournalError):  # it may be back in time
                await self.look()

    async def recall(self) -> None:
        """Take the journal's invoices apart, away from the hub's thread."""
        if self.journal is not None and self._core.book.forgetful:
            await asyncio.to_thread(self._core.book.recall)

    async def close(self) -> None:
        """Write what waits, and end."""
        if self.journal is not None:
            await self.journal.close()

    async def _know_key(self) -> None:
        key = self._core.supervisor.key
        if self.journal is not None and key is not None and key != self._fingerprint_of:
            self._fingerprint, self._fingerprint_of = await self.journal.fingerprint(key), key

    def _take(self, command: Any, invoice: Any) -> Call:
        """What the journal knows of one command."""
        book = self._core.book
        for call in book.remember([command], []):
            self._core.expect(call)
        if invoice is not None:
            book.learn(invoice_of(invoice))
        known = (book.creations if command.creation else book.others).get(command.client_id)
        if known is None and not command.creation:
            return call_of(command)
        if known is None:
            raise JournalError(
                f"The journal's entry of {command.client_id} cannot be read; nothing was sent."
            )
        self._time_senders()
        return known

    def _time_senders(self) -> None:
        """Work out when the kernels that wait for answers give up."""
        ahead = time.monotonic() - self._core.supervisor.hub_time()
        for call in self._core.book.questions():
            if call.sender is not None:
                call.sender.until = call.sender.waits_until + ahead
