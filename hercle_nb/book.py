"""The book of a hub's invoices: what was asked for here and what came of it, and what the hub lists besides.

It is written on the hub's thread and read from any: what a reader gets is a copy, and nothing here waits.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hercle_nb import amounts
from hercle_nb.bolt11 import canonical
from hercle_nb.client_ids import spellings
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoices import Invoice
from hercle_nb.journal.rows import DONE, NOT_SENT, NOTED, call_of, call_of_invoice, invoice_of
from hercle_nb.listed import alarmed, expected_here, merged, read_listed, verified
from hercle_nb.states import is_open_at_the_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from hercle_nb.calls import Call


logger = logging.getLogger("hercle_nb")

_FEW = 1_000  # invoices of the journal that are taken apart at once
_ONE_HASH = "the hub shows two payment requests with one payment hash: do not pay before it says which"
_STEP = 1.0  # seconds; by less the difference of two clocks is not known


@dataclass(frozen=True, eq=False, repr=False)
class Resolution:
    """What a look at the hub's list said about a command of unknown outcome.

    Attributes:
        client_id: The command's.
        outcome: ``adopted`` (it was carried out: see ``invoice``), ``not found``, ``several`` (which of the
            candidates, if any, cannot be told) or ``dismissed``.
        invoice: The invoice of an adopted creation; else None.
        candidates: The hub's invoices that fit, in the columns of `Hub.invoices`; None unless there are
            several.
    """

    client_id: str
    outcome: Literal["adopted", "not found", "several", "dismissed"]
    invoice: Invoice | None = None
    candidates: pd.DataFrame | None = None

    def __repr__(self) -> str:
        advice = {
            "adopted": "it was carried out, and `invoice` is what came of it",
            "not found": "nothing in the hub's list of invoices fits it, and a late answer is still taken; "
            "look again, or settle it with resolve(…, dismiss=True)",
            "several": "which of the hub's invoices it made, if any, cannot be told: see `candidates`, and "
            "settle it with resolve(…, dismiss=True)",
            "dismissed": "settled by decision; its ClientId is never sent again",
        }
        return f"<{self.client_id}: {self.outcome}: {advice[self.outcome]}>"


class Book:
    """Every invoice that one hub knows of, and every command whose outcome is not known.

    Args:
        currency: The network expected, as in a payment request's prefix; empty for any but Bitcoin itself.

    Attributes:
        creations: What was asked for here, by ClientId; one that was never sent is not among them.
        others: Other commands that were sent and may have changed something, by ClientId.
        sent: Every other command that this kernel sent under a ClientId of its own, however it ended.
        changed: Invoices of which more is known than the journal was told, by `_slot`.
        entries: The entries of the hub's list that said so, likewise.
        clock_ahead: Seconds that the hub's clock is ahead of this computer's, for invoices of the journal's,
            which another computer may have written; None where that is not known.
        doubt: What there is to say of an invoice whose account cannot be told.
    """

    def __init__(self, currency: str) -> None:
        self.creations: dict[str, Call] = {}
        self.others: dict[str, Call] = {}
        self.sent: dict[str, Call] = {}
        self.changed: dict[str, Invoice] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        self.clock_ahead: float | None = None
        self.doubt: Callable[[Call], str] = lambda _: ""
        self._currency = currency
        self._made: dict[str, Call] = {}  # creations that made an invoice, by `key_of` of it
        self._made_ids: dict[str, Call] = {}  # and by the hub's id
        self._elsewhere: dict[str, Invoice] = {}  # by `key_of`
        self._elsewhere_ids: dict[str, str] = {}  # their keys by the hub's id
        self._listed: dict[str, dict[str, Any]] = {}  # each entry of the hub's list as it was the last time
        self._in_list: set[str] = set()  # the payment requests of the last one
        self._clock_ahead = 0.0  # as of the last one
        self._looked = False
        self._rows: list[Any] = []  # invoices of the journal that nobody has asked for so far
        self._recalling = threading.Lock()

    def remember(self, commands: Iterable[Any], invoices: list[Any]) -> list[Call]:
        """Take in rows of the journal.

        Returns:
            The commands among them, new here, that an answer may still settle.
        """
        opened = []
        for row in commands:
            try:
                if (call := self._remember(row)) is not None:
                    opened.append(call)
            except Exception:  # one that somebody wrote by hand
                logger.exception("a command of the journal cannot be read: %s", row)
        if len(invoices) > _FEW:
            with self._recalling:
                self._rows += invoices
        else:
            self._learn_all(invoices)
        return opened

    @property
    def forgetful(self) -> bool:
        """Whether the journal's invoices were not taken apart so far."""
        return bool(self._rows)

    def recall(self) -> None:
        """Take the journal's invoices apart: some fifteen microseconds each. Any thread may call it."""
        with self._recalling:
            rows, self._rows = self._rows, []
            self._learn_all(rows)

    def forget(self) -> list[Call]:
        """Forget every command and invoice but those that somebody waits for; the journal has them.

        Returns:
            The commands that are forgotten.
        """
        gone: list[Call] = []
        for calls in (self.creations, self.others):
            over = [key for key, call in calls.items() if not call.waiting]
            gone += map(calls.pop, over)
        with self._recalling:
            self._rows = []
        for shelf in (self._made, self._made_ids, self._elsewhere, self._elsewhere_ids):
            shelf.clear()
        for listed in (self.changed, self.entries, self._listed, self._in_list):
            listed.clear()
        return gone

    def learn(self, invoice: Invoice, key: str | None = None) -> None:
        """Take in an invoice of the journal's, known first with a key of that fingerprint."""
        invoice = expected_here(invoice, self._currency)
        if invoice.client_id is None:
            known = self._elsewhere.get(key_of(invoice))
            if known is None and (call := self._made.get(key_of(invoice))) is not None:
                known = call.invoice
            if known is None:
                self._put_elsewhere(invoice, changed=False)
            elif _is_newer(invoice, known):
                self._update(known, invoice)
            return
        call = self.creations.setdefault(invoice.client_id, call_of_invoice(invoice, key))
        if call.invoice is None or call.invoice is invoice:
            listed = self._elsewhere.pop(key_of(invoice), None)
            told = invoice if listed is None or not _same(invoice, listed) else merged(invoice, listed)
            self._own(call, told, changed=False)
        elif not _same(call.invoice, invoice):
            self.adopt(call, invoice)
        elif _is_newer(invoice, call.invoice):
            self._own(call, merged(call.invoice, invoice), changed=False)

    def used(self, client_id: str) -> Call | None:
        """What was sent under a ClientId and may have changed something; None if nothing was.

        What version 0.1 made of the same parts is looked up first; see `client_ids.spellings`.
        """
        shelves = (self.creations, self.others, self.sent)
        names = spellings(client_id)
        return next((shelf[name] for name in names for shelf in shelves if name in shelf), None)

    def creation(self, client_id: str) -> Call | None:
        """The creation of a ClientId, likewise; None if there was none."""
        found = (self.creations.get(name) for name in spellings(client_id))
        return next((call for call in found if call is not None), None)

    def note_sent(self, call: Call) -> None:
        """A command is sent: its ClientId is not free for another."""
        if call.request is None and call.unique and call.client_id is not None and not call.repeatable:
            self.sent[call.client_id] = call

    def questions(self) -> list[Call]:
        """The commands of earlier and other kernels whose outcome is not known."""
        calls = [*list(self.creations.values()), *list(self.others.values())]
        return [call for call in calls if call.sender is not None and not (call.settled or call.dismissed)]

    def adopt(self, call: Call, invoice: Invoice) -> None:
        """An invoice is a creation's; what the hub's list said of it before stays known."""
        taken = call.invoice
        if taken is not None and not _same(taken, invoice):  # matched by the hub's list, wrongly
            self._give_back(call, taken)
            note = f"the hub's list was understood to mean {taken.id!r} before its own answer came"
            invoice = replace(invoice, warnings=(*invoice.warnings, note))
        elif taken is not None:
            invoice = merged(invoice, replace(taken, warnings=()))
        listed = self._elsewhere.pop(key_of(invoice), None)
        self._own(call, invoice if listed is None else merged(invoice, listed))

    def refused(self, call: Call) -> None:
        """The hub has refused a command after all: nothing came of it."""
        for shelf in (self.others, self.sent):
            if shelf.get(call.client_id or "") is call:
                del shelf[call.client_id or ""]
        if call.invoice is not None:  # matched by the hub's list, wrongly
            self._give_back(call, call.invoice)
            call.invoice = None

    def merge(self, items: Any, clock_ahead: float = 0.0) -> list[Invoice]:
        """Take the hub's list in.

        Args:
            items: Its entries.
            clock_ahead: Seconds that the hub's clock is ahead of this computer's.

        Returns:
            The invoices that are seen to be paid since the list before.
        """
        self.recall()
        first, self._looked = not self._looked, True
        stepped, self._clock_ahead = abs(clock_ahead - self._clock_ahead) > _STEP, clock_ahead
        claimed = {call.claimed for call in list(self.creations.values()) if call.claimed is not None}
        paid = []
        entries = [fields for fields in items if isinstance(fields, dict)] if isinstance(items, list) else []
        self._in_list = {canonical(str(fields.get("encodedPaymentRequest"))) for fields in entries}
        for fields in entries:
            old = not stepped and self._is_old(fields)
            listed = None if old else read_listed(fields, self._currency, clock_ahead)
            if listed is None or key_of(listed) in claimed:
                continue
            self._listed[_slot(listed)] = fields
            before, now = self._take(listed)
            if before != now:
                self.entries[_slot(now)] = fields
            if now.paid and not (before.paid if before is not None else first):
                paid.append(verified(now))
        return paid

    def is_open_in_list(self, invoice: Invoice) -> bool:
        """Whether the last list of the hub's had that invoice, and not as closed or paid."""
        listed = _slot(invoice) in self._in_list
        return listed and not invoice.paid and is_open_at_the_hub(invoice.hub_status)

    def invoices(self) -> list[Invoice]:
        """Every invoice known: those created here in the order they were sent in, then the others."""
        self.recall()
        made = sorted((call for call in list(self.creations.values()) if call.invoice is not None), key=_sent)
        return [call.invoice for call in made if call.invoice is not None] + list(self._elsewhere.values())

    def find(self, key: str | Invoice) -> Invoice:
        """An invoice as it stands now; see `Face.invoice`."""
        self.recall()
        if isinstance(key, Invoice):
            ways: list[Callable[[Invoice], bool]] = [
                lambda one: key_of(one) == key_of(key) and _same(one, key),
                lambda one: key_of(one) == key_of(key),
                lambda one: one.id == key.id != "",
            ]
        elif isinstance(key, str) and key:
            if (call := self.creation(key)) is not None:
                return self._told(_made(call))
            request = canonical(key)
            ways = [
                lambda one: one.id == key,  # exactly as the hub writes it
                lambda one: one.payment_hash == key.lower(),
                lambda one: _slot(one) == request,
            ]
        else:
            raise InvalidRequest(
                "invoice() takes a ClientId, the hub's id, a payment hash, a payment request or an Invoice, "
                f"not {amounts.shown(key)}."
            )
        invoices = self.invoices()
        for is_it in ways:
            for invoice in invoices:
                if is_it(invoice):
                    return self._told(verified(invoice))
        shown = key.client_id or key.id if isinstance(key, Invoice) else key
        raise InvalidRequest(
            f"No invoice {shown[:64]!r} is known here; hub.refresh_invoices() asks the hub for all it has."
        )

    def _told(self, invoice: Invoice) -> Invoice:
        """An invoice with what there is to say of whose it is."""
        call = self._made.get(key_of(invoice))
        doubt = "" if call is None else self.doubt(call)
        return replace(invoice, warnings=(*invoice.warnings, doubt)) if doubt else invoice

    def unresolved(self) -> list[Call]:
        """The commands whose outcome is unknown, the oldest first; nobody waits for them any more."""
        calls = [*list(self.creations.values()), *list(self.others.values())]
        open_ = [call for call in calls if call.unknown and not call.dismissed]
        return sorted(open_, key=_sent)

    def frame(self) -> pd.DataFrame:
        """Every invoice and every creation that was refused or is unknown; see `Face.invoices`."""
        from hercle_nb.invoice_frame import invoices_frame  # deferred: brings pandas

        return invoices_frame(self.invoices(), self.without_invoice())

    def without_invoice(self) -> list[Call]:
        """The creations that the hub refused, or whose outcome is unknown."""
        without = (call for call in list(self.creations.values()) if call.invoice is None)
        return [call for call in without if call.rejection is not None or call.unknown]

    def listed(self, invoice: Invoice) -> dict[str, Any] | None:
        """What the hub's list said of an invoice the last time, as it was sent; None if it never did."""
        return self._listed.get(_slot(invoice))

    def _remember(self, row: Any) -> Call | None:
        """A command of the journal's; returned if it is new here and an answer may still settle it."""
        shelf = self.creations if row.creation else self.others
        key = row.client_id or row.intent
        known = shelf.get(key)
        if known is None:
            if row.state in (NOT_SENT, DONE):  # free again; or told by its invoice
                return None
            call = shelf[key] = call_of(row)
            return None if call.settled else call
        if not known.settled and (known.remembered or row.state != NOTED):
            self._learn(known, call_of(row), shelf, row.state)
        return None

    def _learn(self, known: Call, now: Call, shelf: dict[str, Call], state: str) -> None:
        """What another kernel found out about a command whose outcome was not known here."""
        known.dismissed, known.done, known.sender = now.dismissed, now.done and not known.request, now.sender
        known.lost_at = known.lost_at or now.lost_at
        if now.rejection is not None:
            known.rejection = now.rejection
            known.fail(now.rejection)
        if state == NOT_SENT or known.done:
            del shelf[str(known.client_id)]

    def _learn_all(self, rows: list[Any]) -> None:
        for row in rows:
            try:
                self.learn(invoice_of(row, self.clock_ahead), row[-1])
            except Exception:
                logger.exception("an invoice of the journal cannot be read: %s", row)

    def _update(self, known: Invoice, now: Invoice) -> None:
        """What another kernel learned of an invoice that was made elsewhere, or is ours here."""
        call = self._made.get(key_of(known))
        if call is not None and call.invoice is known:
            self._own(call, merged(known, now), changed=False)
        else:
            self._put_elsewhere(merged(known, now), changed=False)

    def _own(self, call: Call, invoice: Invoice, *, changed: bool = True) -> None:
        """An invoice is a creation's."""
        call.invoice = invoice
        self._made[key_of(invoice)] = call
        if invoice.id:
            self._made_ids[invoice.id] = call
        if changed:
            self.changed[_slot(invoice)] = invoice

    def _put_elsewhere(self, invoice: Invoice, *, changed: bool = True) -> None:
        """An invoice was made elsewhere."""
        self._elsewhere[key_of(invoice)] = invoice
        if invoice.id:
            self._elsewhere_ids[invoice.id] = key_of(invoice)
        if changed:
            self.changed[_slot(invoice)] = invoice

    def _give_back(self, call: Call, invoice: Invoice) -> None:
        """An invoice is not ours after all."""
        for shelf, name in ((self._made, key_of(invoice)), (self._made_ids, invoice.id)):
            if shelf.get(name) is call:
                del shelf[name]
        self._put_elsewhere(replace(invoice, client_id=None, expiry_hours=None))

    def _is_old(self, fields: dict[str, Any]) -> bool:
        """Whether the list said exactly this before."""
        text = fields.get("encodedPaymentRequest")
        return isinstance(text, str) and self._listed.get(canonical(text)) == fields

    def _take(self, listed: Invoice) -> tuple[Invoice | None, Invoice]:
        """Put an entry of the list where it belongs; what was known of it before, and what is known now."""
        key = key_of(listed)
        call = self._made.get(key) or self._made_ids.get(listed.id)
        if call is not None and call.invoice is not None and _same(call.invoice, listed):
            before, now = call.invoice, merged(call.invoice, listed)
            self._own(call, now, changed=now != before)
            return before, now
        known = self._elsewhere.get(key)
        if known is not None and _same(known, listed):
            listed = merged(known, listed)
        elif known is not None and call is None:
            return self._take_twin(known, listed)
        elif call is not None and call.invoice is not None:
            self._own(call, alarmed(call.invoice, _two_requests(listed.id)))
            listed = alarmed(listed, _two_requests(listed.id))
        elif (other := self._elsewhere.get(self._elsewhere_ids.get(listed.id, ""))) is not None and not _same(
            other, listed
        ):
            self._put_elsewhere(alarmed(other, _two_requests(listed.id)))
            listed = alarmed(listed, _two_requests(listed.id))
        self._put_elsewhere(listed, changed=listed != known)
        return known, listed

    def _take_twin(self, known: Invoice, listed: Invoice) -> tuple[Invoice | None, Invoice]:
        """Two payment requests made elsewhere have one payment hash: both stay, and nobody should pay any."""
        before = self._elsewhere.get(_slot(listed))
        now = alarmed(listed if before is None else merged(before, listed), _ONE_HASH)
        first = alarmed(known, _ONE_HASH)
        self._put_elsewhere(first, changed=first != known)
        self._elsewhere[_slot(now)] = now
        self._elsewhere_ids[now.id] = _slot(now)
        if now != before:
            self.changed[_slot(now)] = now
        return before, now


