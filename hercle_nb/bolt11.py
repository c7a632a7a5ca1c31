"""Read Lightning payment requests (BOLT 11); `bolt11_encode` writes them.

Source: https://github.com/lightning/bolts/blob/master/11-payment-encoding.md in its wording of March
2026; the `bitcoin:` link is BIP 21, the feature bits are BOLT 9. The one departure: fields of a wrong
length are skipped with a warning, as the official example with "fields which must be ignored" wants;
where no right one stands beside them, p and d or h are missing then, and without s nobody can pay.

A valid signature proves that the text arrived whole, not who the payee is.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hercle_nb import _bech32, _bolt11_fields, _bolt11_paste, _secp256k1
from hercle_nb._bolt11_fields import RouteHop
from hercle_nb.errors import PaymentRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["PaymentRequest", "RouteHop", "decode_payment_request"]

MAX_AMOUNT_MSAT = 21_000_000 * 10**11
MAX_DESCRIPTION_BYTES = 639

TIMESTAMP, _SIGNATURE = 7, 104  # lengths in groups of 5 bits
UNITS_MSAT = {"": 10**11, "m": 10**8, "u": 10**5, "n": 10**2}  # p, a tenth of a msat, stands apart
CURRENCIES = ("bc", "tb", "tbs", "bcrt")
_CLEAN = re.compile("ln[a-z0-9]+")
# BOLT 9: the even bits for invoices (context 9), and those that it calls ASSUMED
_KNOWN_FEATURES = frozenset((8, 14, 16, 24, 36, 48, 0, 12, 44))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_AGAIN = "Copy the whole payment request again."
_NEW = "Ask the payee for a new one."


@dataclass(frozen=True, slots=True, repr=False)
class PaymentRequest:
    """A payment request taken apart; bytes are hexadecimal text, what is absent is None or empty.

    Attributes:
        payment_request: The text itself, in lower case and without prefix or white space.
        currency: ``bc`` (mainnet), ``tb`` (testnet), ``tbs`` (signet) or ``bcrt`` (regtest).
        amount_msat: The amount in msat, or None where the payer chooses it.
        timestamp: When it was made, in seconds since 1970.
        payment_hash: The SHA-256 of the preimage.
        payment_secret: What the payer must show to the last hop.
        description: The memo.
        description_hash: The SHA-256 of a memo that is elsewhere, instead of ``description``.
        expiry: Seconds until it expires, as written; see `expiry_effective`.
        min_final_cltv_expiry: Blocks that the last hop must leave, as written; see
            `min_final_cltv_expiry_effective`.
        feature_bits: The numbers of the feature bits that are set (BOLT 9), ascending.
        signature: The signature's 64 bytes.
        recovery_flag: 0 to 3, with which the payee's key follows from the signature.
        payee: The node's public key, from the ``n`` field or else from the signature.
        fallbacks: On-chain addresses as version (17 P2PKH, 18 P2SH, else witness) and hash or program.
        route_hints: The last hops of private routes, each a tuple of `RouteHop`.
        metadata: What the payer is to hand to the last hop.
        warnings: A sentence for each skipped field, and for each key that is no point of the curve.
        problems: A sentence for each reason why it is not payable.
        ignored: Type and length (in groups of 5 bits) of each skipped field.
    """

    payment_request: str
    currency: str
    amount_msat: int | None
    timestamp: int
    payment_hash: str
    payment_secret: str | None
    description: str | None
    description_hash: str | None
    expiry: int | None
    min_final_cltv_expiry: int | None
    feature_bits: tuple[int, ...]
    signature: str
    recovery_flag: int
    payee: str
    fallbacks: tuple[tuple[int, str], ...]
    route_hints: tuple[tuple[RouteHop, ...], ...]
    metadata: str | None
    warnings: tuple[str, ...]
    problems: tuple[str, ...]
    ignored: tuple[tuple[str, int], ...]

    @property
    def expiry_effective(self) -> int:
        """Seconds until it expires, 3600 where it does not say."""
        return 3600 if self.expiry is None else self.expiry

    @property
    def min_final_cltv_expiry_effective(self) -> int:
        """Blocks that the last hop must leave, 18 where it does not say."""
        return 18 if self.min_final_cltv_expiry is None else self.min_final_cltv_expiry

    @property
    def payable(self) -> bool:
        """Whether a node may pay it, expiry aside; `problems` says why not."""
        return not self.problems

    @property
    def created_at(self) -> datetime:
        """The moment it was made (UTC)."""
        return _EPOCH + timedelta(seconds=self.timestamp)

    @property
    def expires_at(self) -> datetime:
        """The moment it expires (UTC), or the last one of the year 9999 if that comes first."""
        try:
            return _EPOCH + timedelta(seconds=self.timestamp + self.expiry_effective)
        except OverflowError:
            return _LATEST

    def __repr__(self) -> str:
        from hercle_nb.payment_request_display import payment_request_text

        return payment_request_text(self)

    def _repr_html_(self) -> str:
        from hercle_nb.payment_request_display import payment_request_card

        return payment_request_card(self)


def decode_payment_request(text: str) -> PaymentRequest:
    """Take a payment request apart, checksum and signature checked; no hub or network is needed.

    Links with it, quotation marks and the like around it, and the line ends of a mail are understood; other
    things that people pay with are refused by their names.

    Raises:
        PaymentRequestError: It cannot be read; ``code`` is ``not_text``, ``too_long``, ``bad_bech32``,
            ``mixed_case``, ``bad_prefix``, ``too_short``, ``bad_checksum``, ``bad_amount``, ``sub_msat``,
            ``truncated_tag``, ``non_minimal``, ``missing_payment_hash``, ``description``,
            ``unrecoverable``, ``high_s`` or ``bad_signature``.

    Example:
        >>> import hercle_nb as hercle
        >>> with hercle.connect("simulator") as hub:
        ...     invoice = hub.create_invoice(0.001, "Payment for services", 24)
        >>> decode_payment_request(invoice.payment_request).description
        'Payment for services'
    """
    request = _decode(text, _payee)
    strange = tuple(_strange_keys(request))
    return replace(request, warnings=request.warnings + strange) if strange else request


def read_unverified(text: str) -> PaymentRequest:
    """As `decode_payment_request`, but without the look at signature and keys, which takes most of the time.

    For lists of thousands: a slip of the copy shows all the same, by the checksum. ``payee`` is empty where
    no field names it.
    """
    return _decode(text, lambda digest, signature, node_key: node_key or b"")


def canonical(text: str) -> str:
    """A payment request as in `PaymentRequest.payment_request`, readable or not; any other text as it is."""
    if _CLEAN.fullmatch(text):  # nearly all are, and there are thousands in a list
        return text
    try:
        request = _bolt11_paste.request_in(text)
    except PaymentRequestError:
        return text
    return request.lower() if _bolt11_paste.START.match(request) else text


def _decode(text: str, payee: Callable[[bytes, bytes, bytes | None], bytes]) -> PaymentRequest:
    if not isinstance(text, str):
        raise _refusal("not_text", f"it is of type {type(text).__name__:.50}, not str", "Pass its text.")
    request = _bolt11_paste.request_in(text)
    prefix, groups = _bech32.split(request)
    currency, amount = _split_prefix(prefix)
    groups = _bech32.check(prefix, groups)
    amount_msat = _read_amount(amount)
    if len(groups) < TIMESTAMP + _SIGNATURE:
        raise _refusal("too_short", "it has no room for a time and a signature", _AGAIN)
    fields = _bolt11_fields.read(groups[TIMESTAMP:-_SIGNATURE])
    signed, signature = groups[:-_SIGNATURE], _bech32.to_octets(groups[-_SIGNATURE:])
    if (payment_hash := fields.octets("p")) is None:
        raise _refusal("missing_payment_hash", "it has no payment hash (field p)", _NEW)
    feature_bits = fields.feature_bits()
    return PaymentRequest(
        payment_request=request.lower(),
        currency=currency,
        amount_msat=amount_msat,
        timestamp=_bech32.to_number(groups[:TIMESTAMP]),
        payment_hash=payment_hash.hex(),
        payment_secret=_hex(fields.octets("s")),
        description=fields.description(),
        description_hash=_hex(fields.octets("h")),
        expiry=fields.number("x"),
        min_final_cltv_expiry=fields.number("c"),
        feature_bits=feature_bits,
        signature=signature[:64].hex(),
        recovery_flag=signature[64],
        payee=payee(digest(prefix, signed), signature, fields.octets("n")).hex(),
        fallbacks=tuple(fields.fallbacks),
        route_hints=tuple(fields.route_hints),
        metadata=_hex(fields.octets("m")),
        warnings=tuple(fields.warnings),
        problems=tuple(_problems(fields, feature_bits)),
        ignored=tuple(fields.ignored),
    )


def peek_amount(text: str) -> int | None:
    """The amount in msat that a payment request's beginning names, nothing else of it looked at."""
    try:
        request = _bolt11_paste.request_in(text).lower()
        return _read_amount(_split_prefix(request.rpartition("1")[0])[1])
    except PaymentRequestError:
        return None


