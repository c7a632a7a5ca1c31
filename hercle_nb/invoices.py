"""The invoice: what came of a request, read from the hub's answer and compared with what was asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts, cross_check
from hercle_nb.bolt11 import canonical, decode_payment_request
from hercle_nb.commands import http_status
from hercle_nb.errors import InvalidRequest, PaymentRequestError
from hercle_nb.states import EXPIRED, OPEN, hub_now, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    import segno

    from hercle_nb.bolt11 import PaymentRequest
    from hercle_nb.invoice_request import InvoiceRequest


@dataclass(frozen=True, repr=False)
class Invoice:
    """A Lightning invoice that the hub created, here or elsewhere; times are UTC.

    Attributes:
        client_id: Our id of the command that created it; None if it was created elsewhere.
        id: The hub's id.
        amount_msat: The amount that its payment request asks for, in millisatoshis; None where the payer
            chooses it. Where the payment request cannot be read, the amount that was asked of the hub.
        memo: The memo asked for, or None.
        expiry_hours: The expiry asked for, or None for the hub's default.
        created_at: When it was created: the payment request's own time where it can be read.
        expires_at: When it expires, as the payment request says, else as the hub says.
        payment_request: The BOLT 11 text to be paid.
        payment_hash: The payment hash in it (hex); None if it cannot be read.
        http_status: ``httpStatusCode`` of the hub's answer.
        message: The hub's words.
        preimage: The proof of payment, once known (hex).
        hub_status: ``status`` in the hub's list; None where it was not seen there.
        updated_at: ``updatedAt`` in the hub's list, or None.
        extra: What the hub's list says beyond these fields, by its own names.
        warnings: What is not as it should be, a sentence each.
        alarm: A warning says that the payment request is not what was asked for; there is no QR code then.
        reused: It was known already and nothing was sent for it.
        asked_msat: The amount asked of the hub where the payment request asks for another one; else None.
        clock_ahead: Seconds that the hub's clock was ahead of this computer's when the invoice was made, or
            last in the hub's list; 0 where that is not known. It is no part of what makes invoices equal.
        paid_at: When the payment was first seen; None while there is no proof of one.
        paid_at_source: Where ``paid_at`` is from: ``list`` (``updatedAt`` of the entry that first showed the
            preimage: about the time of payment, assumed) or ``seen`` (when we saw it first).
    """

    client_id: str | None
    id: str
    amount_msat: int | None
    memo: str | None
    expiry_hours: int | None
    created_at: datetime
    expires_at: datetime
    payment_request: str
    payment_hash: str | None
    http_status: int | None = None
    message: str | None = None
    preimage: str | None = None
    hub_status: str | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    warnings: tuple[str, ...] = ()
    alarm: bool = False
    reused: bool = False
    asked_msat: int | None = None
    clock_ahead: float = field(default=0.0, compare=False)
    paid_at: datetime | None = None
    paid_at_source: str | None = None

    @property
    def amount_btc(self) -> Decimal | None:
        """The amount in BTC, exact; None where the payer chooses it."""
        return None if self.amount_msat is None else amounts.msat_to_btc(self.amount_msat)

    @property
    def amount_sat(self) -> int | None:
        """The amount in satoshis; None for a fraction, or where the payer chooses it."""
        return None if self.amount_msat is None else amounts.msat_to_sat(self.amount_msat)

    @property
    def decoded(self) -> PaymentRequest | None:
        """The payment request taken apart, its signature looked at; None if it cannot be read."""
        return _taken_apart(self.payment_request)

    @property
    def paid(self) -> bool:
        """Whether the preimage is known and proves the payment."""
        return proves(self.preimage, self.payment_hash)

    @property
    def status(self) -> str:
        """``open``, ``paid``, ``expired`` (by the hub's clock) or ``closed`` by the hub."""
        late = hub_now(self.clock_ahead) >= self.expires_at
        return state_of(proven=self.paid, hub_status=self.hub_status, late=late)

    def qr(self) -> segno.QRCode:
        """The QR code of the payment request, as wallets scan it.

        Raises:
            InvalidRequest: The invoice is not open, has an alarm (nobody should pay it), or is too long.
        """
        import segno

        if self.status != OPEN or self.alarm:
            raise InvalidRequest(f"No QR code: the invoice is {'; '.join((self.status, *self.warnings))}.")
        # two segments, since joined the lower-case scheme would force the larger byte mode on the whole
        text = canonical(self.payment_request)
        level = "l" if len(text) > 400 else "m"
        segments: Any = ("lightning:", text.upper())  # taken, whatever segno's types say
        try:
            return segno.make(segments, error=level, boost_error=False, micro=False)
        except segno.DataOverflowError as error:
            raise InvalidRequest(
                f"No QR code holds the payment request's {len(text):,} characters; hand over its text."
            ) from error

    def as_reused(self, *notes: str) -> Invoice:
        """The same invoice, marked as known already; with warnings, and one if it has expired meanwhile."""
        if self.status == EXPIRED:
            notes += (
                "it has expired meanwhile, so wallets pay it no more; hub.refresh_invoices() tells whether "
                "it was paid before; another ClientId makes a second invoice",
            )
        return replace(self, reused=True, warnings=(*self.warnings, *notes))

    def __repr__(self) -> str:
        from hercle_nb.invoice_display import invoice_text

        return invoice_text(self)

    def _repr_html_(self) -> str:
        from hercle_nb.invoice_display import invoice_card

        return invoice_card(self)


def read_answer(
    request: InvoiceRequest,
    data: dict[str, Any],
    received_at: datetime,
    currency: str,
    note: str | None = None,
    *,
    sent_at: datetime | None = None,
    clock_ahead: float = 0.0,
) -> Invoice:
    """The invoice in a successful answer to a creation, or in the hub's list.

    Args:
        request: What was asked.
        data: The answer's data, with an ``encodedPaymentRequest``.
        received_at: When the answer came.
        currency: The network expected, as in a payment request's prefix; empty for any but Bitcoin itself.
        note: Why it is believed to be this creation's, where its ClientId does not say so.
        sent_at: When it was asked for; None if that is not known.
        clock_ahead: Seconds that the hub's clock is ahead of ours.
    """
    text = str(data["encodedPaymentRequest"])
    hub_expiry = parse_time(data.get("expiresAt"))
    alarms: list[str] = []
    decoded = None
    try:
        decoded = decode_payment_request(text)
    except PaymentRequestError as error:
        alarms.append(f"the payment request cannot be read ({error.code})")
    else:
        alarms += cross_check.alarms(request, decoded, currency)
    if note is None and http_status(data) is None:
        note = "the hub's answer carried no httpStatusCode"
    clocks = cross_check.clock_notes(decoded, hub_expiry, sent_at, received_at, clock_ahead)
    amount_msat = decoded.amount_msat if decoded else request.amount_msat
    return Invoice(
        client_id=request.client_id,
        id=str(data.get("id") or ""),
        amount_msat=amount_msat,
        memo=request.memo,
        expiry_hours=request.expiry_hours,
        created_at=decoded.created_at if decoded else received_at,
        expires_at=decoded.expires_at if decoded else hub_expiry or received_at,
        payment_request=text,
        payment_hash=decoded.payment_hash if decoded else None,
        http_status=http_status(data),
        message=str(data["message"]) if data.get("message") is not None else None,
        warnings=(*alarms, *filter(None, [note]), *clocks),
        alarm=bool(alarms),
        asked_msat=request.amount_msat if request.amount_msat != amount_msat else None,
        clock_ahead=clock_ahead,
    )


@lru_cache(maxsize=1_000)  # milliseconds each, and asked for at every display
def _taken_apart(payment_request: str) -> PaymentRequest | None:
    try:
        return decode_payment_request(payment_request)
    except PaymentRequestError:
        return None


def proves(preimage: str | None, payment_hash: str | None) -> bool:
    """Whether a preimage of 32 bytes (hex) hashes to a payment hash (hex); False for any other text."""
    try:
        octets = bytes.fromhex(preimage or "")
    except ValueError:  # the hub's text is no proof
        return False
    return len(octets) == 32 and hashlib.sha256(octets).hexdigest() == payment_hash


def parse_time(text: Any) -> datetime | None:
    """An ISO 8601 time of the hub as UTC; None for anything else. A time without zone counts as UTC."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # overflow: .NET's DateTime.MinValue in a zone east of UTC
        return None
