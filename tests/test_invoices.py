"""Invoices: what is made of the hub's answer, and how an invoice stands later."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import segno

from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoices import parse_time, read_answer
from tests.answers import NOW, PREIMAGE, answer, ask, pay_to


@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        ({"amount_msat": 100_000_001}, {}, "asks for 0.00100000001 BTC, not for 0.00100000 BTC"),
        ({"amount_msat": None}, {}, "asks for no amount, not for 0.00100000 BTC"),
        ({"description": "payment for services"}, {}, "has the memo 'payment for services', not 'Payment"),
        ({"description": ""}, {}, "has the memo '', not 'Payment for services'"),
        ({}, {"memo": None}, "has the memo 'Payment for services', not ''"),
        ({"description": None, "description_hash": bytes(32)}, {}, "the hash of another memo"),
        ({"expiry": 3_600}, {}, "valid for 3,600 s, not for 24 h"),
        ({"expiry": None}, {}, "valid for 3,600 s, not for 24 h"),
        ({}, {"expiry_hours": 1}, "valid for 86,400 s, not for 1 h"),
        ({"currency": "bc"}, {}, "for the network 'bc', which is not expected here"),
        ({"feature_bits": (8, 14, 100)}, {}, "requires features that BOLT 9 does not know"),
    ],
)
def test_each_mismatch_is_a_warning(changes: dict[str, Any], asked: dict[str, Any], words: str) -> None:
    """An answer that differs from what was asked is an invoice with exactly one warning and no QR code."""
    invoice = answer(ask(**asked), encodedPaymentRequest=pay_to(**changes))
    assert len(invoice.warnings) == 1
    assert words in invoice.warnings[0]
    with pytest.raises(InvalidRequest, match="No QR code"):
        invoice.qr()
    assert "data:image" not in invoice._repr_html_()
    assert "WARNING" in repr(invoice)


def test_differences_are_of_amount_memo_and_expiry() -> None:
    """`differences` names all that differ at once, and leaves network and features to others."""
    decoded = decode_payment_request(pay_to(currency="bc", feature_bits=(8, 14, 100)))
    assert ask().differences(decoded) == []
    found = ask(amount_btc="0.002", memo="tea", expiry_hours=None).differences(decoded)
    assert [re.split("asks|has", text)[0] for text in found] == ["the payment request "] * 2
    assert len(ask(amount_btc="0.002", memo="tea", expiry_hours=2).differences(decoded)) == 3


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, {}),
        ({"description": ""}, {"memo": None}),
        ({"description": ""}, {"memo": ""}),
        ({}, {"expiry_hours": None}),
        ({"expiry": None}, {"expiry_hours": 1}),
        ({"description": None, "description_hash": hashlib.sha256(b"Payment for services").digest()}, {}),
        ({"currency": "tb"}, {}),
    ],
)
def test_an_answer_that_fits(changes: dict[str, Any], asked: dict[str, Any]) -> None:
    """An answer that fits what was asked is an open invoice without a warning."""
    invoice = answer(ask(**asked), encodedPaymentRequest=pay_to(**changes))
    assert invoice.warnings == ()
    assert invoice.status == "open"
    assert (invoice.id, invoice.http_status, invoice.message) == ("inv_1", 201, "created")
    assert (invoice.created_at, invoice.expires_at - NOW) == (
        NOW,
        timedelta(seconds=changes.get("expiry", 86_400) or 3_600),
    )


def test_production_expects_bitcoin_itself() -> None:
    """In production the prefix is `lnbc`, and any other is the surprise."""
    for currency, warnings in (("bc", 0), ("bcrt", 1), ("tb", 1)):
        data = {"httpStatusCode": 200, "encodedPaymentRequest": pay_to(currency=currency)}
        assert len(read_answer(ask(), data, NOW, "bc").warnings) == warnings


@pytest.mark.parametrize("text", ["lnbc1garbage", "<script>alert(1)</script>", "x" * 8_000, "a\nb", 5])
def test_an_unreadable_payment_request(text: Any) -> None:
    """A payment request that cannot be read is kept with a warning, dated by the answer, without QR code."""
    invoice = answer(encodedPaymentRequest=text, expiresAt="2099-01-01T00:00:00.1234567Z")
    assert re.search(r"^the payment request cannot be read \([a-z_0-9]+\)$", invoice.warnings[0])
    assert (invoice.payment_request, invoice.payment_hash, invoice.decoded) == (str(text), None, None)
    assert (invoice.created_at, invoice.expires_at.year, invoice.status) == (NOW, 2099, "open")
    assert answer(encodedPaymentRequest=text, expiresAt="soon").expires_at == NOW
    assert "<script" not in invoice._repr_html_()
    assert "data:image" not in invoice._repr_html_()


def test_an_answer_without_a_status() -> None:
    """An answer without httpStatusCode is an invoice with a warning."""
    assert answer(httpStatusCode=None).warnings == ("the hub's answer carried no httpStatusCode",)
    assert answer(id=None, message=None).id == ""
    assert answer(message=None).message is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-03-28T16:03:12.456Z", datetime(2024, 3, 28, 16, 3, 12, 456_000, tzinfo=UTC)),
        ("2024-03-28T17:03:12+01:00", datetime(2024, 3, 28, 16, 3, 12, tzinfo=UTC)),
        ("2024-03-28T16:03:12.1234567", datetime(2024, 3, 28, 16, 3, 12, 123_456, tzinfo=UTC)),
        ("0001-01-01T00:00:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("tomorrow", None),
        ("", None),
        (1_700_000_000, None),
        (None, None),
    ],
)
def test_times_of_the_hub(text: Any, time: datetime | None) -> None:
    """ISO 8601 times are read as UTC; anything else, .NET's earliest moment in a zone included, is None."""
    assert parse_time(text) == time
    assert len(answer(expiresAt=text).warnings) == (time is not None)  # it is years from the invoice's own


