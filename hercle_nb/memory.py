"""What outlives the kernel: a hub's dealings with its journal. Without a journal every step is at once.

Everything here runs on the hub's thread but `Memory.recall`, which any thread may call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hercle_nb import _json
from hercle_nb.accounts import Whose
from hercle_nb.aside import KEY
from hercle_nb.bolt11 import canonical
from hercle_nb.book import key_of
from hercle_nb.client_ids import carrying, spellings
from hercle_nb.errors import HercleError, InvalidRequest, JournalError
from hercle_nb.journal.rows import (
    ANSWER,
    COMPLETION,
    DONE,
    LISTED,
    call_of,
    digest,
    invoice_of,
    made_of,
    refusal_text,
)
from hercle_nb.own_account import OwnAccount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hercle_nb._core import Core
    from hercle_nb.batch.again import Made
    from hercle_nb.calls import Call
    from hercle_nb.config import Secret
    from hercle_nb.errors import CommandRejected
    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice
    from hercle_nb.journal.journal import Changes, Journal

logger = logging.getLogger("hercle_nb")

_LOOK = 0.2  # seconds between two looks for the answer to what another kernel is creating
_PATIENCE = 5.0  # seconds for the hub to say whose a key is


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

    What another account sent is put aside: nothing of it is shown, and its ClientIds are refused.

    Args:
        core: The hub.

    Attributes:
        journal: Its journal; None for none.
        account: Whose the key is, and what other keys did.
    """

    def __init__(self, core: Core) -> None:
        self.journal: Journal | None = None
        self._earlier: list[Call] = []
        self._failure = ""
        self._core = core
        self._older: set[tuple[str, str]] = set()  # ClientIds of version 0.1, and of today
        self._batches: list[Made] = []  # that were begun here
        self._settled_for: Secret | None = None  # the key of which it is settled whose it is
        self._looking = asyncio.Lock()
        self._unread: list[Changes] = []  # while there was no key
        self.account = OwnAccount(core)

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
                self._unread.append(await self.journal.changes())
        except TimeoutError as error:
            if isinstance(error, HercleError):
                raise
            raise self.journal.place.error(f"it did not open in {timeout:g} s") from None

    async def look(self, patience: float = _PATIENCE) -> None:
        """Take in what other kernels wrote, as far as it is this account's.

        Args:
            patience: Seconds for the hub to say whose a key is that the journal has not seen.

        Raises:
            JournalError: The journal cannot be read.
        """
        if self.journal is None:
            return
        async with self._looking:
            self._unread.append(await self.journal.changes())
            account = self.account
            for changes in self._unread:
                account.take(changes.holders)
            for older, today in (pair for changes in self._unread for pair in changes.older):
                carrying(today, [older])
            await account.know_key(self.journal)
            await account.ask(self.journal, min(patience, _PATIENCE))
            if account.shows_foreign:  # the key was changed while the hub was in use
                self._forget()
                self._unread = [await self.journal.changes()]
            unread, self._unread = self._unread, []
            for changes in unread:
                self._take_in(*account.aside.sort(changes.commands, changes.invoices, account.whose_key))
            if account.has_news:
                account.has_news = False
                self._take_in(*account.aside.sort_again(account.whose_key))
            if account.is_settled:
                self._settled_for = account.key

    async def know_account(self, timeout: float) -> None:
        """Wait until it is settled whose the key is: it may be another one since the last reconnect."""
        if self.journal is not None and self._settled_for != self._core.supervisor.key:
            with contextlib.suppress(TimeoutError):  # HubTimeout of what is asked too: it goes on without
                async with asyncio.timeout(min(timeout / 2, _PATIENCE)):
                    await self.look_quietly()

    async def look_quietly(self, patience: float = _PATIENCE) -> None:
        """As `look`, where what is known already will do."""
        try:
            await self.look(patience)
        except HercleError as error:
            logger.warning("%s", error)

    async def look_once(self, timeout: float) -> None:
        """After connecting: look at what earlier kernels left open, in the hub's list, once."""
        if self.journal is None:
            return
        book = self._core.book
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout
        await self.look(timeout / 2)
        questions = [call for call in book.questions() if not call.elsewhere]
        if not questions:
            return
        failure = ""
        if any(call.request is not None for call in questions):
            try:
                await self._core.lists.ask(max(due - loop.time(), 0.1))
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

    def recognise(self, items: Any) -> None:
        """See by a list of the hub's that another key is one of this account; then what it made is ours."""
        if self.journal is not None and self.account.recognise(items, self.journal):
            self._take_in(*self.account.aside.sort_again(self.account.whose_key))

    def _forget(self) -> None:
        """Let everything go that the journal knows, to read it again."""
        assert self.journal is not None  # noqa: S101  # typing: there is nothing to forget without one
        waiting = set()
        for call in self._core.book.forget():
            self._core.calls.forget(call)
        for call in self._core.calls.unfinished():
            waiting |= {call.key} if call.key else set()
        self._core.batches.clear()
        self.journal.read_again()
        self.account.forget(waiting)

    def _take_in(self, commands: list[Any], invoices: list[Any]) -> None:
        """Take in rows of this account's."""
        self._core.book.clock_ahead = self._core.supervisor.clock_ahead or None
        for call in self._core.book.remember(commands, invoices):
            self._core.expect(call)
        self._time_senders()

    # -- what is written ---------------------------------------------------------------------------------

    @property
    def has_new_key(self) -> bool:
        """Whether the connection's key is another one than the last that was looked at."""
        return self.journal is not None and self.account.key != self._core.supervisor.key

    async def intend(self, call: Call) -> bool:
        """Make a command durable before it is sent; one that changes nothing is not kept.

        Returns:
            Whether it may be sent: it is noted with the key of now, and there is a connection.

        Raises:
            KnownToJournal: Its ClientId is there already.
            JournalError: It cannot be written.
        """
        if self.journal is None:
            return self._core.supervisor.state == "connected"
        await self.account.know_key(self.journal)
        other_key, call.key = call.key != self.account.fingerprint, self.account.fingerprint
        if call.intent is not None and other_key:
            await self.journal.note_key(call)
        elif call.intent is None and not call.repeatable:
            await self._note(call)
        return self._core.supervisor.state == "connected" and not self.has_new_key

    async def _note(self, call: Call) -> None:
        """Write the intent, with the key of now."""
        assert self.journal is not None  # noqa: S101  # typing: the caller looked
        assert self.account.key is not None  # noqa: S101  # typing: there was a connection
        rows = await self.journal.intend(call, self.account.key, self._core.supervisor.hub_time())
        if rows is not None:
            call.intent = None
            self._core.creating.drop(call)
            await self.look_quietly()
            self.account.check(str(call.client_id))
            raise KnownToJournal(self._take(*rows))

    def withdraw(self, call: Call) -> None:
        """A command was not sent after all."""
        if self.journal is not None and call.intent is not None:
            self.journal.withdraw(call)

    def give_up(self, call: Call) -> None:
        """Nobody waits for a command's answer any more."""
        if self.journal is not None and call.intent is not None and not (call.settled or call.waiting):
            self.journal.give_up(call)
        if call.request is not None and self.account.whose(call) is Whose.FOREIGN:
            self._core.creating.drop(call)  # the key was changed meanwhile; the journal has it

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
        call.claimed = key_of(invoice)

        def told(written: Any, error: HercleError | None) -> None:
            if error is not None:
                call.fail(call.lost(str(error)))
                return
            call.unwritten, call.claimed = "", None
            if not written:  # another kernel knew more
                self._core.start(self.look_quietly())
                return
            finish()
            slot = canonical(invoice.payment_request)
            if self._core.book.changed.get(slot) == invoice:
                del self._core.book.changed[slot]
            self.keep()

        message = None if event is None else event.raw
        self.journal.answer(call, DONE, told, message=message, invoice=invoice, doubtful=event is None)

    async def note_batch(self, batch: Made) -> None:
        """Keep that a batch is begun, before anything of it is sent.

        Raises:
            JournalError: It cannot be written.
        """
        before = [made for made in self._batches if made.batch_id == batch.batch_id]
        if all(made.digest != batch.digest for made in before):
            first = before[0] if before else batch
            self._batches.append(replace(batch, named=first.named, made_at=first.made_at))
        if self.journal is not None:
            await self.journal.note_batch(batch, self.account.fingerprint)

    async def unnamed_batch(self, digest: str) -> Made | None:
        """The last batch without a name, of which something was sent, that asks for the same; None for none.

        Raises:
            JournalError: It cannot be read.
        """
        if self.journal is None:
            sent = {call.batch for call in self._core.book.creations.values()}
            alike = [made for made in self._batches if made.digest == digest and not made.named]
            return next((made for made in reversed(alike) if made.batch_id in sent), None)
        rows = await self.journal.unnamed_batches(digest)
        return next(
            (made_of(row) for row in rows if self.account.whose_key(row.key) is not Whose.FOREIGN), None
        )

    async def settle(self, timeout: float) -> None:
        """Wait for what a list has settled to be durable, if anything is not."""
        if self.journal is None or not any(call.claimed for call in list(self._core.book.creations.values())):
            return
        with contextlib.suppress(TimeoutError, HercleError):  # it stays open, and is written later
            async with asyncio.timeout(timeout):
                await self.journal.settled()

    def keep(self) -> None:
        """Write what is new about invoices."""
        book = self._core.book
        changed, book.changed = book.changed, {}
        entries, book.entries = book.entries, {}
        if self.journal is None:
            return
        if changed:
            self.journal.keep(list(changed.values()), self.account.fingerprint or None)
        for slot, fields in entries.items():
            with contextlib.suppress(InvalidRequest):  # half a character, or NaN
                self.journal.observe(LISTED, _json.encode(fields), digest=digest(slot))

    def unanswered(self, call: Call, event: HubEvent) -> None:
        """An answer leaves a creation open; the id of the hub's that it names stays known."""
        if self.journal is not None and call.intent is not None and event.raw is not None:
            self.journal.observe(ANSWER, event.raw, intent=call.intent)
            if call.named_id is not None:
                self.journal.note_answer(call, event.raw)

    def completed(self, call: Call, message: dict[str, Any]) -> None:
        """A completion says that something went wrong."""
        if self.journal is not None and call.intent is not None:
            with contextlib.suppress(InvalidRequest):
                self.journal.observe(COMPLETION, _json.encode(message), intent=call.intent)

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

    def found_older(self, client_id: str, today: str) -> None:
        """A ClientId of today was looked up and found as the one that version 0.1 made of the same parts."""
        if self.journal is not None and (client_id, today) not in self._older:
            self._older.add((client_id, today))
            self.journal.note_older(client_id, today)

    async def recall_of(self, client_id: str) -> None:
        """As `recall`, where a ClientId may be in the journal under what version 0.1 made of it."""
        if len(spellings(client_id)) > 1:
            await self.recall()

    async def close(self) -> None:
        """Write what waits, and end."""
        if self.journal is not None:
            await self.journal.close()

    def _take(self, command: Any, invoice: Any) -> Call:
        """What the journal knows of one command."""
        book = self._core.book
        for call in book.remember([command], []):
            self._core.expect(call)
        if invoice is not None:
            book.learn(invoice_of(invoice), invoice[KEY])
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
