"""An entry of the hub's list of invoices: read, compared with itself, and merged with what is known. No I/O.

Source of the fields: https://documentation.hercle.financial (GetLightningInvoices).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts
from hercle_nb.bolt11 import decode_payment_request, peek_currency, read_unverified
from hercle_nb.cross_check import clock_notes, judged_here, with_clock, wrong_network
from hercle_nb.errors import PaymentRequestError
from hercle_nb.invoices import Invoice, parse_time, proves
from hercle_nb.states import is_documented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hercle_nb.bolt11 import PaymentRequest

_TAKEN = frozenset(
    ("id", "encodedPaymentRequest", "expiresAt", "status", "updatedAt", "memo", "paymentPreimage")
)
LIST, SEEN = "list", "seen"  # where the time of a payment is from
_MSAT = {
    "BITCOIN": 100_000_000_000,
    "MILLIBITCOIN": 100_000_000,
    "MICROBITCOIN": 100_000,
    "NANOBITCOIN": 100,
    "SATOSHI": 1_000,
    "MILLISATOSHI": 1,
}


def read_listed(fields: Any, currency: str, clock_ahead: float = 0.0) -> Invoice | None:
    """An entry of the hub's list as an invoice; None for what is none.

    The payment request's signature is not looked at: see `verified`.

    Args:
        fields: The entry.
        currency: The network expected, as in a payment request's prefix; empty for any but Bitcoin itself.
        clock_ahead: Seconds that the hub's clock is ahead of this computer's.
    """
    if not isinstance(fields, dict):
        return None
    hub_id, text = _text(fields.get("id")), _text(fields.get("encodedPaymentRequest"))
    if text is None:
        return None
    decoded = None
    alarms: list[str] = []
    try:
        decoded = read_unverified(text)
    except PaymentRequestError as error:
        alarms.append(f"the payment request cannot be read ({error.code})")
    else:
        alarms += _contradictions(fields, decoded, currency)
    status = _text(fields.get("status"))
    expiry = parse_time(fields.get("expiresAt"))
    created = decoded.created_at if decoded else parse_time(fields.get("createdAt"))
    unknown = expiry or created or datetime.fromtimestamp(0, UTC)
    preimage = _text(fields.get("paymentPreimage"))
    updated = parse_time(fields.get("updatedAt"))
    paid = decoded is not None and proves(preimage, decoded.payment_hash)
    return Invoice(
        client_id=None,
        id=hub_id or "",
        amount_msat=decoded.amount_msat if decoded else None,
        memo=_text(fields.get("memo")),
        expiry_hours=None,
        created_at=created or unknown,
        expires_at=decoded.expires_at if decoded else unknown,
        payment_request=text,
        payment_hash=decoded.payment_hash if decoded else None,
        preimage=preimage,
        hub_status=status,
        updated_at=updated,
        extra={name: value for name, value in fields.items() if name not in _TAKEN},
        warnings=with_clock((*alarms, *_notes(status, expiry, decoded)), clock_ahead),
        alarm=bool(alarms),
        clock_ahead=clock_ahead,
        paid_at=(updated or datetime.now(UTC)) if paid else None,
        paid_at_source=(LIST if updated else SEEN) if paid else None,
    )


def merged(known: Invoice, listed: Invoice) -> Invoice:
    """What is known of an invoice, with what the hub's list says of it now; a proof of payment stays."""
    return replace(
        known,
        id=known.id or listed.id,
        preimage=known.preimage if known.paid and not listed.paid else listed.preimage or known.preimage,
        hub_status=listed.hub_status,
        updated_at=listed.updated_at,
        extra=listed.extra,
        warnings=with_clock(tuple(dict.fromkeys((*known.warnings, *listed.warnings))), listed.clock_ahead),
        alarm=known.alarm or listed.alarm,
        clock_ahead=listed.clock_ahead,
        paid_at=known.paid_at or listed.paid_at,
        paid_at_source=known.paid_at_source or listed.paid_at_source,
    )


