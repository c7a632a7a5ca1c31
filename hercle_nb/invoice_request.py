"""What is asked of the hub: checked and normalised before anything is sent.

Rules of the hub from its command page (CreateLightningInvoice), rules of Lightning from BOLT 11.
"""

from __future__ import annotations

import copy
import hashlib
import math
import unicodedata
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hercle_nb import amounts
from hercle_nb.errors import InvalidRequest

if TYPE_CHECKING:
    from decimal import Decimal

    from hercle_nb.bolt11 import PaymentRequest

MAX_MEMO_BYTES = 639  # BOLT 11: a tagged field holds 1023 groups of five bits
MAX_EXPIRY_HOURS = 720  # the command page
DEFAULT_EXPIRY_HOURS = 24  # the command page: what null means
MAX_CLIENT_ID = 36  # the command page

_BIDI_CONTROLS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_UNFIT = {  # categories of characters: what they are, and what to do
    "Cc": ("a control character", "leave it out or write a space"),
    "Cs": ("half a character", "type it again"),
}
_DIRECTION_MARK = ("a mark that turns the direction of text", "leave it out")


@dataclass(frozen=True, init=False)
class InvoiceRequest:
    """What is asked of the hub, checked and normalised.

    Args:
        amount_btc: The amount in BTC: `Decimal`, `int`, plain decimal `str`, or a `float`, of which
            the digits count that Python shows.
        memo: At most 639 bytes of UTF-8 after NFC, or None. None and an empty text differ on the wire.
        expiry_hours: Whole hours from 1 to 720, or None for the hub's default of 24.
        client_id: 1 to 36 printable ASCII characters without spaces; made if None.
        amount_sat: The amount in satoshis, instead of ``amount_btc``.
        allow_msat: Accept fractions of a satoshi.

    Raises:
        InvalidRequest: An argument breaks a rule; the message shows what to write instead.

    Attributes:
        client_id: The ClientId, the one given or made.
        amount_msat: The amount in millisatoshis.
        memo: The memo in NFC, or None.
        expiry_hours: The expiry in hours, or None.

    Example:
        >>> InvoiceRequest("0.001", "Payment for services", 24, "order-17").amount_msat
        100000000
    """

    client_id: str
    amount_msat: int
    memo: str | None
    expiry_hours: int | None
    _is_named = True  # it was given its ClientId; no field, since the same is asked
    _perhaps_sat = None  # what an amount in BTC would be in satoshis; likewise

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
        object.__setattr__(
            self, "_perhaps_sat", amounts.perhaps_sat(amount_btc) if amount_sat is None else None
        )
        object.__setattr__(self, "memo", check_memo(memo))
        object.__setattr__(self, "expiry_hours", check_expiry(expiry_hours))
        object.__setattr__(self, "client_id", check_client_id(client_id))
        object.__setattr__(self, "_is_named", client_id is not None)

    @classmethod
    def known(cls, client_id: str, amount_msat: int, memo: str | None, expiry_hours: int | None) -> Self:
        """A request that was checked when it was made."""
        request = cls.__new__(cls)
        for name, value in (
            ("client_id", client_id),
            ("amount_msat", amount_msat),
            ("memo", memo),
            ("expiry_hours", expiry_hours),
        ):
            object.__setattr__(request, name, value)
        return request

    def under(self, client_id: str) -> Self:
        """The same request under another ClientId."""
        request = copy.copy(self)
        object.__setattr__(request, "client_id", client_id)
        return request

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
                found.append(f"the payment request holds the hash of another memo, not that of {memo!r}")
        elif (theirs := decoded.description or "") != memo:
            # what differs in the form of Unicode alone looks the same
            shown = ascii if unicodedata.normalize("NFC", theirs) == memo else repr
            found.append(f"the payment request has the memo {shown(theirs)}, not {shown(memo)}")
        hours = self.expiry_hours or DEFAULT_EXPIRY_HOURS
        if (seconds := decoded.expiry_effective) != hours * 3600:
            valid = f"{seconds:,} s" if seconds < 10**12 else "more than 30,000 years"
            found.append(f"the payment request is valid for {valid}, not for {hours} h")
        return found


def check_limit(request: InvoiceRequest, max_msat: int) -> None:
    """Look whether a hub lets one invoice ask for so much.

    Raises:
        InvalidRequest: It is more than ``max_msat``.
    """
    sat = request._perhaps_sat
    check_amount(request.amount_btc, max_msat, None if sat is None else f"write {sat}")


