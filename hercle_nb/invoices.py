"""The invoice: what was asked for, checked before it is sent, and what came of it.

Rules of the hub from its command page (CreateLightningInvoice), rules of Lightning from BOLT 11.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hercle_nb import amounts
from hercle_nb.bolt11 import PaymentRequest, decode_payment_request
from hercle_nb.commands import http_status
from hercle_nb.errors import InvalidRequest, PaymentRequestError

if TYPE_CHECKING:
    from decimal import Decimal

    import segno

MAX_MEMO_BYTES = 639  # BOLT 11: a tagged field holds 1023 groups of five bits
MAX_EXPIRY_HOURS = 720  # the command page
DEFAULT_EXPIRY_HOURS = 24  # the command page: what null means
MAX_CLIENT_ID = 36  # the command page

_BIDI_CONTROLS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_NAMESPACE = uuid.UUID("6f0e4c1e-6f58-5f0b-9f0c-0d6f7c1f5a11")  # ours; it keeps client_id() apart from others


def client_id(*parts: object) -> str:
    """A ClientId that is the same for the same parts: for cells that are run again.

    Args:
        parts: What identifies the invoice to you, such as an order number and a month.

    Raises:
        InvalidRequest: No parts.

    Example:
        >>> client_id("order", 17) == client_id("order", 17)
        True
    """
    if not parts:
        raise InvalidRequest(
            'client_id() needs something to make the id from, such as client_id("order", 17).'
        )
    return str(uuid.uuid5(_NAMESPACE, json.dumps([str(part) for part in parts])))


@dataclass(frozen=True, init=False)
class InvoiceRequest:
    """What is asked of the hub, checked and normalised.

    Args:
        amount_btc: The amount in BTC: `Decimal`, `int`, plain decimal `str`, or a `float` that is exact.
        memo: At most 639 bytes of UTF-8 after NFC, or None. None and an empty text differ on the wire.
        expiry_hours: Whole hours from 1 to 720, or None for the hub's default of 24.
        client_id: 1 to 36 printable ASCII characters without spaces; made if None.
        amount_sat: The amount in satoshis, instead of ``amount_btc``.
        allow_msat: Accept fractions of a satoshi.

    Raises:
        InvalidRequest: An argument breaks a rule; the message shows what to write instead.
    """

    client_id: str
    amount_msat: int
    memo: str | None
    expiry_hours: int | None

    def __init__(
        self,
        amount_btc: Any = None,
        memo: str | None = None,
        expiry_hours: int | None = None,
        client_id: str | None = None,
        *,
        amount_sat: int | None = None,
        allow_msat: bool = False,
    ) -> None:
        if (amount_btc is None) == (amount_sat is None):
            raise InvalidRequest("Write exactly one of amount_btc=Decimal('0.001') and amount_sat=100_000.")
        if amount_sat is None:
            msat = amounts.btc_to_msat(amount_btc, allow_msat=allow_msat)
        else:
            msat = amounts.sat_to_msat(amount_sat)
        object.__setattr__(self, "amount_msat", msat)
        object.__setattr__(self, "memo", _checked_memo(memo))
        object.__setattr__(self, "expiry_hours", _checked_expiry(expiry_hours))
        object.__setattr__(self, "client_id", check_client_id(client_id))

    @property
    def amount_btc(self) -> Decimal:
        """The amount in BTC."""
        return amounts.msat_to_btc(self.amount_msat)

    @property
    def amount_sat(self) -> int | None:
        """The amount in satoshis; None for a fraction."""
        return amounts.msat_to_sat(self.amount_msat)

    @property
    def arguments(self) -> list[Any]:
        """The four positional arguments of CreateLightningInvoice."""
        return [self.client_id, self.amount_btc, self.memo, self.expiry_hours]

    def differences(self, decoded: PaymentRequest) -> list[str]:
        """How a payment request differs from what was asked, a sentence each: amount, memo and expiry."""
        found = []
        if decoded.amount_msat != self.amount_msat:
            says = "no amount" if decoded.amount_msat is None else amounts.format_btc(decoded.amount_msat)
            found.append(
                f"the payment request asks for {says}, not for {amounts.format_btc(self.amount_msat)}"
            )
        memo = self.memo or ""
        if decoded.description_hash is not None:
            if decoded.description_hash != hashlib.sha256(memo.encode()).hexdigest():
                found.append("the payment request holds the hash of another memo")
        elif (decoded.description or "") != memo:
            found.append(f"the payment request has the memo {decoded.description!r}, not {memo!r}")
        hours = self.expiry_hours or DEFAULT_EXPIRY_HOURS
        if decoded.expiry_effective != hours * 3600:
            found.append(
                f"the payment request is valid for {decoded.expiry_effective:,} s, not for {hours} h"
            )
        return found


@dataclass(frozen=True, repr=False)
class Invoice:
    """A Lightning invoice that the hub created; times are UTC.

    Attributes:
        client_id: Our id of the command that created it.
        id: The hub's id.
        amount_msat: The amount asked for, in millisatoshis.
        memo: The memo asked for, or None.
        expiry_hours: The expiry asked for, or None for the hub's default.
        created_at: When it was created: the payment request's own time where it can be read.
        expires_at: When it expires, as the payment request says, else as the hub says.
        payment_request: The BOLT 11 text to be paid.
        decoded: The payment request taken apart; None if it cannot be read.
        http_status: ``httpStatusCode`` of the hub's answer.
        message: The hub's words.
        preimage: The proof of payment, once known (hex).
        warnings: What is not as it should be, a sentence each.
        alarm: A warning says that the payment request is not what was asked for; there is no QR code then.
        reused: It was known already and nothing was sent for it.
    """

    client_id: str
    id: str
    amount_msat: int
    memo: str | None
    expiry_hours: int | None
    created_at: datetime
    expires_at: datetime
    payment_request: str
    decoded: PaymentRequest | None
    http_status: int | None = None
    message: str | None = None
    preimage: str | None = None
    warnings: tuple[str, ...] = ()
    alarm: bool = False
    reused: bool = False

    @property
    def amount_btc(self) -> Decimal:
        """The amount in BTC, exact."""
        return amounts.msat_to_btc(self.amount_msat)

    @property
    def amount_sat(self) -> int | None:
        """The amount in satoshis; None for a fraction."""
        return amounts.msat_to_sat(self.amount_msat)

    @property
    def payment_hash(self) -> str | None:
        """The payment hash (hex), or None if the payment request cannot be read."""
        return self.decoded.payment_hash if self.decoded else None

    @property
    def paid(self) -> bool:
        """Whether the preimage is known and proves the payment."""
        try:
            preimage = bytes.fromhex(self.preimage or "")
        except ValueError:  # the hub's text is no proof
            return False
        return bool(preimage) and hashlib.sha256(preimage).hexdigest() == self.payment_hash

    @property
    def status(self) -> str:
        """``paid``, ``expired`` by this computer's clock, or ``open``."""
        if self.paid:
            return "paid"
        return "expired" if datetime.now(UTC) >= self.expires_at else "open"

    def qr(self) -> segno.QRCode:
        """The QR code of the payment request, as wallets scan it.

        Raises:
            InvalidRequest: The invoice is not open, has a warning (nobody should pay it), or is too long.
        """
        import segno

        if self.status != "open" or self.alarm:
            raise InvalidRequest(f"No QR code: the invoice is {'; '.join((self.status, *self.warnings))}.")
        # two segments, since joined the lower-case scheme would force the larger byte mode on the whole
        level = "l" if len(self.payment_request) > 400 else "m"
        segments: Any = ("lightning:", self.payment_request.upper())  # taken, whatever segno's types say
        try:
            return segno.make(segments, error=level, boost_error=False, micro=False)
        except segno.DataOverflowError as error:
            raise InvalidRequest(
                f"No QR code holds the payment request's {len(self.payment_request):,} characters; "
                "hand over its text."
            ) from error

    def as_reused(self) -> Invoice:
        """The same invoice, marked as known already; with a warning if it has expired meanwhile."""
        if self.status != "expired":
            return replace(self, reused=True)
        late = "it has expired meanwhile; use another ClientId for a new one"
        return replace(self, reused=True, warnings=(*self.warnings, late))

    def __repr__(self) -> str:
        from hercle_nb.display import invoice_text

        return invoice_text(self)

    def _repr_html_(self) -> str:
        from hercle_nb.display import invoice_card

        return invoice_card(self)


