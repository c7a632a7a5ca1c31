"""What outlives the kernel: a hub's dealings with its journal. Without a journal every step is at once.

Everything here runs on the hub's thread but `Memory.recall`, which any thread may call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from hercle_nb import _json, commands
from hercle_nb.accounts import Accounts, Whose, user_id_of
from hercle_nb.bolt11 import canonical
from hercle_nb.book import key_of
from hercle_nb.client_ids import carrying, spellings
from hercle_nb.errors import HercleError, InvalidRequest, JournalError
from hercle_nb.invoice_request import check_client_id
from hercle_nb.journal.rows import (
    ANSWER,
    COMPLETION,
    DONE,
    ENTRY,
    LISTED,
    call_of,
    digest,
    invoice_of,
    made_of,
    refusal_text,
)

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
_CLIENT_ID, _ID, _REQUEST, _KEY = map(ENTRY.index, ("client_id", "id", "payment_request", "key"))


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
    """

    def __init__(self, core: Core) -> None:
        self.journal: Journal | None = None
        self._earlier: list[Call] = []
        self._failure = ""
        self._core = core
        self._fingerprint = ""
        self._fingerprint_of: Secret | None = None
        self._accounts = Accounts()
        self._older: set[tuple[str, str]] = set()  # ClientIds of version 0.1, and of today
        self._batches: dict[str, Made] = {}  # by batch_id, as they were first begun here
        self._asked: set[str] = set()  # of which keys the hub was asked whose they are
        self._settled_for: Secret | None = None  # the key of which that is settled
        self._looking = asyncio.Lock()
        self._unread: list[Changes] = []  # while there was no key
        self._aside_commands: list[Any] = []
        self._aside_invoices: list[Any] = []
        self._aside_ids: set[str] = set()
        self._not_ours: dict[tuple[str, str], str] = {}  # hub's id and payment request: the key of then

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
            for changes in self._unread:
                self._accounts.take(changes.holders)
                for older, today in changes.older:
                    carrying(today, [older])
            await self._know_key()
            if self._core.supervisor.state == "connected":
                await self._know_account(patience)
            if self._shows_foreign():
                self._forget()
                self._unread = [await self.journal.changes()]
            unread, self._unread = self._unread, []
            for changes in unread:
                self._aside_commands += changes.commands
                self._aside_invoices += changes.invoices
            self._take_in()
            if self._accounts.knows(self._fingerprint) or self._fingerprint in self._asked:
                self._settled_for = self._fingerprint_of

    async def know_account(self, timeout: float) -> None:
        """Wait until it is settled whose the key is: it may be another one since the last reconnect."""
        if self.journal is not None and self._settled_for != self._core.supervisor.key:
            with contextlib.suppress(TimeoutError):  # HubTimeout of what is asked too: it goes on without
                async with asyncio.timeout(timeout):
                    await self.look_quietly()

    async def look_quietly(self) -> None:
        """As `look`, where what is known already will do."""
        try:
            await self.look()
        except HercleError as error:
            logger.warning("%s", error)

    async def look_once(self, timeout: float) -> None:
        """After connecting: look at what earlier kernels left open, in the hub's list, once."""
        if self.journal is None:
            return
        book = self._core.book
        await self.look(min(_PATIENCE, timeout))
        questions = [call for call in book.questions() if not call.elsewhere]
        if not questions:
            return
        failure = ""
        if any(call.request is not None for call in questions):
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

    # -- whose it is -------------------------------------------------------------------------------------

    def whose(self, call: Call) -> Whose:
        """Whose a command is, as seen with the key of now."""
        if self.journal is None or (call.key is None and not call.remembered):
            return Whose.OURS
        return self._whose(call.key)

    def doubt(self, call: Call) -> str:
        """What there is to say of an invoice whose account cannot be told; empty where it can."""
        if self.whose(call) is not Whose.NOT_TOLD:
            return ""
        return (
            "it was made with another API key, and whether that is one of this account cannot be told: the "
            "hub names no userId, and its list shows no invoice of that key"
        )

    def check_account(self, client_id: str) -> None:
        """Refuse a ClientId that another account has used.

        Raises:
            InvalidRequest: This one was.
        """
        if self.journal is not None and not self._aside_ids.isdisjoint(spellings(client_id)):
            raise InvalidRequest(
                f"The ClientId {client_id} was used for another account (another API key), as the journal "
                f"{self.journal.place} knows; nothing was sent. What came of it is seen with a key of that "
                "account; under another client_id this account makes one too, which for the same order is a "
                "second one."
            )

    def recognise(self, items: Any) -> None:
        """See by a list that shows what another key made that both keys are of one account.

        Args:
            items: The hub's list.
        """
        if self.journal is None or self._fingerprint_of != self._core.supervisor.key:
            return
        known = dict(self._not_ours)
        for call in self._core.book.creations.values():
            if call.invoice is not None and call.key and self.whose(call) is not Whose.OURS:
                known[call.invoice.id, canonical(call.invoice.payment_request)] = call.key
        if not known:
            return
        found = set()
        for fields in items if isinstance(items, list) else []:
            text, hub_id = commands.payment_request(fields), commands.named_id(fields)
            if text is not None and hub_id is not None:
                found.add(known.get((hub_id, canonical(text))))
        if others := found - {None}:
            shared = [key for key in others if key is not None]
            self._accounts.join(self._fingerprint, None, shared)
            self.journal.join(self._fingerprint, None, shared)
            self._take_in()

    async def _know_key(self) -> None:
        key = self._core.supervisor.key
        if self.journal is not None and key is not None and key != self._fingerprint_of:
            self._fingerprint, self._fingerprint_of = await self.journal.fingerprint(key), key

    async def _know_account(self, timeout: float) -> None:
        """Ask the hub, once for a key that the journal has not seen, whose it is."""
        key = self._fingerprint
        if self.journal is None or self._accounts.knows(key) or key in self._asked:
            return
        self._asked.add(key)
        try:
            event = await self._core.command(commands.BALANCES, [], check_client_id(None), timeout)
        except HercleError as error:
            logger.info("whose the key is could not be had: %s", error)
            return
        except BaseException:
            self._asked.discard(key)
            raise
        user_id = user_id_of(event.data)
        if user_id is not None and self._fingerprint_of == self._core.supervisor.key:
            self._accounts.join(key, user_id)
            self.journal.join(key, user_id, [])

    def _whose(self, key: str | None) -> Whose:
        current = self._fingerprint_of == self._core.supervisor.key
        return self._accounts.whose(key, self._fingerprint) if current else Whose.NOT_TOLD

    def _shows_foreign(self) -> bool:
        """Whether something known here is another account's: the key was changed while the hub was in use."""
        book = self._core.book
        calls = [*book.creations.values(), *book.others.values()]
        return any(self.whose(call) is Whose.FOREIGN for call in calls)

    def _forget(self) -> None:
        """Let everything go that the journal knows, to read it again."""
        assert self.journal is not None  # noqa: S101  # typing: there is nothing to forget without one
        self._core.book.forget()
        self._core.batches.clear()
        self.journal.read_again()
        self._aside_commands, self._aside_invoices = [], []
        self._aside_ids, self._not_ours = set(), {}

    def _take_in(self) -> None:
        """Take in what was put aside, but for what is another account's."""
        whose = {key: self._whose(key) for key in {row.key for row in self._aside_commands}}
        whose |= {key: self._whose(key) for key in {row[_KEY] for row in self._aside_invoices}}
        commands_, invoices = self._aside_commands, self._aside_invoices
        self._aside_commands = [row for row in commands_ if whose[row.key] is Whose.FOREIGN]
        self._aside_invoices = [row for row in invoices if whose[row[_KEY]] is Whose.FOREIGN]
        self._aside_ids = {row.client_id for row in self._aside_commands if row.client_id}
        self._aside_ids |= {row[_CLIENT_ID] for row in self._aside_invoices if row[_CLIENT_ID]}
        self._not_ours |= {
            (row[_ID], canonical(row[_REQUEST])): row[_KEY]
            for row in invoices
            if row[_KEY] is not None and whose[row[_KEY]] is not Whose.OURS
        }
        self._not_ours = {
            invoice: key for invoice, key in self._not_ours.items() if self._whose(key) is not Whose.OURS
        }
        self._core.book.clock_ahead = self._core.supervisor.clock_ahead or None
        ours = [row for row in commands_ if whose[row.key] is not Whose.FOREIGN]
        shown = [row for row in invoices if whose[row[_KEY]] is not Whose.FOREIGN]
        for call in self._core.book.remember(ours, shown):
            self._core.expect(call)
        self._time_senders()

    # -- what is written ---------------------------------------------------------------------------------

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
            await self.look_quietly()
            self.check_account(str(call.client_id))
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
        self._batches.setdefault(batch.batch_id, batch)
        if self.journal is not None:
            await self.journal.note_batch(batch, self._fingerprint)

    async def unnamed_batch(self, digest: str) -> Made | None:
        """The last batch without a name, of which something was sent, that asks for the same; None for none.

        Raises:
            JournalError: It cannot be read.
        """
        if self.journal is None:
            sent = {call.batch for call in self._core.book.creations.values()}
            alike = [made for made in self._batches.values() if made.digest == digest and not made.named]
            return next((made for made in reversed(alike) if made.batch_id in sent), None)
        rows = await self.journal.unnamed_batches(digest)
        return next((made_of(row) for row in rows if self._whose(row.key) is not Whose.FOREIGN), None)

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
            self.journal.keep(list(changed.values()), self._fingerprint or None)
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
            book.learn(invoice_of(invoice), invoice[_KEY])
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