def peek_currency(text: str) -> str | None:
    """The network that a payment request's beginning names, nothing else of it looked at."""
    try:
        return _split_prefix(canonical(text).rpartition("1")[0])[0]
    except PaymentRequestError:
        return None


def _split_prefix(prefix: str) -> tuple[str, str]:
    name = re.split("[0-9]", prefix, maxsplit=1)[0]
    amount = prefix[len(name) :]
    if not name.startswith("ln") or name[2:] not in CURRENCIES:
        reason = f"its prefix is {name[:12]!r} instead of lnbc, lntb, lntbs or lnbcrt"
        raise _refusal("bad_prefix", reason, _AGAIN)
    return name[2:], amount


def _read_amount(amount: str) -> int | None:
    if not amount:
        return None
    parts = re.fullmatch("([1-9][0-9]{0,19})([munp]?)", amount)
    if parts is None:
        reason = f"its amount {amount[:24]!r} is no number of at most 20 digits with m, u, n, p or nothing"
        raise _refusal("bad_amount", reason, _NEW)
    number, letter = int(parts[1]), parts[2]
    if letter == "p" and number % 10:
        raise _refusal("sub_msat", f"its amount {amount} is finer than a millisatoshi", _NEW)
    amount_msat = number // 10 if letter == "p" else number * UNITS_MSAT[letter]
    if amount_msat > MAX_AMOUNT_MSAT:
        raise _refusal("bad_amount", f"its amount {amount} is more than all bitcoin there can be", _NEW)
    return amount_msat


