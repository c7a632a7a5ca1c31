"""How commands and invoices become rows of the journal's tables, and come back. No I/O."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hercle_nb import _json, commands
from hercle_nb.bolt11 import canonical
from hercle_nb.calls import Call
from hercle_nb.cross_check import with_clock
from hercle_nb.errors import CommandRejected, InvalidRequest
from hercle_nb.events import read_event
from hercle_nb.invoice_request import InvoiceRequest
from hercle_nb.invoices import Invoice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hercle_nb.accounts import Holder
    from hercle_nb.batch.again import Made

NOTED = "noted"  # durable, and perhaps sent
NOT_SENT = "not sent"  # nothing left the machine
DONE = "done"
REJECTED = "rejected"
DISMISSED = "dismissed"  # the user's decision: it stays unknown

HOST = socket.gethostname()
PROCESS = uuid.uuid4().hex
KERNELS: set[str] = set()  # the hubs of this process that have a journal

INVOICE = (  # what is read of an invoice: the fields of an `Invoice`
    *("client_id", "id", "amount_msat", "memo", "expiry_hours", "created_at", "expires_at", "updated_at"),
    *("payment_request", "payment_hash", "preimage", "http_status", "message", "hub_status", "extra"),
    *("warnings", "alarm", "asked_msat", "clock_ahead", "paid_at", "paid_at_source"),
)
ENTRY = (*INVOICE, "key")  # and under which key it was known first
ANSWER, COMPLETION, LISTED = "answer", "completion", "entry"  # what is observed

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # PostgreSQL refuses the first, UTF-8 the others
_LARGEST = (1 << 63) - 1


@dataclass
class Sender:
    """Which kernel sent a command, and how long it waits for the answer.

    Attributes:
        host: The name of its computer.
        pid: Its number there.
        process: What tells it from an earlier or later process of that number.
        kernel: Which of the process's hubs it is.
        waits_until: When it gives up, by the hub's clock; 0 if it has.
        due: The same, also when it has.
        until: When it gives up, by this process's monotonic clock; None before that is known.
    """

    host: str
    pid: int
    process: str
    kernel: str
    waits_until: float
    due: float
    until: float | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits still, as far as can be told from here."""
        return self.until is not None and time.monotonic() < self.until and not self._is_gone()

    def _is_gone(self) -> bool:
        if self.host != HOST:
            return False
        if self.pid != os.getpid():
            return _is_gone(self.pid)
        return self.process != PROCESS or self.kernel not in KERNELS


def intent_row(call: Call) -> dict[str, Any]:
    """What is noted of a command before it is sent, as far as the command itself knows."""
    return {
        "intent": call.intent,
        "client_id": call.client_id if call.unique else None,
        "method": storable(call.method),
        "creation": call.request is not None,
        "arguments": storable(_json.encode(call.arguments)),
        "noted_at": now_text(),
        "host": HOST,
        "pid": os.getpid(),
        "process": PROCESS,
        "due": call.waits_until,
        "waits_until": call.waits_until,
        "state": NOTED,
        "lost_at": None,
        "answered_at": None,
        "answer": None,
        "refusal": None,
        "batch": None if call.batch is None else batch_mark(call.batch),
        "row_key": storable(call.row_key),
    }


def refusal_text(rejection: CommandRejected) -> str:
    """A refusal as JSON."""
    fields = [str(rejection), rejection.message, rejection.subject, rejection.http_status]
    return _json.encode([storable(field) for field in fields])


def call_of(row: Any) -> Call:
    """A command of the journal's; the invoice that it made is a row of its own."""
    arguments = _json.decode(row.arguments)
    call = Call(row.method, row.client_id or row.intent, arguments=arguments, intent=row.intent)
    if row.creation:
        client_id, btc, memo, hours = arguments
        call.request = InvoiceRequest(btc, memo, hours, client_id, allow_msat=True)
    call.sent_at = datetime.fromisoformat(row.noted_at)
    call.hub_time, call.lost_at = row.hub_time, row.lost_at or row.due
    call.key = row.key
    call.dismissed, call.done = row.state == DISMISSED, row.state == DONE
    call.remembered = True
    if row.state == NOTED:
        call.named_id = _named_id(row.answer)
        call.sender = Sender(row.host, row.pid, row.process, row.kernel, row.waits_until, row.due)
    if row.state == REJECTED:
        text, message, subject, http_status = _json.decode(row.refusal)
        call.rejection = CommandRejected(text, message=message, subject=subject, http_status=http_status)
    return call


def call_of_invoice(invoice: Invoice, key: str | None = None) -> Call:
    """The creation that made an invoice of the journal's, with a key of that fingerprint."""
    assert invoice.client_id is not None  # noqa: S101  # typing: the caller looked
    asked_msat = invoice.amount_msat if invoice.asked_msat is None else invoice.asked_msat
    assert asked_msat is not None  # noqa: S101  # typing: something was asked
    request = InvoiceRequest.known(invoice.client_id, asked_msat, invoice.memo, invoice.expiry_hours)
    call = Call(
        commands.CREATE, invoice.client_id, request, sent_at=invoice.created_at, key=key, remembered=True
    )
    call.invoice = invoice
    return call


