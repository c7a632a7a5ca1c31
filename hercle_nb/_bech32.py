"""Bech32 (BIP 173) without its limit of 90 characters, and groups of 5 bits as numbers and bytes.

Groups are a bytes object with a value from 0 to 31 in each byte.
"""

from __future__ import annotations

import re
import unicodedata

from hercle_nb.errors import PaymentRequestError

_CHARSET = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DIGITS = b"0123456789abcdefghijklmnopqrstuv"  # those of int(…, 32), which is linear and knows no limit
_NO_GROUP = 255
_VALUES = bytes(range(32))
_TO_CHARSET = bytes.maketrans(_VALUES, _CHARSET)
_TO_DIGITS = bytes.maketrans(_VALUES, _DIGITS)
_FROM_CHARSET = bytes(_CHARSET.find(code) % 256 for code in range(256))  # -1, not found, becomes _NO_GROUP
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH = 6
_WHAT_TO_DO = "Copy the whole payment request again."


def _remainder(top: int) -> int:
    result = 0
    for bit, value in enumerate(_GENERATOR):
        result ^= value if top >> bit & 1 else 0
    return result


_REMAINDERS = tuple(_remainder(top) for top in range(32))


def split(text: str) -> tuple[str, bytes]:
    """Split into the human-readable part, in lower case, and the groups with the checksum.

    Raises:
        PaymentRequestError: ``bad_bech32`` or ``mixed_case``.
    """
    if foreign := re.search("[^!-~]", text):
        letter = f"U+{ord(foreign[0]):04X} {unicodedata.name(foreign[0], '')}".rstrip()  # controls have none
        raise _refusal("bad_bech32", f"character {foreign.start() + 1} is {letter}")
    prefix, separator, data = text.lower().rpartition("1")
    if not separator or not prefix:
        raise _refusal("bad_bech32", "no prefix such as lnbc with a 1 after it")
    groups = data.encode().translate(_FROM_CHARSET)
    if (wrong := groups.find(_NO_GROUP)) >= 0:
        position = len(prefix) + 1 + wrong
        reason = f"character {position + 1} is {text[position]!r}, which no payment request has there"
        raise _refusal("bad_bech32", reason)
    if text not in (text.lower(), text.upper()):
        raise _refusal("mixed_case", "capital and small letters are mixed")
    return prefix, groups


def check(prefix: str, groups: bytes) -> bytes:
    """Take the checksum off.

    Raises:
        PaymentRequestError: ``too_short`` or ``bad_checksum``.
    """
    if len(groups) < _CHECKSUM_LENGTH:
        raise _refusal("too_short", "it ends before its checksum")
    if _polymod(prefix, groups) != 1:
        raise _refusal("bad_checksum", "the checksum is wrong, so a character was lost or changed")
    return groups[:-_CHECKSUM_LENGTH]


def join(prefix: str, groups: bytes) -> str:
    """Write the human-readable part, the groups and their checksum."""
    checksum = _polymod(prefix, groups + bytes(_CHECKSUM_LENGTH)) ^ 1
    sealed = groups + from_number(checksum, _CHECKSUM_LENGTH)
    return f"{prefix}1{sealed.translate(_TO_CHARSET).decode()}"


def to_number(groups: bytes) -> int:
    """Read groups as one big-endian number; none is 0."""
    return int(groups.translate(_TO_DIGITS), 32) if groups else 0


def to_octets(groups: bytes, *, pad: bool = False) -> bytes:
    """Read groups as bytes; bits left over are dropped, or with ``pad`` filled up with zeros."""
    bits = len(groups) * 5
    length = -(-bits // 8) if pad else bits // 8
    number, surplus = to_number(groups), bits - length * 8
    return (number >> surplus if surplus > 0 else number << -surplus).to_bytes(length)


def from_number(number: int, length: int | None = None) -> bytes:
    """Write a number as so many groups, or as few as it needs."""
    if length is None:
        length = -(-number.bit_length() // 5)
    return bytes(number >> 5 * place & 31 for place in reversed(range(length)))


def from_octets(octets: bytes) -> bytes:
    """Write bytes as groups, the last one filled up with zeros."""
    bits = len(octets) * 8
    return from_number(int.from_bytes(octets) << -bits % 5, -(-bits // 5))


def _polymod(prefix: str, groups: bytes) -> int:
    codes = prefix.encode()
    expanded = bytes(code >> 5 for code in codes) + b"\x00" + bytes(code & 31 for code in codes)
    checksum = 1
    for value in expanded + groups:
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _REMAINDERS[checksum >> 25]
    return checksum


def _refusal(code: str, reason: str) -> PaymentRequestError:
    return PaymentRequestError(f"This is no valid payment request: {reason}. {_WHAT_TO_DO}", code=code)
