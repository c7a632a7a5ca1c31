"""Requests for invoices: what may be asked for, what is refused, and what goes over the wire."""

from __future__ import annotations

import dataclasses
import re
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hercle_nb import _json
from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest, check_client_id
from tests.answers import ask, pay_to


def test_the_command_page_example() -> None:
    """The command page's example goes over the wire exactly as the page writes it."""
    assert _json.encode(ask().arguments) == '["my-invoice-123",0.001,"Payment for services",24]'
    bare = InvoiceRequest(amount_sat=1, client_id="a")
    assert _json.encode(bare.arguments) == '["a",0.00000001,null,null]'


@pytest.mark.parametrize(
    "same",
    [
        {"amount_btc": Decimal("0.00100")},
        {"amount_btc": "0.001"},
        {"amount_btc": None, "amount_sat": 100_000},
        {"amount_btc": np.float64(0.001), "expiry_hours": np.int64(24)},
        {"expiry_hours": 24.0},
    ],
)
def test_equal_after_normalisation(same: dict[str, Any]) -> None:
    """Two ways of writing the same arguments are the same request."""
    assert ask(**same) == ask()
    assert hash(ask(**same)) == hash(ask())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"memo": None}, {"memo": ""}),
        ({"expiry_hours": None}, {"expiry_hours": 24}),
        ({"client_id": "a"}, {"client_id": "A"}),
        ({"amount_btc": "0.001"}, {"amount_btc": "0.00100001"}),
    ],
)
def test_different_on_the_wire(one: dict[str, Any], other: dict[str, Any]) -> None:
    """No memo is not an empty one, and the default expiry is not 24 hours."""
    assert ask(**one) != ask(**other)
    assert _json.encode(ask(**one).arguments) != _json.encode(ask(**other).arguments)


@pytest.mark.parametrize("amounts", [{}, {"amount_btc": 1, "amount_sat": 100_000_000}])
def test_exactly_one_amount(amounts: dict[str, Any]) -> None:
    """Neither amount or both are refused, and the message writes both forms."""
    with pytest.raises(InvalidRequest, match=r"exactly one of amount_btc=Decimal\('0.001'\) and amount_sat="):
        InvoiceRequest(**amounts)


def test_request_is_frozen_and_exact() -> None:
    """A request cannot be changed, and shows its amount in both units."""
    request = InvoiceRequest("0.0000000015", allow_msat=True)
    assert (request.amount_msat, request.amount_sat, request.amount_btc) == (150, None, Decimal("1.5E-9"))
    assert ask().amount_sat == 100_000
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.memo = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("memo", "kept"),
    [
        (None, None),
        ("", ""),
        ("cafe\u0301", "caf\u00e9"),
        ("Ω €\u200d 👩\u200d🚀", "Ω €\u200d 👩\u200d🚀"),
        ("\u2126", "\u03a9"),
        (" spaces stay ", " spaces stay "),
        ("x" * 639, "x" * 639),
        ("é" * 319 + "x", "é" * 319 + "x"),
        ("😀" * 159 + "xyz", "😀" * 159 + "xyz"),
        ("e\u0301" * 319, "é" * 319),
    ],
)
def test_memo_is_kept_in_nfc(memo: str | None, kept: str | None) -> None:
    """A memo of at most 639 bytes after normalisation is kept, and comes back from a payment request."""
    assert ask(memo=memo).memo == kept
    assert decode_payment_request(pay_to(description=kept or "")).description == (kept or "")


@pytest.mark.parametrize(
    ("memo", "size"), [("x" * 640, 640), ("é" * 320, 640), ("😀" * 160, 640), ("€" * 213 + "é", 641)]
)
def test_memo_is_measured_in_bytes(memo: str, size: int) -> None:
    """A memo of more than 639 bytes is refused with its size and by how much it is too long."""
    with pytest.raises(
        InvalidRequest,
        match=f"{size} bytes of UTF-8; .* shorten it by {size - 639} byte{'s' * (size > 640)}\\.",
    ):
        ask(memo=memo)


@pytest.mark.parametrize(
    "code", [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xD800, 0xDFFF]
)
def test_memo_without_invisible_characters(code: int) -> None:
    """Control characters, direction marks and half characters are refused, by code and place in the text."""
    with pytest.raises(InvalidRequest, match=f"U\\+{code:04X} at position 2"):
        ask(memo=f"e\u0301{chr(code)}")