def invoice_row(invoice: Invoice) -> dict[str, Any]:
    """An invoice as a row, but for the hub's URL, the kernel and the revision."""
    try:
        extra = _json.encode(dict(invoice.extra)) if invoice.extra else None
    except InvalidRequest:  # the hub sent half a character, or NaN
        extra = None
    row = {
        "digest": digest(invoice.payment_request),
        "client_id": invoice.client_id,
        "id": invoice.id,
        "amount_msat": invoice.amount_msat,
        "memo": invoice.memo,
        "expiry_hours": invoice.expiry_hours,
        "created_at": invoice.created_at.isoformat(),
        "expires_at": invoice.expires_at.isoformat(),
        "updated_at": invoice.updated_at.isoformat() if invoice.updated_at else None,
        "payment_request": invoice.payment_request,
        "payment_hash": invoice.payment_hash,
        "preimage": invoice.preimage,
        "http_status": invoice.http_status,
        "message": invoice.message,
        "hub_status": invoice.hub_status,
        "extra": extra,
        "warnings": _json.encode([storable(text) for text in invoice.warnings]) if invoice.warnings else None,
        "alarm": invoice.alarm,
        "asked_msat": invoice.asked_msat,
        "clock_ahead": invoice.clock_ahead,
        "paid_at": invoice.paid_at.isoformat() if invoice.paid_at else None,
        "paid_at_source": invoice.paid_at_source,
    }
    return {name: storable(value) for name, value in row.items()}


def invoice_of(row: Sequence[Any], clock_ahead: float | None = None) -> Invoice:
    """An invoice of the journal's, from the columns named in `ENTRY`.

    Args:
        row: The columns.
        clock_ahead: Seconds that the hub's clock is ahead of this computer's; None takes the row's, which
            another computer may have written.
    """
    fields = dict(zip(INVOICE, row, strict=False))
    fields["clock_ahead"] = (fields["clock_ahead"] or 0.0) if clock_ahead is None else clock_ahead
    for name in ("created_at", "expires_at", "updated_at", "paid_at"):
        fields[name] = fields[name] and datetime.fromisoformat(fields[name])
    fields["extra"] = _json.decode(fields["extra"]) if fields["extra"] else {}
    fields["warnings"] = tuple(_json.decode(fields["warnings"])) if fields["warnings"] else ()
    if clock_ahead is not None:
        fields["warnings"] = with_clock(fields["warnings"], clock_ahead)
    return Invoice(**fields)


def digest(payment_request: str) -> str:
    """What tells two invoices apart: the hash of their payment requests, which may be long."""
    return _hash(canonical(payment_request))


def batch_mark(batch_id: str) -> str:
    """What stands for a batch_id, which may be long."""
    return _hash(batch_id)


def batch_row(batch: Made) -> dict[str, Any]:
    """A batch as a row, but for the hub's URL, the key and the kernel."""
    return {
        "batch": batch_mark(batch.batch_id),
        "batch_id": storable(batch.batch_id),
        "named": batch.named,
        "made_at": batch.made_at.isoformat(timespec="microseconds"),
        "digest": batch.digest,
    }


def made_of(row: Any) -> Made:
    """A batch of the journal's."""
    from hercle_nb.batch.again import Made

    return Made(row.batch_id, row.named, datetime.fromisoformat(row.made_at), row.digest)


def holder_row(holder: Holder) -> dict[str, Any]:
    """What is known of a key as a row, but for the hub's URL."""
    return {
        "key": holder.key,
        "account": holder.account,
        "user_id": storable(holder.user_id),
        "asked_at": now_text(),
    }


def storable(value: Any) -> Any:
    """A value that every database keeps: none of the hub's oddities may keep an answer out of the journal."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, int) and abs(value) > _LARGEST:
        return None
    return value


def now_text() -> str:
    """Now, in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def change_row(connection: int, subject: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A change of the connection as a row, but for the hub's URL and the kernel."""
    return {
        "at": now_text(),
        "connection": connection,
        "subject": subject,
        "data": _json.encode({name: storable(value) for name, value in data.items()}),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _named_id(answer: str | None) -> str | None:
    """The hub's id in an answer that brought no payment request."""
    return None if answer is None else commands.named_id(read_event(answer).data)


def _is_gone(pid: int) -> bool:
    """Whether no process of this computer has that number; False where that cannot be told."""
    if sys.platform == "win32":  # os.kill would end it
        return False
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except (OSError, IndexError):
        return False
    return state == "Z"  # it has ended, and its parent has not looked yet