# -- how it stands -----------------------------------------------------------------------------------------


def test_invoice_is_frozen() -> None:
    """An invoice cannot be changed, can be a key, and shows its amount in three units."""
    invoice = answer()
    with pytest.raises(dataclasses.FrozenInstanceError):
        invoice.reused = True  # type: ignore[misc]
    assert {invoice: 1}[answer()] == 1
    amounts = (invoice.amount_msat, invoice.amount_sat, invoice.amount_btc)
    assert amounts == (100_000_000, 100_000, Decimal("0.001"))
    fraction = answer(
        ask(amount_btc="0.0000000015", allow_msat=True), encodedPaymentRequest=pay_to(amount_msat=150)
    )
    assert (fraction.amount_msat, fraction.amount_sat, fraction.asked_msat) == (150, None, None)
    assert invoice.payment_hash == hashlib.sha256(PREIMAGE).hexdigest()


@pytest.mark.parametrize("msat", [1_000, 100_000_001, None])
def test_the_amount_is_that_of_the_payment_request(msat: int | None) -> None:
    """Another amount in the payment request is the invoice's; what was asked is beside it."""
    invoice = answer(encodedPaymentRequest=pay_to(amount_msat=msat))
    assert (invoice.amount_msat, invoice.asked_msat, invoice.alarm) == (msat, 100_000_000, True)
    assert answer(encodedPaymentRequest="lnbcrt1garbage").amount_msat == 100_000_000  # nothing says otherwise


def test_status_follows_the_hubs_clock() -> None:
    """An invoice is open as long as the hub's clock says so, unless the clocks are more than a day apart."""
    hour = timedelta(hours=1)
    late = answer(encodedPaymentRequest=pay_to(timestamp=int((NOW - 30 * hour).timestamp())))
    assert late.status == "expired"
    assert replace(late, clock_ahead=-7 * 3600.0).status == "open"  # this computer is seven hours ahead
    assert replace(answer(), clock_ahead=-7 * 3600.0).status == "open"
    early = answer(encodedPaymentRequest=pay_to(timestamp=int((NOW - 23 * hour).timestamp())))
    assert (early.status, replace(early, clock_ahead=7_200.0).status) == ("open", "expired")
    assert replace(early, clock_ahead=86_401.0).status == "open"
    assert replace(early, clock_ahead=7_200.0) == early  # it is about this computer, not about the invoice


