"""Write and sign Lightning payment requests (BOLT 11), for the simulator; `bolt11` reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hercle_nb import _bech32, _bolt11_fields, _secp256k1
from hercle_nb.bolt11 import (
    CURRENCIES,
    MAX_AMOUNT_MSAT,
    MAX_DESCRIPTION_BYTES,
    TIMESTAMP,
    UNITS_MSAT,
    digest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def encode_payment_request(
    *,
    currency: str,
    amount_msat: int | None,
    timestamp: int,
    payment_hash: bytes,
    payment_secret: bytes,
    description: str | None = None,
    description_hash: bytes | None = None,
    expiry: int | None = None,
    min_final_cltv_expiry: int | None = None,
    feature_bits: Sequence[int] = (8, 14),
    private_key: int,
) -> str:
    """Write and sign a payment request, for the simulator: see `_secp256k1` on its keys.

    Args:
        currency: ``bc``, ``tb``, ``tbs`` or ``bcrt``.
        amount_msat: 1 msat to 21 million bitcoin, or None where the payer chooses it.
        timestamp: Seconds since 1970, of at most 35 bits.
        payment_hash: 32 bytes, as are the secret and the description's hash.
        payment_secret: What only who holds the payment request knows.
        description: At most 639 bytes of UTF-8, may be empty; exactly one of it and its hash is needed.
        description_hash: Stands for a longer description.
        expiry: Seconds.
        min_final_cltv_expiry: Blocks.
        feature_bits: Numbers of the bits of BOLT 9.
        private_key: Of the payee's node.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> from hercle_nb import decode_payment_request
        >>> request = encode_payment_request(
        ...     currency="bcrt", amount_msat=250_000_000, timestamp=1_800_000_000, payment_hash=bytes(32),
        ...     payment_secret=bytes(32), description="1 cup coffee", private_key=1)
        >>> request[:20], decode_payment_request(f"lightning:{request.upper()}").description
        ('lnbcrt2500u1p45n5sqs', '1 cup coffee')
    """
    _require(currency in CURRENCIES, f"currency is one of {', '.join(CURRENCIES)}")
    _require(amount_msat is None or 0 < amount_msat <= MAX_AMOUNT_MSAT, "amount_msat is 1 to 21 million BTC")
    _require(0 <= timestamp < 1 << 5 * TIMESTAMP, "timestamp has at most 35 bits")
    _require((description is None) != (description_hash is None), "one of description and its hash is needed")
    fields = [("s", _hash_groups(payment_secret)), ("p", _hash_groups(payment_hash))]
    if description is not None:
        octets = description.encode()
        _require(
            len(octets) <= MAX_DESCRIPTION_BYTES, f"a description has {MAX_DESCRIPTION_BYTES} bytes at most"
        )
        fields.append(("d", _bech32.from_octets(octets)))
    if description_hash is not None:
        fields.append(("h", _hash_groups(description_hash)))
    for kind, number in (("x", expiry), ("c", min_final_cltv_expiry)):
        if number is not None:
            _require(0 <= number < 1 << 64, "expiry and min_final_cltv_expiry are whole numbers below 2^64")
            fields.append((kind, _bech32.from_number(number)))
    _require(all(0 <= bit < 5 * 1023 for bit in feature_bits), "feature_bits are numbers from 0 to 5114")
    if feature_bits:
        fields.append(("9", _bech32.from_number(sum(1 << bit for bit in set(feature_bits)))))
    groups = _bech32.from_number(timestamp, TIMESTAMP)
    groups += b"".join(_bolt11_fields.write(kind, value) for kind, value in fields)
    return seal(f"ln{currency}{_write_amount(amount_msat)}", groups, private_key)


def seal(prefix: str, groups: bytes, private_key: int) -> str:
    """A payment request of any prefix and groups, signed and with its checksum."""
    signature, recovery_id = _secp256k1.sign(digest(prefix, groups), private_key)
    return _bech32.join(prefix, groups + _bech32.from_octets(signature + bytes((recovery_id,))))


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise ValueError(f"{rule}.")


def _hash_groups(octets: bytes) -> bytes:
    _require(len(octets) == 32, "hashes and the payment secret have 32 bytes")
    return _bech32.from_octets(octets)


def _write_amount(amount_msat: int | None) -> str:
    if amount_msat is None:
        return ""
    for letter, unit in UNITS_MSAT.items():
        if amount_msat % unit == 0:
            return f"{amount_msat // unit}{letter}"
    return f"{amount_msat * 10}p"
