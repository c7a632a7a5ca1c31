"""Payment requests that are none: nothing hostile gets anything but a refusal with a code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hercle_nb import _bech32, bolt11_encode
from hercle_nb.bolt11 import canonical, decode_payment_request, peek_amount
from hercle_nb.errors import PaymentRequestError

if TYPE_CHECKING:
    import random

DOCUMENT = json.loads((Path(__file__).parent / "bolt11_vectors.json").read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
KEY = int(DOCUMENT["priv_key"], 16)
REQUEST: str = VECTORS[1]["payment_request"]
REQUESTS = [vector["payment_request"] for vector in VECTORS if vector["name"] != "space inside"]
CODES = {vector["expected_failure"] for vector in VECTORS if vector["kind"] == "invalid"}
CODES = CODES - {"missing_payment_secret", "unknown_feature"} | {"too_long", "not_text"}
FRAME = " \n\r\t<>\"'“”«»`()[].,;|=&#%\u00a0\u00ad\u200b\u200d\u2060\ufeff\u202e\ufe0f₿@⚡"
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def survive(text: str) -> None:
    """Decode or be refused, nothing else; what is decoded can be used in full and is its own identity."""
    identity, amount_msat = canonical(text), peek_amount(text)
    assert canonical(identity) == identity
    try:
        request = decode_payment_request(text)
    except PaymentRequestError:
        code_of(text)
        return
    assert (identity, amount_msat) == (request.payment_request, request.amount_msat)
    assert request.created_at <= request.expires_at
    assert request.payable == (not request.problems)
    assert repr(request)


def mutate(random: random.Random, text: str, alphabet: str) -> str:
    """Change one to four places of a text."""
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(text) + 1)
        letter = random.choice(alphabet)
        text = random.choice(
            (
                text[:place] + letter + text[place + 1 :],
                text[:place] + letter + text[place:],
                text[:place] + text[place + 1 :],
                text[:place] + text[place:].swapcase(),
                text[:place] + text[place : place + 1].swapcase() + text[place + 1 :],
                text[:place] + text[place : place + 40] + text[place:],
                text[:place] or text,
            )
        )
    return text


def code_of(text: Any) -> str:
    """Return the code with which a text is refused; the message must be short and say what to do."""
    with pytest.raises(PaymentRequestError) as caught:
        decode_payment_request(text)
    assert caught.value.code in CODES
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    return caught.value.code


@given(random=st.randoms(use_true_random=False), request=st.sampled_from(REQUESTS))
@settings(max_examples=2000, deadline=None)
def test_mutated_texts_are_decoded_or_refused(random: random.Random, request: str) -> None:
    """Substitutions, insertions, deletions, truncations and case flips raise nothing foreign."""
    survive(mutate(random, request, LETTERS + "1bioLN \x00\x1fé:%=&?#\ud800" + FRAME))


@given(random=st.randoms(use_true_random=False), request=st.sampled_from(REQUESTS), ends=st.text(FRAME))
@settings(max_examples=1500, deadline=None)
def test_mutated_pastes_are_decoded_or_refused(random: random.Random, request: str, ends: str) -> None:
    """Nor do links, mails and quotation marks around it that were mutated."""
    links = ("{}", "lightning:{}", "bitcoin:bc1q?amount=1&amp;lightning={}", "lightning%3A{}", "> {}=\n> {}")
    text = random.choice(links).replace("{}", request)
    survive(mutate(random, ends + text + ends, LETTERS + "=>\n&;#%?:" + FRAME))


@given(random=st.randoms(use_true_random=False), request=st.sampled_from(REQUESTS), sign=st.booleans())
@settings(max_examples=1500, deadline=None)
def test_mutations_behind_a_right_checksum_are_decoded_or_refused(
    random: random.Random, request: str, sign: bool
) -> None:
    """With the checksum computed again, or the signature too, the parser sees the mutation."""
    prefix, separator, data = request.lower().rpartition("1")
    prefix, data = prefix if separator else "lnbc", data[:-6]
    if random.random() < 0.2:
        prefix = mutate(random, prefix, "0123456789munpx")
    else:
        data = mutate(random, data.removesuffix(data[-104:] if sign else ""), LETTERS)
    groups = bytes(LETTERS.index(letter) for letter in data.lower() if letter in LETTERS)
    survive(bolt11_encode.seal(prefix, groups, KEY) if sign else _bech32.join(prefix, groups))


@given(st.text(alphabet=st.characters(), max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_text_is_refused(text: str) -> None:
    """Arbitrary Unicode, alone and behind each prefix, is refused or harmless."""
    for prefix in (
        "",
        "ln",
        "lnbc1",
        "lightning:",
        "bitcoin:x?lightning=",
        "₿",
        "02" * 33,
        "https://",
        "lno1",
    ):
        survive(prefix + text)


@pytest.mark.parametrize(
    "text",
    [
        f"  {REQUEST}\n",
        f"\u00a0\u3000{REQUEST}\t",
        f"lightning:{REQUEST}",
        f"LIGHTNING:{REQUEST.upper()}",
        f" Lightning: {REQUEST} ",
        f"bitcoin:?lightning={REQUEST}",
        f"bitcoin:bc1qxyz?amount=0.0025&label=caf%C3%A9&lightning={REQUEST}#top",
        f"BITCOIN:BC1QXYZ?AMOUNT=0.0025&LIGHTNING={REQUEST.upper()}",
        f"bitcoin:bc1qxyz?label=é&lightning={REQUEST.replace('q', '%71')}",
        f"bitcoin:bc1qxyz?lightning={REQUEST}&lightning=lnbc1",
    ],
)
def test_prefixes_links_and_white_space_are_taken_off(text: str) -> None:
    """What people paste leads to the same payment request, in lower case."""
    assert decode_payment_request(text) == decode_payment_request(REQUEST)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_bech32"),
        (" ", "bad_bech32"),
        ("lightning:", "bad_bech32"),
        ("bitcoin:bc1qxyz", "bad_prefix"),
        ("bitcoin:bc1qxyz?lightning=", "bad_prefix"),
        ("bitcoin:bc1qxyz?lightning=%ff%00", "bad_bech32"),
        ("1", "bad_bech32"),
        ("1qqqqqq", "bad_bech32"),
        ("lnbc1", "too_short"),
        ("lnbc1qqq", "too_short"),
        ("Hello, world!", "bad_bech32"),
        ("satoshi@example.com", "bad_prefix"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bad_prefix"),
        ("lno1pqps7sjqpgtyzm3qv4uxzmtsd3jjqer9wd3hy6tsw35k7msjzfpy7nz5", "bad_prefix"),
        (REQUEST.replace("k", "\u212a"), "bad_bech32"),
        (REQUEST.replace("s", "\u017f"), "bad_bech32"),
        (REQUEST.upper().replace("K", "\u212a"), "bad_bech32"),
        (f"{REQUEST}\u0301", "bad_bech32"),
        (f"{REQUEST}\ud800", "bad_bech32"),
        (REQUEST.replace("2500", "\u0662500"), "bad_bech32"),
        ("lnbc1" + "q" * 7084, "bad_checksum"),
        ("lnbc1" + "q" * 7085, "too_long"),
        ("é" * 8000, "too_long"),
        ("lightning:" + "l" * 100_000, "too_long"),
    ],
)
def test_other_texts_are_refused(text: str, code: str) -> None:
    """Look-alikes, addresses, offers, fragments and floods each have their code."""
    assert code_of(text) == code


@pytest.mark.parametrize("value", [None, 1, b"lnbc1", ["lnbc1"], 2.5, object()])
def test_what_is_no_text_is_refused(value: object) -> None:
    """Anything but a str is `not_text`, bytes included."""
    assert code_of(value) == "not_text"