def test_status_follows_the_clock() -> None:
    """An invoice is open until the moment it expires, by its payment request and not by the hub's words."""
    assert answer(expiresAt="2000-01-01T00:00:00Z").status == "open"
    late = answer(encodedPaymentRequest=pay_to(timestamp=int(NOW.timestamp()) - 86_401))
    assert (late.status, late.warnings) == ("expired", ())
    assert replace(late, expires_at=datetime.max.replace(tzinfo=UTC)).status == "open"
    with pytest.raises(InvalidRequest, match="No QR code: the invoice is expired"):
        late.qr()


@pytest.mark.parametrize(
    ("preimage", "paid"),
    [
        (PREIMAGE.hex(), True),
        (PREIMAGE.hex().upper(), True),
        (bytes(32).hex(), False),
        ("", False),
        ("00", False),
        ("not hexadecimal", False),
        ("٠٠", False),
        (None, False),
    ],
)
def test_paid_needs_the_proof(preimage: str | None, *, paid: bool) -> None:
    """Only a preimage whose hash is the payment hash makes it paid; it beats the clock and hides the code."""
    for hours in (0, 48):
        request = pay_to(timestamp=int(NOW.timestamp()) - hours * 3_600)
        invoice = replace(answer(encodedPaymentRequest=request), preimage=preimage)
        assert invoice.paid is paid
        assert invoice.status == ("paid" if paid else "expired" if hours else "open")
    if paid:
        with pytest.raises(InvalidRequest, match="No QR code: the invoice is paid"):
            invoice.qr()


def test_nothing_is_paid_without_a_payment_hash() -> None:
    """An empty or odd preimage proves nothing where the payment request cannot be read."""
    for preimage in (None, "", PREIMAGE.hex()):
        assert not replace(answer(encodedPaymentRequest="?"), preimage=preimage).paid


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_a_preimage_has_32_bytes(length: int) -> None:
    """What has another length proves nothing, though its hash is the payment hash: no node takes it."""
    octets = bytes(length)
    request = pay_to(payment_hash=hashlib.sha256(octets).digest())
    invoice = replace(answer(encodedPaymentRequest=request), preimage=octets.hex())
    assert not invoice.paid
    assert invoice.status == "open"


def test_as_reused() -> None:
    """A known invoice is marked, and warns only if it has expired meanwhile."""
    reused = answer().as_reused()
    assert (reused.reused, reused.warnings) == (True, ())
    assert replace(reused, reused=False) == answer()
    late = answer(encodedPaymentRequest=pay_to(timestamp=int(NOW.timestamp()) - 90_000)).as_reused()
    assert late.warnings == (
        "it has expired meanwhile, so wallets pay it no more; hub.refresh_invoices() tells whether it was "
        "paid before; another ClientId makes a second invoice",
    )
    assert replace(late, warnings=(), clock_ahead=-7 * 3_600.0).as_reused().warnings == ()
    assert replace(late, preimage=PREIMAGE.hex()).as_reused().paid


def test_qr_code() -> None:
    """The code has the scheme in bytes and the request in the denser alphabet, at level M or L when long."""
    code = answer().qr()
    assert (code.error, code.is_micro) == ("M", False)
    long = answer(ask(memo="x" * 600), encodedPaymentRequest=pay_to(description="x" * 600)).qr()
    assert long.error == "L"
    request = answer().payment_request
    assert segno.make(f"lightning:{request.upper()}", error="m", boost_error=False).version > code.version


def test_payment_request_too_long_for_a_qr_code() -> None:
    """A payment request that no QR code can hold is refused as such, and its card still shows."""
    long = replace(answer(), payment_request="lnbcrt" + "q" * 5_000)
    with pytest.raises(InvalidRequest, match="No QR code holds the payment request's 5,006 characters"):
        long.qr()
    assert long.payment_request in long._repr_html_()
