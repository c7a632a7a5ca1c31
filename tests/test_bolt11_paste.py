"""What people paste: the payment request is taken out of it, and what is none gets its name."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hercle_nb.bolt11 import canonical, decode_payment_request, peek_amount
from hercle_nb.errors import PaymentRequestError

DOCUMENT = json.loads((Path(__file__).parent / "bolt11_vectors.json").read_text(encoding="utf-8"))
REQUEST: str = DOCUMENT["vectors"][1]["payment_request"]
OTHER: str = DOCUMENT["vectors"][2]["payment_request"]
LINK = "bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=0.0025"
LINES = textwrap.wrap(REQUEST, 72)


def refusal(text: str) -> PaymentRequestError:
    """The error with which a text is refused; its message is short, printable and quotes nothing secret."""
    with pytest.raises(PaymentRequestError) as caught:
        decode_payment_request(text)
    message = str(caught.value)
    assert len(message) < 300
    assert message.isprintable()
    assert re.search("Copy|Ask|ask|Open|Redeem|Paste", message)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        f"\u200b{REQUEST}",
        f"\ufeff{REQUEST}\u2060\n",
        f"\u202a{REQUEST}\u202c",
        f"\u2067\u200f{REQUEST}\u200e\u2069",
        f"\u00a0{REQUEST}\u3164",
        f"\x00{REQUEST}\x7f",
        f'"{REQUEST}"',
        f"“{REQUEST}”",
        f"„{REQUEST}“",
        f"«\u202f{REQUEST}\u202f»",
        f"「{REQUEST}」",
        f"\u02bb{REQUEST}\u02bc",
        f"<{REQUEST}>",
        f"&lt;{REQUEST}&gt;",
        f"`{REQUEST}`",
        f"```\n{REQUEST}\n```",
        f"**{REQUEST}**",
        f"({REQUEST}).",
        f"[{REQUEST}],",
        f"{REQUEST};",
        f"{REQUEST}…",
        f"⚡\ufe0f {REQUEST} ⚡",
        f"- {REQUEST}",
        f"> {REQUEST}",
        f'"lightning:{REQUEST}",',
    ],
)
def test_decoration_is_taken_off(text: str) -> None:
    """Invisible marks, quotation marks, brackets, punctuation and emoji at the ends are no part of it."""
    assert decode_payment_request(text) == decode_payment_request(REQUEST)


@pytest.mark.parametrize(
    "text",
    [
        f"lightning://{REQUEST}",
        f"LIGHTNING://{REQUEST.upper()}/",
        f"LIGHTNING:{REQUEST}",
        f"web+lightning:{REQUEST}",
        f"lightning:lightning:{REQUEST}",
        f"lightning={REQUEST}",
        f"lightning=lightning:{REQUEST}",
        f"lightning:{REQUEST}?label=tea",
        f"lightning:?lightning={REQUEST}",
        f"lightning%3A{REQUEST}",
        f"lightning:\u200b{REQUEST}",
        f"{LINK}&lightning=lightning:{REQUEST}",
        f"{LINK}&LIGHTNING=LIGHTNING%3A%2F%2F{REQUEST.upper()}",
        f"{LINK}&amp;label=tea&amp;lightning={REQUEST}&amp;x=1",
        f"{LINK}&#38;lightning={REQUEST}",
        f"{LINK}&amp;amp;lightning={REQUEST}",
        f"{LINK};lightning={REQUEST}",
        f"{LINK}&lightning=%22{REQUEST}%22",
        f"{LINK}&label=A cup of tea&lightning={REQUEST}",
        f"bitcoin://?lightning={REQUEST}",
        quote(f"{LINK}&lightning={REQUEST}", safe=""),
        f"{LINK.removeprefix('bitcoin:')}&lightning={REQUEST}",
        f"https://shop.example/pay?id=17&lightning={REQUEST}",
        f"<{LINK}&lightning={REQUEST}>",
    ],
)
def test_links_are_read_however_they_are_spelt(text: str) -> None:
    """A link with the payment request somewhere in it leads to the same payment request."""
    assert decode_payment_request(text) == decode_payment_request(REQUEST)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        "\r\n".join(LINES).upper(),
        "> " + "\n> ".join(LINES),
        ">> " + " \r\n>> ".join(LINES),
        "| " + "\n| ".join(LINES),
        "=\n".join(LINES),
        "=\r\n".join(LINES),
        "> " + "=\n> ".join(LINES),
        "lightning=3D" + "=\n".join(LINES),
        f"{LINK}&lightning=\n{REQUEST}",
        f"{LINK}&lightning=" + "\n".join(LINES),
        "lightning:" + "\n".join(LINES),
        "  \n".join(f"    {line}" for line in LINES),
        " ".join(LINES),
        " ".join(textwrap.wrap(REQUEST, 4)),
        f"{REQUEST[:200]} {REQUEST[200:]}",
        "\u200b".join(LINES),
        "\u00ad\n".join(LINES),
        "\u2028".join(LINES),
        "\u00a0".join(LINES),
        "“" + "\t".join(LINES) + "”.",
    ],
)
def test_white_space_inside_is_taken_out(text: str) -> None:
    """The line ends of a mail, its quoting and soft breaks leave the payment request as it was."""
    assert decode_payment_request(text) == decode_payment_request(REQUEST)
    assert canonical(text) == REQUEST
    assert peek_amount(text) == 250_000_000


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES[:-1]),
        "\n".join(LINES[1:2] + LINES[:1] + LINES[2:]),
        "\n".join([*LINES, "Kind regards"]),
        "\n".join(["Please pay", *LINES]),
        f"Invoice: {REQUEST}",
        f"{REQUEST} thanks",
        "\n".join(LINES).replace("k", "\u212a"),
        "\n".join(LINES[:1] + [line.upper() for line in LINES[1:]]),
        "lightning:" + "\n".join(LINES[:-1]),
    ],
)
def test_white_space_stays_where_the_checksum_is_wrong(text: str) -> None:
    """A piece that is missing, in the wrong place or too many is not made up for; the message says so."""
    error = refusal(text)
    assert error.code == "bad_bech32"
    assert "white space" in str(error)


def test_a_blank_that_ends_no_line_is_a_slip() -> None:
    """One blank with the longer half behind it was typed, not wrapped; its place is named."""
    error = refusal(f"{REQUEST[:50]} {REQUEST[50:]}")
    assert (error.code, "character 51 is U+0020 SPACE" in str(error)) == ("bad_bech32", True)


@pytest.mark.parametrize(
    "text",
    [
        f"{REQUEST}\n{OTHER}",
        f"{REQUEST}, {OTHER}",
        f"{REQUEST} & {OTHER}",
        f"{REQUEST}{OTHER}",
        "\n".join([*LINES, "", OTHER]),
        f"{REQUEST} {OTHER[:-1]}",
        f"{REQUEST}\n{REQUEST}",
        f"lightning:{REQUEST} lightning:{OTHER}",
        f"lightning:{REQUEST}&lightning:{OTHER}",
        f"lightning:{REQUEST}?lightning={OTHER}",
        f"{LINK}&lightning={REQUEST}&lightning={OTHER}",
        f"{LINK}&lightning={REQUEST}\n{LINK}&lightning={OTHER}",
        quote(f"{LINK}&lightning={REQUEST}&lightning={OTHER}", safe=""),
    ],
)
def test_several_payment_requests_are_refused(text: str) -> None:
    """Which of two is meant is not guessed."""
    error = refusal(text)
    assert (error.code, "several" in str(error)) == ("bad_bech32", True)
    assert canonical(text) == text


HASH = "0001020304050607080900010203040506070809000102030405060708090102"
NODE = "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad"
OFFER = "lno1pqps7sjqpgtyzm3qv4uxzmtsd3jjqer9wd3hy6tsw35k7msjzfpy7nz5yqcnygrfdej82um5wf5k2uckyypwa3eyt44h6txt"
LNURL = (
    "lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7mf0v9cxj0m385ekvcenxc6r2c35xvukxefcv5mkvv34x5ekzd3ev56nyd3hxqurzep"
)
NAMED = [
    ("satoshi@example.com", "a Lightning address"),
    ("lightning:satoshi@example.com", "a Lightning address"),
    ("<tips+tea@pay.example.com>", "a Lightning address"),
    ("₿satoshi@example.com", "BIP 353"),
    ("lightning:₿satoshi@example.com", "BIP 353"),
    ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "an on-chain address"),
    ("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "an on-chain address"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "an on-chain address"),
    ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "an on-chain address"),
    ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "an on-chain address"),
    ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "an on-chain address of a test network"),
    ("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "an on-chain address of a test network"),
    ("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "an on-chain address of a test network"),
    ("n3GNqMveyvaPvUbH469vDRadqpJMPc84JA", "an on-chain address of a test network"),
    ("2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc", "an on-chain address of a test network"),
    (LINK, "the link has an on-chain address only"),
    (f"{LINK}&lightning=", "the link has an on-chain address only"),
    (f"BITCOIN:?lno={OFFER}", "the link has a BOLT 12 offer only"),
    (OFFER, "a BOLT 12 offer"),
    (OFFER.upper(), "a BOLT 12 offer"),
    (f"{LINK}&lightning={OFFER}", "a BOLT 12 offer"),
    (f"{OFFER[:60]}+\n{OFFER[60:]}", "a BOLT 12 offer"),
    (OFFER.replace("lno", "lnr"), "a BOLT 12 invoice request"),
    (OFFER.replace("lno", "lni"), "a BOLT 12 invoice"),
    (LNURL, "an LNURL"),
    (f"lightning:{LNURL.upper()}", "an LNURL"),
    (f"{LNURL[:60]}\n{LNURL[60:]}", "an LNURL"),
    ("lnurlp://pay.example.com/tea", "an LNURL"),
    ("keyauth://login.example.com?tag=login", "an LNURL"),
    (f"https://shop.example/gift?id=1&lightning={LNURL.upper()}", "an LNURL"),
    ("https://shop.example/pay/17", "a web link"),
    ("cashuAeyJ0b2tlbiI6W3sicHJvb2ZzIjpbeyJpZCI6IjAwOWExZjI5MzI1M2U0MWUi==", "ecash"),
    ("cashu:cashuBo2F0gaJhaUgArSaMTR9YJmFwgaNhYQFhc3hAOWE2ZGJiODQ3YmQyMzJiYTc2", "ecash"),
    ("creqApWF0gaNhdGVub3N0cmFheKlucHJvZmlsZTFxeTI4d3VtbjhnaGo3dW45ZDNzaGp0bnl2", "a Cashu payment request"),
    (HASH, "64 hexadecimal digits"),
    (HASH.upper(), "64 hexadecimal digits"),
    (NODE, "a node's public key"),
    (f"{NODE}@203.0.113.7:9735", "a node's public key"),
]


@pytest.mark.parametrize(("text", "words"), NAMED)
def test_other_things_have_their_names(text: str, words: str) -> None:
    """What is pasted instead of a payment request is named, and it is said what to do."""
    for pasted in (text, f" {text}\n", f"“{text}”.", f"\u200b{text}\u2060"):
        error = refusal(pasted)
        assert error.code == "bad_prefix"
        assert words in str(error)


@pytest.mark.parametrize(("text", "words"), [row for row in NAMED if "ecash" in row[1] or row[0] == HASH])
def test_what_may_be_a_secret_is_not_repeated(text: str, words: str) -> None:
    """A message that may be shown or logged holds nothing of money or of a proof of payment."""
    assert text.removeprefix("cashu:")[:8] not in str(refusal(text)), words


@pytest.mark.parametrize(
    "text", ["", "INV-17.", "order (17)", "«A»", "One, two", HASH, HASH.upper(), "lightning:X"]
)
def test_other_texts_keep_their_identity(text: str) -> None:
    """Ids and whatever else is no payment request are compared as they are."""
    assert canonical(text) == text


class Guarded(str):
    """A text that may be asked for its length alone."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        """Nothing of it."""
        raise AssertionError(f"{name} of a text that is too long")

    def __getitem__(self, key: Any) -> str:
        """No part of it."""
        raise AssertionError(f"{key} of a text that is too long")

    def __iter__(self) -> Any:
        """No character of it."""
        raise AssertionError("a text that is too long")


@pytest.mark.parametrize(
    "pattern", [" ", "l", "é", "%20", "&a=b", "> \n", "\u200b", f"{REQUEST} ", "=\n", "&amp;"]
)
@pytest.mark.parametrize("beginning", ["", "lightning:", "bitcoin:x?lightning=", REQUEST])
def test_the_length_comes_first(beginning: str, pattern: str) -> None:
    """A flood is refused by its length, whatever it consists of, and nothing else of it is looked at."""
    text = Guarded(beginning + pattern * (50_000_000 // len(pattern)))
    error = refusal(text)
    assert error.code == "too_long"
    assert f"{len(text):,} characters" in str(error)
    assert canonical(text) is text
    assert peek_amount(text) is None


@given(
    before=st.text(
        st.sampled_from(" \n\t\"'“„«‹([{<`*>|-–•⚡\u200b\u2060\ufeff\u202a\u2067\u00a0"), max_size=8
    ),
    after=st.text(
        st.sampled_from(" \n\t\"'”“»›)]}>`*.,;:!?…-⚡\u200b\u2060\ufeff\u202c\u2069\u00a0"), max_size=8
    ),
    width=st.integers(1, 300),
    gap=st.sampled_from(["", "\n", "\r\n", "\n> ", "=\n", "  ", "\t", "\u200b", "\u00a0", "\u2029"]),
    link=st.sampled_from(["", "lightning:", "Lightning://", "lightning=", f"{LINK}&amp;lightning="]),
    upper=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_what_is_around_it_makes_no_difference(
    before: str, after: str, width: int, gap: str, link: str, *, upper: bool
) -> None:
    """Any decoration, link and width of lines lead to the payment request."""
    lines = gap.join(textwrap.wrap(REQUEST, width))
    text = f"{before}{link}{lines.upper() if upper else lines}{after}"
    assert decode_payment_request(text) == decode_payment_request(REQUEST)
    assert canonical(text) == REQUEST