def _sent(call: Call) -> datetime:
    return call.sent_at or datetime.max.replace(tzinfo=UTC)


def _made(call: Call) -> Invoice:
    """The invoice that a creation made."""
    if call.invoice is not None:
        return call.invoice
    if call.rejection is not None:
        raise InvalidRequest(f"There is no invoice {call.client_id!r}: {call.rejection}")
    more = (
        "it was dismissed, and hub.refresh_invoices() shows what there is"
        if call.dismissed
        else f"hub.resolve({call.client_id!r}) asks the hub"
    )
    raise InvalidRequest(f"There is no invoice {call.client_id!r} so far; {more}.")


def _slot(invoice: Invoice) -> str:
    """Its payment request, the same however that is spelt."""
    return canonical(invoice.payment_request)


def key_of(invoice: Invoice) -> str:
    """What an invoice is told from others by."""
    return invoice.payment_hash or invoice.id or invoice.payment_request


def _same(known: Invoice, listed: Invoice) -> bool:
    return _slot(known) == _slot(listed)


def _is_newer(told: Invoice, known: Invoice) -> bool:
    """Whether another kernel knows more of an invoice."""
    if told.paid != known.paid:
        return told.paid
    return known.updated_at is None or (told.updated_at is not None and told.updated_at > known.updated_at)


def _two_requests(hub_id: str) -> str:
    return f"the hub shows two payment requests for one invoice ({hub_id!r}): do not pay before it says which"
