"""The rules for what may be asked for, a row each: what is refused with which words, and what is just taken.

The rules that are not about input are tested elsewhere: the echo of the amount and the toggle of its unit in
`test_form.py`, escaping in `test_display.py`, reading in `test_rules_reading.py`, what came back against what
was asked for in `test_cross_check.py`.
"""

from __future__ import annotations

import re
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import hercle_nb as hercle
from hercle_nb import _json

PLAIN = (
    " is not a plain decimal number; write the digits 0 to 9 with at most one point between them, such as "
    '"0.001", without sign, exponent, spaces or separators.'
)
FINER = " BTC is finer than one millisatoshi (11 places); write Decimal("
DIVISION = "), or amount_sat=hercle.to_sat(…) for the result of a division."
NO_AMOUNT = " is not an amount; write a number such as Decimal('0.001')."
NO_NUMBER = " is not a number; write "
BELOW = "An amount must be more than 0 BTC, not "
POSITIVE = '; write Decimal("0.00000001"), which is 1 sat, or more.'
FRACTION = "), or pass allow_msat=True if you mean the fraction."
ALL_THERE_IS = " BTC is more than the 21,000,000 BTC that will ever exist; "
WHOLE = "; write amount_sat=100_000, or amount_sat=hercle.to_sat(btc) to round an amount in BTC."
INT = "amount_sat must be an int, not the "
ONE_SAT = "; write amount_sat=1 or more."
HOURS = "expiry_hours must be a whole number from 1 to 720, or None for the hub's default of 24 h, not "
CLIENT_ID = "client_id must be 1 to 36 printable ASCII characters without spaces; this one "
MAKE_ONE = '. hercle.client_id("order", 17) makes a valid one from anything.'
TOO_LONG = " bytes of UTF-8; at most 639 fit into a payment request, so shorten it by "
CONTROL = " (the first is 0); leave it out or write a space."
TURNS = " (the first is 0); leave it out."
ONE_AMOUNT = "Write exactly one of amount_btc=Decimal('0.001') and amount_sat=100_000."


def refused(rule: str, message: str, **arguments: Any) -> Any:
    """A row: these arguments are refused with this message."""
    return pytest.param({"amount_sat": 1} | arguments, message, id=rule)


def btc_refused(rule: str, message: str, amount_btc: Any, **arguments: Any) -> Any:
    """A row: this amount in BTC is refused with this message."""
    return refused(rule, message, amount_btc=amount_btc, amount_sat=None, **arguments)


def taken(rule: str, wire: str, **arguments: Any) -> Any:
    """A row: these arguments are taken, and written on the wire like this."""
    return pytest.param({"amount_sat": 1} | arguments, wire, id=rule)


