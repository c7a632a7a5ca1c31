"""Creating an invoice, once: what a ClientId has created already is returned and not sent again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts, commands
from hercle_nb.calls import Call
from hercle_nb.errors import HercleError, InvalidRequest
from hercle_nb.invoice_request import check_amount, check_limit
from hercle_nb.invoices import read_answer
from hercle_nb.memory import KnownToJournal

if TYPE_CHECKING:
    from hercle_nb._core import Core
    from hercle_nb.events import HubEvent
    from hercle_nb.invoice_request import InvoiceRequest
    from hercle_nb.invoices import Invoice


class Creating:
    """The creations of one hub; everything here runs on the hub's thread."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def as_known(self, request: InvoiceRequest) -> InvoiceRequest:
        """A request under the ClientId that it is known by: version 0.1 may have made another one of it."""
        known = self._core.book.used(request.client_id)
        if known is None or known.client_id == request.client_id:
            return request
        self._core.memory.found_older(str(known.client_id), request.client_id)
        return request.under(str(known.client_id))

    async def create(
        self, request: InvoiceRequest, timeout: float, batch: str | None = None, row_key: str | None = None
    ) -> Invoice:
        """Create an invoice, or return the one that this ClientId has created already.

        Args:
            request: What is asked.
            timeout: Seconds to wait.
            batch: The ``batch_id`` of the batch that it is a row of.
            row_key: Its key there, or its number.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout
        await self._core.memory.know_account(timeout)
        await self._core.memory.recall_of(request.client_id)
        request = self.as_known(request)
        while True:
            known = self._core.book.creations.get(request.client_id)
            left = max(due - loop.time(), 0.01)
            try:
                self.check_unused(request)
                if known is None:
                    return await self._create(request, left, batch, row_key)
                if known.elsewhere and not known.settled:
                    await self._core.memory.wait_elsewhere(known, left)
                elif not known.settled and known.waiting:  # another thread is creating it
                    await self._core.wait(known, known.answer, left)
                elif not known.settled:  # another kernel may have found out
                    await self._core.memory.look_quietly()
            except KnownToJournal as found:
                if found.call.request is None:
                    raise used(found.call) from None
                continue
            if self._core.book.creations.get(request.client_id) is known:  # else it was not sent after all
                return self._outcome(known)

    def check_unused(self, request: InvoiceRequest) -> None:
        """Look whether a ClientId was used for something else, as far as is known here.

        Raises:
            InvalidRequest: It was.
        """
        self._core.memory.account.check(request.client_id)
        known = self._core.book.used(request.client_id)
        if known is not None and known.request != request:
            raise used(known, request)

    def check(self, request: InvoiceRequest) -> None:
        """As `check_unused`; a new one must not be above the hub's limit either.

        Raises:
            InvalidRequest: It cannot be sent.
        """
        self.check_unused(request)
        check_limit(request, self.max_msat(request.client_id))

    async def _create(
        self, request: InvoiceRequest, timeout: float, batch: str | None, row_key: str | None
    ) -> Invoice:
        await self._check_limit(request)
        call = Call(commands.CREATE, request.client_id, request, request.arguments)
        call.batch, call.row_key = batch, row_key
        self._core.calls.expect_answer(call)
        self._core.book.creations[request.client_id] = call
        try:
            await self._core.perform(call, call.answer, timeout)
        except BaseException as error:
            if call.sent_at is None:  # nothing left this machine, so the same ClientId may be tried again
                self.drop(call)
                call.fail(error if isinstance(error, HercleError) else call.lost("it was interrupted"))
            raise
        assert call.invoice is not None  # noqa: S101  # typing: an answer without one leaves it open
        return call.invoice

    async def _check_limit(self, request: InvoiceRequest) -> None:
        """Refuse an amount above the hub's limit, unless its invoice is known to another kernel.

        Raises:
            InvalidRequest: It is above, and nothing is known of its ClientId.
            KnownToJournal: It is above, and nothing needs to be sent.
        """
        try:
            check_limit(request, self._core.max_msat)
        except InvalidRequest:
            await self._core.memory.look_quietly()
            await self._core.memory.recall()
            known = self._core.book.creations.get(request.client_id)
            if known is None:
                raise
            raise KnownToJournal(known) from None

    def max_msat(self, client_id: str | None) -> int:
        """The most that may be asked for under a ClientId: for one that is known here nothing is sent."""
        known = client_id is not None and self._core.book.creation(client_id) is not None
        return amounts.MAX_MSAT if known else self._core.max_msat

    def check_bare(self, method: str, arguments: list[Any]) -> None:
        """Refuse a bare creation of an amount above the hub's limit.

        Raises:
            InvalidRequest: It is one.
        """
        if (btc := commands.asked_btc(method, arguments)) is not None:
            given = arguments[commands.AMOUNT]
            text = given.strip() if isinstance(given, str) else ""
            two = amounts.has_two_readings(text)
            above = btc > amounts.msat_to_btc(self._core.max_msat)
            if two and above and (meaning := amounts.marked(text, fractions=True)):
                raise InvalidRequest(f"AmountBtc {meaning}.")
            readings = amounts.readings_in_sat(text if two else btc)
            instead = [amounts.msat_to_btc(sat * amounts.MSAT_PER_SAT) for sat in readings]
            written = " or ".join(f'Decimal("{one:f}")' for one in instead)
            check_amount(btc, self._core.max_msat, f"write {written}" if written else None)

    def adopt(self, call: Call, data: dict[str, Any], event: HubEvent, note: str | None = None) -> None:
        """An invoice is a creation's: keep it, and tell who waits.

        What was matched by the hub's list alone (``note``) gives way to an answer that names the ClientId.
        """
        if call.request is None:
            return
        invoice = read_answer(
            call.request,
            data,
            event.received_at,
            self._core.currency,
            note,
            sent_at=call.sent_at,
            clock_ahead=self._core.supervisor.clock_ahead,
        )

        def finish() -> None:
            self._core.book.adopt(call, invoice)
            if note is None:
                self._core.calls.forget(call)
            if not call.answer.done():
                call.answer.set_result(event)

        self._core.memory.created(call, invoice, finish, event if note is None else None)

    def _outcome(self, known: Call) -> Invoice:
        """What came of a creation that was asked for before."""
        if known.rejection is not None:
            raise known.rejection
        if known.invoice is None:
            dismissed = "it was dismissed by hub.resolve(…, dismiss=True)"
            raise known.lost(dismissed if known.dismissed else "its answer has not come so far")
        doubt = self._core.memory.account.doubt(known)
        return known.invoice.as_reused(*filter(None, [doubt]))

    def drop(self, call: Call) -> None:
        """A command was not sent: it never was."""
        self._core.calls.forget(call)
        if self._core.book.creations.get(call.client_id or "") is call:
            del self._core.book.creations[call.client_id or ""]


def used(known: Call, asked: InvoiceRequest | None = None) -> InvalidRequest:
    """A ClientId cannot be used again: what it was used for, what is known of that, and what may be done.

    Args:
        known: What it was used for.
        asked: The creation that was to be sent now.
    """
    name = known.client_id
    if known.request is None:
        return InvalidRequest(
            f"The ClientId {name} was used for {known.method}, {end_of(known)}. So nothing was sent. "
            f"The same under another client_id {_consequence(known)}."
        )
    now = "" if asked is None else f" This asks for {summary(asked)}."
    return InvalidRequest(
        f"The ClientId {name} was used for another invoice ({summary(known.request)}), {end_of(known)}.{now} "
        f"So nothing was sent; another client_id {_consequence(known)}."
    )


def summary(request: InvoiceRequest) -> str:
    """What is asked for, in a line."""
    hours = "the hub's default" if request.expiry_hours is None else f"{request.expiry_hours} h"
    return f"{request.amount_btc:f} BTC, memo {request.memo!r}, expiry {hours}"


def end_of(call: Call) -> str:
    """What is known of a command, and where to see more."""
    if call.invoice is not None:
        return f"which is {call.invoice.status}: see hub.invoice({call.client_id!r})"
    if call.rejection is not None:
        return f"which the hub refused ({call.rejection.message})"
    if call.done or call.dismissed:
        what = "was dismissed" if call.dismissed else "was sent"
        return f"which {what}: hub.refresh_invoices() shows what there is"
    return f"which may or may not have been carried out: see hub.resolve({call.client_id!r})"


def _consequence(call: Call) -> str:
    if call.rejection is not None:
        return "asks anew"
    if call.invoice is not None:
        return "makes a second invoice beside it"
    return "makes a second invoice if the first was made" if _creates(call) else "does it a second time"


def _creates(call: Call) -> bool:
    return call.method.lower() == commands.CREATE.lower()