def read_answer(
    request: InvoiceRequest,
    data: dict[str, Any],
    received_at: datetime,
    currency: str,
    note: str | None = None,
) -> Invoice:
    """The invoice in a successful answer to a creation, or in the hub's list.

    Args:
        request: What was asked.
        data: The answer's data, with an ``encodedPaymentRequest``.
        received_at: When the answer came.
        currency: The network expected, as in a payment request's prefix; empty for any but Bitcoin itself.
        note: Why it is believed to be this creation's, where its ClientId does not say so.
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
        alarms += request.differences(decoded)
        if (decoded.currency == "bc") != (currency == "bc"):
            alarms.append(
                f"the payment request is for the network {decoded.currency!r}, which is not expected here"
            )
        alarms += decoded.problems
    if note is None and http_status(data) is None:
        note = "the hub's answer carried no httpStatusCode"
    return Invoice(
        client_id=request.client_id,
        id=str(data.get("id") or ""),
        amount_msat=request.amount_msat,
        memo=request.memo,
        expiry_hours=request.expiry_hours,
        created_at=decoded.created_at if decoded else received_at,
        expires_at=decoded.expires_at if decoded else hub_expiry or received_at,
        payment_request=text,
        decoded=decoded,
        http_status=http_status(data),
        message=str(data["message"]) if data.get("message") is not None else None,
        warnings=(*alarms, *filter(None, [note])),
        alarm=bool(alarms),
    )


def parse_time(text: Any) -> datetime | None:
    """An ISO 8601 time of the hub as UTC; None for anything else. A time without zone counts as UTC."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # overflow: .NET's DateTime.MinValue in a zone east of UTC
        return None


