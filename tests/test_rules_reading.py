"""The rules for reading a payment request, a row each: what is refused with which words, what is read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

import hercle_nb as hercle
from hercle_nb import _bech32, _secp256k1
from tests.test_bolt11 import CODES, KEY, VECTORS, basic, seal

AGAIN = " Copy the whole payment request again."
NEW = " Ask the payee for a new one."


def octets(kind: str, content: bytes) -> tuple[str, bytes]:
    """A field that holds bytes."""
    return kind, _bech32.from_octets(content)


def vector(name: str) -> str:
    """The payment request of the test vector whose name begins so."""
    (found,) = (each["payment_request"] for each in VECTORS if each["name"].startswith(name))
    return str(found)


def of_length(characters: int) -> str:
    """A payment request of so many characters, filled up with fields that BOLT 11 does not know."""
    filling, rest = [], characters - len(seal(*basic()))
    while rest:
        size = min(rest, 1_026) if not 1_026 < rest < 1_029 else 1_000
        filling.append(("t", bytes(size - 3)))
        rest -= size
    return seal(*basic(), *filling)


REQUEST = seal(*basic())
NODE = _secp256k1.public_key(KEY)

UNREADABLE = [
    ("no text", 5, "not_text", "it is of type int, not str. Pass its text."),
    (
        "too long",
        of_length(7_090),
        "too_long",
        "it has 7,090 characters, and 7,089 are the most. Copy the payment request alone.",
    ),
    ("no prefix", "", "bad_bech32", f"no prefix such as lnbc with a 1 after it.{AGAIN}"),
    (
        "the Kelvin sign for a k",
        f"ln\u212a{REQUEST[3:]}",
        "bad_bech32",
        f"character 3 is U+212A KELVIN SIGN.{AGAIN}",
    ),
    (
        "the long s for an s",
        f"{REQUEST[:-1]}\u017f",
        "bad_bech32",
        f"character {len(REQUEST)} is U+017F LATIN SMALL LETTER LONG S.{AGAIN}",
    ),
    ("a space inside", vector("space inside"), "bad_bech32", f"character 51 is U+0020 SPACE.{AGAIN}"),
    (
        "mixed case",
        REQUEST.replace("lnbcrt", "LNBCRT"),
        "mixed_case",
        f"capital and small letters are mixed.{AGAIN}",
    ),
    (
        "a link without lightning=",
        "bitcoin:bc1qexample?amount=0.001",
        "bad_prefix",
        "the link has an on-chain address only. Ask for one that has lightning= in it.",
    ),
    (
        "another coin",
        vector("litecoin"),
        "bad_prefix",
        f"its prefix is 'lnltc' instead of lnbc, lntb, lntbs or lnbcrt.{AGAIN}",
    ),
    ("too short", "lnbc1", "too_short", f"it ends before its checksum.{AGAIN}"),
    (
        "a wrong checksum",
        vector("last char dropped"),
        "bad_checksum",
        f"the checksum is wrong, so a character was lost or changed.{AGAIN}",
    ),
    (
        "no amount",
        seal(*basic(), prefix="lnbcrt0u"),
        "bad_amount",
        f"its amount '0u' is no number of at most 20 digits with m, u, n, p or nothing.{NEW}",
    ),
    (
        "more than all bitcoin",
        seal(*basic(), prefix="lnbcrt21000001"),
        "bad_amount",
        f"its amount 21000001 is more than all bitcoin there can be.{NEW}",
    ),
    (
        "a tenth of a millisatoshi",
        seal(*basic(), prefix="lnbcrt1p"),
        "sub_msat",
        f"its amount 1p is finer than a millisatoshi.{NEW}",
    ),
    (
        "a field without end",
        vector("tag length"),
        "truncated_tag",
        f"its field p runs into the signature.{NEW}",
    ),
    (
        "a number with zeros in front",
        seal(*basic(), ("x", b"\x00\x1e")),
        "non_minimal",
        f"its field x begins with zeros, which is not allowed.{NEW}",
    ),
    (
        "a payment hash of a wrong length",
        seal(*basic("p"), ("p", bytes(51))),
        "missing_payment_hash",
        f"it has no payment hash (field p).{NEW}",
    ),
    (
        "no description",
        seal(*basic("d")),
        "description",
        f"it has neither a description nor the hash of one.{NEW}",
    ),
    (
        "a hash of a wrong length",
        seal(*basic("d"), ("h", bytes(51))),
        "description",
        f"it has neither a description nor the hash of one.{NEW}",
    ),
    (
        "no key can be recovered",
        vector("Signature is not"),
        "unrecoverable",
        f"no key can have made its signature.{NEW}",
    ),
    (
        "another node's key",
        seal(*basic(), octets("n", _secp256k1.public_key(2))),
        "bad_signature",
        f"the key in its field n did not make its signature.{NEW}",
    ),
    (
        "a high S with a node key",
        vector("high-S with n"),
        "high_s",
        f"its signature is not in the canonical form (low S).{NEW}",
    ),
]


@pytest.mark.parametrize(
    ("text", "code", "message"), [pytest.param(*row[1:], id=row[0]) for row in UNREADABLE]
)
def test_what_cannot_be_read(text: Any, code: str, message: str) -> None:
    """What is no payment request is refused by one exception with its code, and a message of what to do."""
    full = f"This is no valid payment request: {message}"
    with pytest.raises(hercle.PaymentRequestError, match=f"^{re.escape(full)}$") as caught:
        hercle.decode_payment_request(text)
    assert caught.value.code == code


def test_every_code_has_its_row() -> None:
    """The table above names each code that a payment request can be refused with."""
    assert {row[2] for row in UNREADABLE} == CODES


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            REQUEST,
            {"expiry": None, "expiry_effective": 3_600, "expires_at": datetime(2027, 1, 15, 9, tzinfo=UTC)},
            id="no x means an hour, and times are UTC",
        ),
        pytest.param(
            seal(*basic(), ("x", b"\x1f" * 1_023)),
            {"expiry": 2**5_115 - 1, "expires_at": datetime.max.replace(tzinfo=UTC)},
            id="an absurd x is clamped",
        ),
        *(
            pytest.param(
                seal(*basic(), (kind, bytes(51))),
                {
                    "warnings": (
                        f"A field {kind} was skipped: it is 51 groups of 5 bits long instead of {size}.",
                    ),
                    "payable": True,
                    "payee": NODE.hex(),
                },
                id=f"a field {kind} of a wrong length is skipped",
            )
            for kind, size in (("p", 52), ("s", 52), ("h", 52), ("n", 53))
        ),
        pytest.param(
            vector("Same, but including fields which must be ignored"),
            {"payable": True, "description": "coffee beans"},
            id="official example 14",
        ),
        pytest.param(
            seal(*basic(), ("9", _bech32.from_number(1 << 100))),
            {
                "payable": False,
                "description": "tea",
                "problems": (
                    "It requires features that BOLT 9 does not know for payment requests: bits 100. "
                    "Ask the payee for a new one.",
                ),
            },
            id="an unknown even feature is not payable",
        ),
        pytest.param(
            seal(*basic(), ("9", _bech32.from_number(1 << 101))),
            {"payable": True, "problems": (), "feature_bits": (101,)},
            id="an unknown odd feature is payable",
        ),
        pytest.param(
            seal(*basic("s")),
            {
                "payable": False,
                "description": "tea",
                "problems": (
                    "It has no payment secret (field s), without which nodes refuse to pay. "
                    "Ask the payee for a new one.",
                ),
            },
            id="no secret is not payable",
        ),
        pytest.param(seal(*basic(), octets("n", NODE)), {"payee": NODE.hex()}, id="a node key is verified"),
        pytest.param(
            vector("Public-key recovery with high-S"),
            {"payee": "02d0139ce7427d6dfffd26a326c18be754ef1e64672b42694ba5b23ef6e6e7803d"},
            id="a high S without node key",
        ),
        pytest.param(f" \n{REQUEST}\t\u2003", {"payment_request": REQUEST}, id="white space"),
        pytest.param(f"LightNING: {REQUEST}", {"payment_request": REQUEST}, id="a scheme in any case"),
        pytest.param(REQUEST.upper(), {"payment_request": REQUEST}, id="capital letters"),
        pytest.param(
            f"BITCOIN:bc1qexample?amount=0.001&LIGHTNING={REQUEST.upper()}#x",
            {"payment_request": REQUEST},
            id="a BIP 21 link",
        ),
        pytest.param(
            f" lightning:{of_length(7_089)} ", {"description": "tea"}, id="7,089 characters and no more"
        ),
    ],
)
def test_what_can_be_read(text: str, says: dict[str, Any]) -> None:
    """What is just about a payment request is read, and says what the rule wants."""
    decoded = hercle.decode_payment_request(text)
    assert {name: getattr(decoded, name) for name in says} == says