@pytest.mark.parametrize("memo", ["x" * 2_557, "\u202e" * 1_000_000, "e\u0301" * 1_000_000])
def test_memo_without_end(memo: str) -> None:
    """A memo that no form of Unicode makes short enough is refused by its length, before it is looked at."""
    with pytest.raises(
        InvalidRequest, match=f"memo has {len(memo):,} characters; at most 639 bytes of UTF-8"
    ):
        ask(memo=memo)


@pytest.mark.parametrize("memo", [b"x", 5, ["x"], float("nan")])
def test_memo_is_text(memo: Any) -> None:
    """A memo of another type is refused with what to write."""
    with pytest.raises(InvalidRequest, match='memo must be a text such as "Payment for services", or None'):
        ask(memo=memo)


@given(st.text(max_size=700))
def test_any_memo_is_refused_or_fits(memo: str) -> None:
    """Any text is refused, or fits a payment request and comes back from it unchanged."""
    try:
        kept = ask(memo=memo).memo or ""
    except InvalidRequest:
        return
    assert decode_payment_request(pay_to(description=kept)).description == kept
    assert ask(memo=kept).memo == kept


@pytest.mark.parametrize(
    ("hours", "kept"),
    [
        (1, 1),
        (720, 720),
        (24.0, 24),
        (np.int64(24), 24),
        (np.float64(48.0), 48),
        (Decimal(24), 24),
        (None, None),
    ],
)
def test_expiry(hours: Any, kept: int | None) -> None:
    """Whole hours from 1 to 720 are taken and sent as an int; None stays None."""
    assert ask(expiry_hours=hours).expiry_hours == kept
    assert _json.encode(ask(expiry_hours=hours).arguments).endswith(f",{'null' if kept is None else kept}]")


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (0, "not 0; write expiry_hours=24"),
        (721, "from 1 to 720, or None for the hub's default of 24 h, not 721"),
        (-1, "not -1"),
        (24.5, "not 24.5"),
        (0.0, "not 0"),
        ("24", "not '24'"),
        ("24.0", "not '24.0'"),
        ("24.000", "expiry_hours '24.000' is 24 or 24 thousand; write 24 or 24000."),
        (np.str_("1,000"), "expiry_hours '1,000' is 1 or 1 thousand; write 1 or 1000."),
        ("1 000", "expiry_hours '1 000' holds marks between its digits; write 1000."),
        (float("nan"), "not nan"),
        (float("inf"), "not inf"),
        (np.float64("nan"), "not nan"),
        (Decimal("24.5"), "not 24.5"),
        (pd.NA, "not <NA>"),
        (timedelta(hours=24), "expiry_hours must be a whole number"),
        (np.array([24, 48]), "expiry_hours must be a whole number"),
        (True, "True is not a number; write expiry_hours=24"),
        (np.True_, "True is not a number"),
        pytest.param(10**5000, "not a number of 16,610 bits", id="huge"),
    ],
)
def test_expiry_that_is_refused(hours: Any, words: str) -> None:
    """Anything but whole hours within range is refused with what to write."""
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        ask(expiry_hours=hours)


@pytest.mark.parametrize("given", ["a", "x" * 36, "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", str(uuid.uuid4())])
def test_client_id_that_is_taken(given: str) -> None:
    """1 to 36 printable ASCII characters without spaces are a ClientId."""
    assert check_client_id(given) == ask(client_id=given).client_id == given


@pytest.mark.parametrize("given", ["", "x" * 37, "a b", " a", "a\n", "a\tb", "é", "\x7f", "\x00", "a\u200b"])
def test_client_id_that_is_refused(given: str) -> None:
    """Any other text is refused, and the message shows how to make a valid one."""
    with pytest.raises(
        InvalidRequest, match=r"1 to 36 printable ASCII .* hercle\.client_id\(\"order\", 17\)"
    ):
        ask(client_id=given)


def test_client_id_without_end() -> None:
    """Of a text without end the beginning and the length are looked at."""
    with pytest.raises(InvalidRequest, match="this one has 1000001 characters"):
        ask(client_id="x" * 1_000_000 + "é")


@pytest.mark.parametrize("given", [17, b"a", True, uuid.uuid4(), float("nan")])
def test_client_id_is_text(given: Any) -> None:
    """A ClientId of another type is refused with an example."""
    with pytest.raises(InvalidRequest, match='client_id must be a text such as "order-17", not'):
        ask(client_id=given)


def test_client_id_is_made() -> None:
    """Without a ClientId each request gets a fresh uuid4 of 36 characters."""
    one, other = ask(client_id=None), ask(client_id=None)
    assert one.client_id != other.client_id
    assert uuid.UUID(one.client_id).version == 4
    assert len(one.client_id) == 36
