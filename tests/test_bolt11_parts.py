"""The parts of a payment request: joined they are its text, named they say what the decoder says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb import _bech32
from hercle_nb._bolt11_parts import Part, split
from tests.answers import pay_to

DOCUMENT = json.loads((Path(__file__).parent / "bolt11_vectors.json").read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def joined(text: str) -> str:
    """Return a text's parts put together again."""
    return "".join(part.text for part in split(text))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"][:40])
def test_parts_of_every_vector(vector: dict[str, Any]) -> None:
    """Joined, the parts of each vector, valid or not, are its text; no part is empty."""
    assert joined(vector["payment_request"]) == vector["payment_request"]
    assert all(part.text and part.name for part in split(vector["payment_request"]))


@given(st.one_of(st.text(), st.text(alphabet=LETTERS + "1", max_size=400).map("lnbc10n1".__add__)))
def test_parts_of_any_text(text: str) -> None:
    """Any text has parts that joined are the text."""
    assert joined(text) == text


def test_names_in_order() -> None:
    """Prefix, amount, separator and time stand first, signature and checksum last, the fields between."""
    parts = split(pay_to(min_final_cltv_expiry=40))
    assert [part.name for part in parts] == [
        *("prefix", "amount", "separator", "timestamp", "payment secret (s)", "payment hash (p)"),
        *("description (d)", "expiry (x)", "final CLTV (c)", "features (9)", "signature", "checksum"),
    ]
    assert parts[:3] == (Part("prefix", "lnbcrt"), Part("amount", "1m"), Part("separator", "1"))
    assert [len(part.text) for part in parts[3:6]] == [7, 55, 55]
    assert [len(part.text) for part in parts[-2:]] == [104, 6]


def test_no_amount_no_part() -> None:
    """Where the payer chooses the amount, there is no part of that name."""
    assert [part.name for part in split(pay_to(amount_msat=None))][:3] == ["prefix", "separator", "timestamp"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "valid"], ids=lambda v: v["name"][:40])
def test_parts_say_what_the_decoder_says(vector: dict[str, Any]) -> None:
    """The characters named payment hash and signature are those of the payment hash and the signature."""

    def octets(name: str, skip: int) -> set[str]:
        texts = [
            part.text.lower()[skip:] for part in split(vector["payment_request"].lower()) if part.name == name
        ]
        return {_bech32.to_octets(bytes(map(LETTERS.index, text))).hex() for text in texts}

    expected = vector["expected"]
    assert expected["payment_hash"] in octets("payment hash (p)", 3)
    assert octets("signature", 0) == {f"{expected['signature']}{expected['recovery_flag']:02x}"}


def test_unknown_fields_are_named_so() -> None:
    """A field that BOLT 11 does not know has the letter of its type as its name."""
    text = f"lnbc1{'q' * 7}tqyqpzq{'q' * 110}"
    assert [part for part in split(text) if "field" in part.name] == [Part("unknown field (t)", "tqyqpzq")]