def _payee(digest: bytes, signature: bytes, node_key: bytes | None) -> bytes:
    compact, recovery_id = signature[:64], signature[64]
    if recovery_id > 3:
        raise _refusal("unrecoverable", f"its signature ends with {recovery_id}, not with 0 to 3", _NEW)
    if node_key is None:
        try:
            return _secp256k1.recover(digest, compact, recovery_id)
        except ValueError as error:
            raise _refusal("unrecoverable", "no key can have made its signature", _NEW) from error
    if _secp256k1.is_high(int.from_bytes(compact[32:])):
        raise _refusal("high_s", "its signature is not in the canonical form (low S)", _NEW)
    if not _secp256k1.verify(digest, compact, node_key):
        raise _refusal("bad_signature", "the key in its field n did not make its signature", _NEW)
    return node_key


def _problems(fields: _bolt11_fields.Fields, feature_bits: Sequence[int]) -> Iterator[str]:
    if "s" not in fields.values:
        right = " of the right length" if "s" in dict(fields.ignored) else ""
        yield f"It has no payment secret{right} (field s), without which nodes refuse to pay. {_NEW}"
    unknown = [bit for bit in feature_bits if bit % 2 == 0 and bit not in _KNOWN_FEATURES]
    if unknown:
        shown = ", ".join(map(str, unknown[:8])) + (" and others" if len(unknown) > 8 else "")
        yield f"It requires features that BOLT 9 does not know for payment requests: bits {shown}. {_NEW}"


def _strange_keys(request: PaymentRequest) -> Iterator[str]:
    for number, route in enumerate(request.route_hints, 1):
        for place, hop in enumerate(route, 1):
            if not _secp256k1.is_public_key(bytes.fromhex(hop.public_key)):
                where = f"Route hint {number}, hop {place}"
                yield f"{where}, leads nowhere: its public key is no point of the curve."
    for number, (version, program) in enumerate(request.fallbacks, 1):
        taproot = version == 1 and len(program) == 64  # digits
        if taproot and not _secp256k1.is_public_key(bytes.fromhex(f"02{program}")):
            yield f"Nobody can spend what fallback {number} is paid: its key is no point of the curve."


def digest(prefix: str, groups: bytes) -> bytes:
    """What the payee signs."""
    return hashlib.sha256(prefix.encode() + _bech32.to_octets(groups, pad=True)).digest()


def _refusal(code: str, reason: str, what_to_do: str) -> PaymentRequestError:
    return PaymentRequestError(f"This is no valid payment request: {reason}. {what_to_do}", code=code)


def _hex(octets: bytes | None) -> str | None:
    return None if octets is None else octets.hex()