def check_amount(btc: Decimal, max_msat: int, in_satoshis: str | None) -> None:
    """Look whether a hub lets one invoice ask for so much, where there is no `InvoiceRequest`.

    Args:
        btc: The amount in BTC.
        max_msat: The most that one invoice may ask of the hub.
        in_satoshis: What to do if satoshis were meant; None if they cannot have been.

    Raises:
        InvalidRequest: It is more.
    """
    limit = amounts.msat_to_btc(max_msat)
    if btc <= limit:
        return
    whole = amounts.whole(btc)
    asked = amounts.shown(btc) if whole is None or whole > amounts.MAX_SAT else f"{whole:,}"
    words = [f"{asked} BTC is more than this hub's limit of {limit:,f} BTC for one invoice (max_btc)"]
    if in_satoshis is not None:
        words.append(f"if you meant satoshis, {in_satoshis}")
    if btc <= amounts.MAX_BTC:
        words.append(
            f"if you mean it, connect with max_btc={math.ceil(btc)}, or with max_btc=None for no limit"
        )
    else:
        words[0] = f"{asked} BTC is more than the {amounts.MAX_BTC:,} BTC that will ever exist"
    raise InvalidRequest(f"{'; '.join(words)}.")


def check_client_id(given: Any) -> str:
    """A ClientId that the hub takes: the one given, or a new one for None.

    Raises:
        InvalidRequest: Not 1 to 36 printable ASCII characters without spaces.
    """
    if given is None:
        return str(uuid.uuid4())
    if not isinstance(given, str):
        raise InvalidRequest(f'client_id must be a text such as "order-17", not {type(given).__name__}.')
    beginning = given[: MAX_CLIENT_ID + 1]  # however long it is
    unfit = next((character for character in beginning if not "!" <= character <= "~"), None)
    if unfit is not None or not 1 <= len(given) <= MAX_CLIENT_ID:
        this = f"has {len(given)} characters" if unfit is None else f"holds {unfit!r}, U+{ord(unfit):04X}"
        raise InvalidRequest(
            f"client_id must be 1 to {MAX_CLIENT_ID} printable ASCII characters without spaces; this one "
            f'{this}. hercle.client_id("order", 17) makes a valid one from anything.'
        )
    return given


def check_memo(memo: Any) -> str | None:
    """A memo as it is sent, in Unicode's composed form.

    Raises:
        InvalidRequest: No text, too long, or with characters that do not show themselves.
    """
    if memo is None:
        return None
    if not isinstance(memo, str):
        raise InvalidRequest(
            f'memo must be a text such as "Payment for services", or None, not {type(memo).__name__}.'
        )
    if len(memo) > 4 * MAX_MEMO_BYTES:  # before each character is looked at; at most four become one
        raise InvalidRequest(
            f"memo has {len(memo):,} characters; at most {MAX_MEMO_BYTES} bytes of UTF-8 fit into a payment "
            "request, so shorten it."
        )
    for position, character in enumerate(memo):
        bidirectional = ord(character) in _BIDI_CONTROLS
        unfit = _DIRECTION_MARK if bidirectional else _UNFIT.get(unicodedata.category(character))
        if unfit is not None:
            what, instead = unfit
            where = f"U+{ord(character):04X} at position {position} (the first is 0)"
            raise InvalidRequest(f"memo holds {what}, {where}; {instead}.")
    text: str = unicodedata.normalize("NFC", memo)
    size = len(text.encode())
    if size > MAX_MEMO_BYTES:
        excess = size - MAX_MEMO_BYTES
        raise InvalidRequest(
            f"memo has {size} bytes of UTF-8; at most {MAX_MEMO_BYTES} fit into a payment request, "
            f"so shorten it by {excess} byte{'s' if excess > 1 else ''}."
        )
    return text


def check_expiry(hours: Any) -> int | None:
    """The hours until an invoice expires; None for the hub's default.

    Raises:
        InvalidRequest: Not a whole number from 1 to 720.
    """
    if hours is None:
        return None
    given = amounts.plain_number(hours, "expiry_hours=24")
    if isinstance(given, str) and (meaning := amounts.marked(given)):
        raise InvalidRequest(f"expiry_hours {meaning}.")
    number = amounts.whole(given)
    fits = number is not None and 1 <= number <= MAX_EXPIRY_HOURS
    if number is None or not fits or isinstance(given, str):  # a text in a call is a slip
        raise InvalidRequest(
            f"expiry_hours must be a whole number from 1 to {MAX_EXPIRY_HOURS}, or None for the hub's "
            f"default of {DEFAULT_EXPIRY_HOURS} h, not {amounts.shown(hours)}; write "
            f"expiry_hours={number if fits else 24}."
        )
    return number