def btc_taken(rule: str, wire: str, amount_btc: Any, **arguments: Any) -> Any:
    """A row: this amount in BTC is taken, and written on the wire like this."""
    return taken(rule, f"{wire},null,null", amount_btc=amount_btc, amount_sat=None, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # amounts
        refused("no amount", ONE_AMOUNT, amount_sat=None),
        refused("two amounts", ONE_AMOUNT, amount_btc=1, amount_sat=100_000_000),
        btc_refused("a float that is not exact", f'0.30000000000000004{FINER}"0.3"{DIVISION}', 0.1 + 0.2),
        btc_refused(
            "a float that is not exact, with the switch",
            f'0.001559484103944606{FINER}"0.0015594841"{DIVISION}',
            100 / 64_123.77,
            allow_msat=True,
        ),
        btc_refused(
            "a Decimal finer than a millisatoshi", f'1E-12{FINER}"0.00000001"{DIVISION}', Decimal("1E-12")
        ),
        btc_refused(
            "a numpy float that is not exact",
            f'0.30000000000000004{FINER}"0.3"{DIVISION}',
            np.float64(0.1) + np.float64(0.2),
        ),
        btc_refused("an exponent in a text", f"'1e-3'{PLAIN}", "1e-3"),
        btc_refused("two points", f"'1.2.3'{PLAIN}", "1.2.3"),
        btc_refused("a point before the digits", f"'.5'{PLAIN}", ".5"),
        btc_refused("a point after the digits", f"'5.'{PLAIN}", "5."),
        btc_refused("a comma", f"'0,001'{PLAIN}", "0,001"),
        btc_refused("a comma with two readings", "'1,000' is 1 or 1 thousand; write 1 or 1000.", "1,000"),
        btc_refused("no digits", f"''{PLAIN}", ""),
        btc_refused("a plus sign", f"'+1'{PLAIN}", "+1"),
        btc_refused("a minus sign", f"'-1'{PLAIN}", "-1"),
        btc_refused("an underscore", f"'1_0'{PLAIN}", "1_0"),
        btc_refused("spaces", f"' 1 '{PLAIN}", " 1 "),
        btc_refused("digits that are not ASCII", f"'٠.١'{PLAIN}", "٠.١"),
        btc_refused("NaN in a text", f"'NaN'{PLAIN}", "NaN"),
        btc_refused(
            "another type",
            "An amount must be a number, not Fraction; write Decimal('0.001') or 0.001.",
            Fraction(1, 2),
        ),
        btc_refused("a bool", f"True{NO_NUMBER}a number such as Decimal('0.001').", True),
        btc_refused("a numpy bool", f"False{NO_NUMBER}a number such as Decimal('0.001').", np.False_),
        btc_refused("NaN", f"nan{NO_AMOUNT}", float("nan")),
        btc_refused("infinity", f"inf{NO_AMOUNT}", float("inf")),
        btc_refused("a Decimal that is infinite", f"-Infinity{NO_AMOUNT}", Decimal("-Infinity")),
        btc_refused("zero", f"{BELOW}0{POSITIVE}", 0),
        btc_refused("zero in a text", f"{BELOW}'0.0'{POSITIVE}", "0.0"),
        btc_refused("a negative amount", f"{BELOW}-0.001{POSITIVE}", -0.001),
        btc_refused(
            "a fraction of a satoshi without the switch",
            f'0.000000015 BTC is 1.5 sat, finer than one satoshi; write Decimal("0.00000002"{FRACTION}',
            "0.000000015",
        ),
        btc_refused(
            "less than a satoshi without the switch",
            f'0.00000000999 BTC is 0.999 sat, finer than one satoshi; write Decimal("0.00000001"{FRACTION}',
            "0.00000000999",
        ),
        btc_refused(
            "satoshis written as bitcoin",
            f"100000000{ALL_THERE_IS}if you meant satoshis, write amount_sat=100000000.",
            100_000_000,
        ),
        btc_refused(
            "more than all bitcoin",
            f"21000000.00000001{ALL_THERE_IS}write 21_000_000 or less.",
            Decimal("21000000.00000001"),
        ),
        refused(
            "satoshis with a fraction",
            f"amount_sat must be a whole number of satoshis, not 1.5{WHOLE}",
            amount_sat=1.5,
        ),
        refused(
            "satoshis as a float", f"{INT}float 100000.0; write amount_sat=100000.", amount_sat=100_000.0
        ),
        refused(
            "satoshis as a numpy float", f"{INT}float64 7.0; write amount_sat=7.", amount_sat=np.float64(7)
        ),
        refused("satoshis as a Decimal", f"{INT}Decimal 5; write amount_sat=5.", amount_sat=Decimal(5)),
        refused("satoshis as a text", f"{INT}str '100'; write amount_sat=100.", amount_sat="100"),
        refused(
            "satoshis with a mark that has two readings",
            "amount_sat '25.000' is 25 or 25 thousand; write 25 or 25000.",
            amount_sat="25.000",
        ),
        refused("satoshis as a bool", "True is not a number; write amount_sat=100_000.", amount_sat=True),
        refused("no satoshis", f"An amount must be at least 1 sat, not 0{ONE_SAT}", amount_sat=0),
        refused("negative satoshis", f"An amount must be at least 1 sat, not -5{ONE_SAT}", amount_sat=-5),
        refused(
            "more than all satoshis",
            "2100000000000001 sat is more than the 21,000,000 BTC that will ever exist; "
            "write amount_sat=2_100_000_000_000_000 or less (millisatoshis divided by 1_000).",
            amount_sat=2_100_000_000_000_001,
        ),
        # memo
        refused("a memo of 640 bytes", f"memo has 640{TOO_LONG}1 byte.", memo="x" * 640),
        refused(
            "a memo of 639 characters and 1,278 bytes", f"memo has 1278{TOO_LONG}639 bytes.", memo="é" * 639
        ),
        refused("a memo of 640 bytes in NFC", f"memo has 640{TOO_LONG}1 byte.", memo="e\u0301" * 320),
        *(
            refused(
                f"a memo with {name}",
                f"memo holds a control character, U+{ord(character):04X} at position 2{CONTROL}",
                memo=f"ab{character}",
            )
            for name, character in (
                ("NUL", "\x00"),
                ("a tab", "\t"),
                ("a line end", "\n"),
                ("the last of C0", "\x1f"),
                ("DEL", "\x7f"),
                ("the first of C1", "\x80"),
                ("the last of C1", "\x9f"),
            )
        ),
        *(
            refused(
                f"a memo with U+{code:04X}",
                f"memo holds a mark that turns the direction of text, U+{code:04X} at position 1{TURNS}",
                memo=f"a{chr(code)}b",
            )
            for code in (0x202A, 0x202E, 0x2066, 0x2069)
        ),
        refused(
            "a memo with half a character",
            "memo holds half a character, U+D83D at position 0 (the first is 0); type it again.",
            memo="\ud83d",
        ),
        refused(
            "a memo that is no text",
            'memo must be a text such as "Payment for services", or None, not float.',
            memo=float("nan"),
        ),
        # expiry
        refused("no hours", f"{HOURS}0; write expiry_hours=24.", expiry_hours=0),
        refused("more than 720 hours", f"{HOURS}721; write expiry_hours=24.", expiry_hours=721),
        refused(
            "hours with a mark that has two readings",
            "expiry_hours '24,000' is 24 or 24 thousand; write 24 or 24000.",
            expiry_hours="24,000",
        ),
        refused("negative hours", f"{HOURS}-1; write expiry_hours=24.", expiry_hours=-1),
        refused("half an hour", f"{HOURS}0.5; write expiry_hours=24.", expiry_hours=0.5),
        refused("hours as a text", f"{HOURS}'24'; write expiry_hours=24.", expiry_hours="24"),
        refused("hours that are NaN", f"{HOURS}nan; write expiry_hours=24.", expiry_hours=np.nan),
        refused("hours as a bool", "True is not a number; write expiry_hours=24.", expiry_hours=True),
        # ClientId
        refused("an empty ClientId", f"{CLIENT_ID}has 0 characters{MAKE_ONE}", client_id=""),
        refused("a ClientId of 37", f"{CLIENT_ID}has 37 characters{MAKE_ONE}", client_id="x" * 37),
        refused("a ClientId with a space", f"{CLIENT_ID}holds ' ', U+0020{MAKE_ONE}", client_id="a b"),
        refused("a ClientId with DEL", rf"{CLIENT_ID}holds '\x7f', U+007F{MAKE_ONE}", client_id="a\x7f"),
        refused("a ClientId beyond ASCII", f"{CLIENT_ID}holds 'é', U+00E9{MAKE_ONE}", client_id="é"),
        refused(
            "a ClientId that is no text",
            'client_id must be a text such as "order-17", not int.',
            client_id=17,
        ),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], message: str) -> None:
    """What breaks a rule is refused with exactly this message, which says what to write or do instead."""
    with pytest.raises(hercle.InvalidRequest, match=f"^{re.escape(message)}$"):
        hercle.InvoiceRequest(**arguments)


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        # amounts
        btc_taken("a float that is exact", "0.001", 0.001),
        btc_taken("the smallest float", "0.00000001", 1e-8),
        btc_taken("a float to the millisatoshi", "0.00000000001", 1e-11, allow_msat=True),
        btc_taken("a Decimal", "0.001", Decimal("0.00100")),
        btc_taken("a Decimal with exponent", "0.001", Decimal("1E-3")),
        btc_taken("an int", "1", 1),
        btc_taken("a text", "0.5", "0.5"),
        btc_taken("a text without point", "7", "007"),
        btc_taken("a text with many zeros", "1", f"1.{'0' * 100}"),
        btc_taken("a numpy float", "0.001", np.float64(0.001)),
        btc_taken("a numpy int", "2", np.int64(2)),
        btc_taken("less than a satoshi with the switch", "0.00000000001", "0.00000000001", allow_msat=True),
        btc_taken("all bitcoin", "21000000", 21_000_000),
        btc_taken(
            "a digit in each of 19 places", "20999999.99999999999", "20999999.99999999999", allow_msat=True
        ),
        taken("one satoshi", "0.00000001,null,null", amount_sat=1),
        taken("a numpy int of satoshis", "0.00000005,null,null", amount_sat=np.int64(5)),
        taken("all satoshis", "21000000,null,null", amount_sat=2_100_000_000_000_000),
        # memo
        taken("no memo", "0.00000001,null,null", memo=None),
        taken("an empty memo", '0.00000001,"",null', memo=""),
        taken("a memo not in NFC", '0.00000001,"é",null', memo="e\u0301"),
        taken("a memo of 639 bytes", f'0.00000001,"{"x" * 639}",null', memo="x" * 639),
        taken("a memo of 639 bytes in NFC", f'0.00000001,"{"é" * 319}x",null', memo="e\u0301" * 319 + "x"),
        taken(
            "the characters beside the refused",
            '0.00000001,"\u2029 \u202f\u2065\u206a~",null',
            memo="\u2029 \u202f\u2065\u206a~",
        ),
        # expiry
        taken("the hub's default", "0.00000001,null,null", expiry_hours=None),
        taken("one hour", "0.00000001,null,1", expiry_hours=1),
        taken("720 hours", "0.00000001,null,720", expiry_hours=720),
        taken("24.0 from a table", "0.00000001,null,24", expiry_hours=24.0),
        taken("numpy's 24.0", "0.00000001,null,24", expiry_hours=np.float64(24)),
        taken("24 as a Decimal", "0.00000001,null,24", expiry_hours=Decimal("24.0")),
    ],
)
def test_what_is_taken(arguments: dict[str, Any], wire: str) -> None:
    """What keeps every rule, if only just, is taken and written on the wire without a digit's change."""
    request = hercle.InvoiceRequest(client_id="a", **arguments)
    assert _json.encode(request.arguments) == f'["a",{wire}]'