def check_client_id(given: Any) -> str:
    """A ClientId that the hub takes: the one given, or a new one for None.

    Raises:
        InvalidRequest: Not 1 to 36 printable ASCII characters without spaces.
    """
    if given is None:
        return str(uuid.uuid4())
    if not isinstance(given, str):
        raise InvalidRequest(f'client_id must be a text such as "order-17", not {type(given).__name__}.')
    if not 1 <= len(given) <= MAX_CLIENT_ID or not given.isascii() or not given.isprintable() or " " in given:
        raise InvalidRequest(
            f"client_id must be 1 to {MAX_CLIENT_ID} printable ASCII characters without spaces; this one has "
            f'{len(given)} characters. hercle.client_id("order", 17) makes a valid one from anything.'
        )
    return given


def _checked_memo(memo: Any) -> str | None:
    if memo is None:
        return None
    if not isinstance(memo, str):
        raise InvalidRequest(
            f'memo must be a text such as "Payment for services", or None, not {type(memo).__name__}.'
        )
    text: str = unicodedata.normalize("NFC", memo)
    for position, character in enumerate(text):
        if unicodedata.category(character) in ("Cc", "Cs") or ord(character) in _BIDI_CONTROLS:
            raise InvalidRequest(
                f"memo holds the invisible character U+{ord(character):04X} at position {position}; "
                "leave out tabs, line ends and direction marks."
            )
    size = len(text.encode())
    if size > MAX_MEMO_BYTES:
        raise InvalidRequest(
            f"memo has {size} bytes of UTF-8; at most {MAX_MEMO_BYTES} fit into a payment request, "
            f"so shorten it by {size - MAX_MEMO_BYTES} bytes."
        )
    return text


def _checked_expiry(hours: Any) -> int | None:
    if hours is None:
        return None
    number = amounts.plain_number(hours)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or not 1 <= number <= MAX_EXPIRY_HOURS:
        raise InvalidRequest(
            f"expiry_hours must be a whole number from 1 to {MAX_EXPIRY_HOURS}, or None for the hub's "
            f"default of {DEFAULT_EXPIRY_HOURS} h, not {amounts.shown(hours)}; write expiry_hours=24."
        )
    return number
