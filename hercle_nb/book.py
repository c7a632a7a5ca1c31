"""The book of a hub's invoices: what was asked for here and what came of it, and what the hub lists besides.

It is written on the hub's thread and read from any: what a reader gets is a copy, and nothing here waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hercle_nb import amounts
from hercle_nb.bolt11 import canonical
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoices import Invoice
from hercle_nb.listed import alarmed, merged, read_listed, verified
from hercle_nb.states import is_open_at_the_hub

if TYPE_CHECKING:
    import pandas as pd

    from hercle_nb.calls import Call


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
    """

    def __init__(self, currency: str) -> None:
        self.creations: dict[str, Call] = {}
        self.others: dict[str, Call] = {}
        self._currency = currency
        self._elsewhere: dict[str, Invoice] = {}  # by payment hash, or the hub's id where there is none
        self._listed: dict[str, dict[str, Any]] = {}  # each entry of the hub's list as it was the last time
        self._in_list: set[str] = set()  # the payment requests of the last one
        self._looked = False

    def adopt(self, call: Call, invoice: Invoice) -> None:
        """An invoice is a creation's; what the hub's list said of it before stays known."""
        taken = call.invoice
        if taken is not None and not _same(taken, invoice):  # matched by the hub's list, wrongly
            self._give_back(taken)
            note = f"the hub's list was understood to mean {taken.id!r} before its own answer came"
            invoice = replace(invoice, warnings=(*invoice.warnings, note))
        elif taken is not None:
            invoice = merged(invoice, replace(taken, warnings=()))
        listed = self._elsewhere.pop(_key(invoice), None)
        call.invoice = invoice if listed is None else merged(invoice, listed)

    def refused(self, call: Call) -> None:
        """The hub has refused a command after all: nothing came of it."""
        self.others.pop(call.client_id or "", None)
        if call.invoice is not None:  # matched by the hub's list, wrongly
            self._give_back(call.invoice)
            call.invoice = None

    def merge(self, items: Any) -> list[Invoice]:
        """Take the hub's list in.

        Returns:
            The invoices that are seen to be paid since the list before.
        """
        first, self._looked = not self._looked, True
        ours = self._ours()
        ids = {invoice.id: key for key, invoice in self._elsewhere.items()}
        paid = []
        entries = items if isinstance(items, list) else []
        self._in_list = {
            str(fields.get("encodedPaymentRequest")) for fields in entries if isinstance(fields, dict)
        }
        for fields in entries:
            listed = None if self._is_old(fields) else read_listed(fields, self._currency)
            if listed is None:
                continue
            self._listed[listed.payment_request] = fields
            before, now = self._take(listed, ours, ids)
            if now.paid and not (before.paid if before is not None else first):
                paid.append(verified(now))
        return paid

    def is_open_in_list(self, invoice: Invoice) -> bool:
        """Whether the last list of the hub's had that invoice, and not as closed or paid."""
        listed = invoice.payment_request in self._in_list
        return listed and not invoice.paid and is_open_at_the_hub(invoice.hub_status)

    def invoices(self) -> list[Invoice]:
        """Every invoice known: those created here, then the others."""
        ours = [call.invoice for call in list(self.creations.values()) if call.invoice is not None]
        return ours + list(self._elsewhere.values())

    def find(self, key: str | Invoice) -> Invoice:
        """An invoice as it stands now; see `Face.invoice`."""
        if isinstance(key, Invoice):
            wanted = {_key(key)}
        elif isinstance(key, str) and key:
            wanted = {key, key.lower(), canonical(key)}
            if (call := self.creations.get(key)) is not None:
                return _made(call)
        else:
            raise InvalidRequest(
                "invoice() takes a ClientId, the hub's id, a payment hash, a payment request or an Invoice, "
                f"not {amounts.shown(key)}."
            )
        for invoice in self.invoices():
            if wanted & {_key(invoice), invoice.id, canonical(invoice.payment_request)}:
                return verified(invoice)
        shown = key.client_id or key.id if isinstance(key, Invoice) else key
        raise InvalidRequest(
            f"No invoice {shown[:64]!r} is known here; hub.refresh_invoices() asks the hub for all it has."
        )

    def unresolved(self) -> list[Call]:
        """The commands whose outcome is unknown, the oldest first; nobody waits for them any more."""
        calls = [*list(self.creations.values()), *list(self.others.values())]
        open_ = [call for call in calls if call.unknown and not call.dismissed]
        return sorted(open_, key=lambda call: call.sent_at or datetime.max.replace(tzinfo=UTC))

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
        return self._listed.get(invoice.payment_request)

    def _give_back(self, invoice: Invoice) -> None:
        """An invoice is not ours after all."""
        self._elsewhere[_key(invoice)] = replace(invoice, client_id=None, expiry_hours=None)

    def _ours(self) -> dict[str, Call]:
        """Our creations by the hub's id and by payment hash, which outranks it."""
        made = [(call, call.invoice) for call in self.creations.values() if call.invoice is not None]
        by_id = {invoice.id: call for call, invoice in made if invoice.id}
        return by_id | {_key(invoice): call for call, invoice in made}

    def _is_old(self, fields: Any) -> bool:
        """Whether the list said exactly this before."""
        slot = fields.get("encodedPaymentRequest") if isinstance(fields, dict) else None
        return isinstance(slot, str) and self._listed.get(slot) == fields

    def _take(
        self, listed: Invoice, ours: dict[str, Call], ids: dict[str, str]
    ) -> tuple[Invoice | None, Invoice]:
        """Put an entry of the list where it belongs; what was known of it before, and what is known now."""
        key = _key(listed)
        call = ours.get(key) or ours.get(listed.id)
        if call is not None and call.invoice is not None and _same(call.invoice, listed):
            before, call.invoice = call.invoice, merged(call.invoice, listed)
            return before, call.invoice
        known = self._elsewhere.get(key)
        if known is not None and _same(known, listed):
            listed = merged(known, listed)
        elif call is not None and call.invoice is not None:
            call.invoice = alarmed(call.invoice, _two_requests(listed.id))
            listed = alarmed(listed, _two_requests(listed.id))
        elif (other := self._elsewhere.get(ids.get(listed.id, ""))) is not None and not _same(other, listed):
            self._elsewhere[_key(other)] = alarmed(other, _two_requests(listed.id))
            listed = alarmed(listed, _two_requests(listed.id))
        self._elsewhere[key] = listed
        if listed.id:
            ids[listed.id] = key
        return known, listed


def _made(call: Call) -> Invoice:
    """The invoice that a creation made."""
    if call.invoice is not None:
        return call.invoice
    if call.rejection is not None:
        raise InvalidRequest(f"There is no invoice {call.client_id!r}: {call.rejection}")
    raise InvalidRequest(
        f"There is no invoice {call.client_id!r} so far; hub.resolve({call.client_id!r}) asks the hub."
    )


def _key(invoice: Invoice) -> str:
    return invoice.payment_hash or invoice.id or invoice.payment_request


def _same(known: Invoice, listed: Invoice) -> bool:
    return canonical(known.payment_request) == canonical(listed.payment_request)


def _two_requests(hub_id: str) -> str:
    return f"the hub shows two payment requests for one invoice ({hub_id!r}): do not pay before it says which"