@pytest.mark.parametrize("client_id", ["!", "~", "x" * 36])
def test_client_ids_that_are_taken(client_id: str) -> None:
    """A ClientId of 1 to 36 printable ASCII characters is sent as it is."""
    assert hercle.InvoiceRequest(amount_sat=1, client_id=client_id).client_id == client_id


def test_the_client_id_that_is_made() -> None:
    """Without a ClientId a uuid4 is made, of exactly 36 characters."""
    made = hercle.InvoiceRequest(amount_sat=1).client_id
    assert str(uuid.UUID(made)) == made
    assert len(made) == 36


def test_a_client_id_used_again() -> None:
    """The same ClientId gives the known invoice, or with other arguments an error; nothing is sent."""
    with hercle.connect("simulator") as hub:
        first = hub.create_invoice(0.001, "tea", 24, client_id="a")
        again = hub.create_invoice(Decimal("0.00100"), "tea", 24.0, client_id="a")  # type: ignore[arg-type]
        assert (again.id, again.reused) == (first.id, True)
        message = (
            "The ClientId a was used for another invoice (0.001 BTC, memo 'tea', expiry 24 h), which is "
            "open: see hub.invoice('a'). This asks for 0.001 BTC, memo 'coffee', expiry 24 h. So nothing was "
            "sent; another client_id makes a second invoice beside it."
        )
        with pytest.raises(hercle.InvalidRequest, match=f"^{re.escape(message)}$"):
            hub.create_invoice(0.001, "coffee", 24, client_id="a")
        assert list(hub.events["kind"]).count("command") == 1