def alarmed(invoice: Invoice, sentence: str) -> Invoice:
    """The same invoice with one more reason why nobody should pay it."""
    return replace(invoice, warnings=tuple(dict.fromkeys((*invoice.warnings, sentence))), alarm=True)


def expected_here(invoice: Invoice, currency: str) -> Invoice:
    """An invoice of the journal's, where another network may have been expected when it was written."""
    named = peek_currency(invoice.payment_request)
    warnings, alarm = judged_here(invoice.warnings, named, currency, alarm=invoice.alarm)
    if set(warnings) == set(invoice.warnings) and alarm == invoice.alarm:
        return invoice
    return replace(invoice, warnings=warnings, alarm=alarm)


def verified(invoice: Invoice) -> Invoice:
    """The same invoice, with an alarm if its payment request's signature is wrong: a list is read without."""
    if invoice.payment_hash is not None and invoice.decoded is None:
        try:
            decode_payment_request(invoice.payment_request)
        except PaymentRequestError as error:
            unreadable = replace(invoice, payment_hash=None)
            return alarmed(unreadable, f"the payment request cannot be read ({error.code})")
    return invoice


def _contradictions(fields: dict[str, Any], decoded: PaymentRequest, currency: str) -> Iterator[str]:
    """Why the payment request is not what the rest of the entry says, or not what belongs here."""
    yield from wrong_network(decoded.currency, currency)
    payment_hash = _text(fields.get("paymentHash"))
    if payment_hash is not None and payment_hash.lower() != decoded.payment_hash:
        yield f"the hub's list says payment hash {payment_hash!r}, the payment request {decoded.payment_hash}"
    preimage = _text(fields.get("paymentPreimage"))
    if preimage is not None and not proves(preimage, decoded.payment_hash):
        other = re.fullmatch("([0-9a-fA-F]{2})+", preimage) is not None and len(preimage) != 64
        why = "is not 32 bytes" if other else "does not hash to the payment hash"
        yield f"the hub's list shows a preimage that {why}: it proves no payment"
    yield from _other_amount(fields, decoded)
    memo = fields.get("memo")
    if isinstance(memo, str) and not _is_memo_of(memo, decoded):
        yield f"the hub's list says memo {memo!r}, the payment request has another one"
    yield from decoded.problems


def _is_memo_of(memo: str, decoded: PaymentRequest) -> bool:
    if decoded.description_hash is None:
        return memo == (decoded.description or "")
    return hashlib.sha256(memo.encode(errors="replace")).hexdigest() == decoded.description_hash


def _other_amount(fields: dict[str, Any], decoded: PaymentRequest) -> Iterator[str]:
    value, unit = fields.get("amountOriginalValue"), _text(fields.get("amountOriginalUnit"))
    if value is None or unit is None:
        return
    factor = _MSAT.get(unit.upper())
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    says = "no amount" if decoded.amount_msat is None else amounts.format_btc(decoded.amount_msat)
    if factor is None or not number:
        yield f"the hub's list says {value} {unit}, which is no known amount; the payment request says {says}"
        return
    # compared as fractions, since Decimal arithmetic would round
    numerator, denominator = value.as_integer_ratio() if _bounded(value) else (-1, 1)
    if numerator * factor != (decoded.amount_msat or 0) * denominator:
        yield f"the hub's list says {value} {unit}, the payment request {says}"


def _bounded(value: int | Decimal) -> bool:
    """Whether a number is worth taking apart: not infinite, nor of an exponent that fills the memory."""
    return isinstance(value, int) or (value.is_finite() and abs(value.adjusted()) < 100)


def _notes(status: str | None, expiry: datetime | None, decoded: PaymentRequest | None) -> Iterator[str]:
    """What is odd, but no reason not to pay."""
    if status is None or not is_documented(status):
        yield f"the hub's list calls it {status!r}, which is not documented"
    yield from clock_notes(decoded, expiry, None, datetime.now(UTC), 0.0)


def _text(value: Any) -> str | None:
    """A text that is not empty; a number, as some hubs write ids, as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
