"""Entries of the hub's list of invoices: how one is read, and what in it does not fit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from hercle_nb.listed import alarmed, merged, read_listed, verified
from tests.answers import NOW, PREIMAGE, answer, pay_to

if TYPE_CHECKING:
    from hercle_nb.invoices import Invoice

HASH = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"


def entry(**changes: Any) -> dict[str, Any]:
    """An entry as the hub writes it, with some fields changed; None leaves a field out."""
    example = {
        "id": "inv_1",
        "userId": "user_1",
        "encodedPaymentRequest": pay_to(),
        "expiresAt": f"{NOW + timedelta(days=1):%Y-%m-%dT%H:%M:%S}.000Z",
        "status": "OPEN",
        "updatedAt": "2026-11-24T12:00:00.250Z",
        "memo": "Payment for services",
        "paymentHash": HASH,
        "amountOriginalValue": 100_000,
        "amountOriginalUnit": "SATOSHI",
    }
    return {name: value for name, value in (example | changes).items() if value is not None}


def read(**changes: Any) -> Invoice:
    """The invoice that an entry makes."""
    invoice = read_listed(entry(**changes), "")
    assert invoice is not None
    return invoice


def test_an_entry_that_fits() -> None:
    """An entry becomes an invoice of nobody here, without a warning; what has no field of its own is kept."""
    invoice = read()
    assert (invoice.client_id, invoice.id, invoice.amount_sat) == (None, "inv_1", 100_000)
    assert (invoice.memo, invoice.status, invoice.hub_status) == ("Payment for services", "open", "OPEN")
    assert (invoice.created_at, invoice.expires_at) == (NOW, NOW + timedelta(days=1))
    assert invoice.updated_at == datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)
    assert invoice.payment_hash == HASH
    assert dict(invoice.extra) == {
        "userId": "user_1",
        "paymentHash": HASH,
        "amountOriginalValue": 100_000,
        "amountOriginalUnit": "SATOSHI",
    }
    assert (invoice.warnings, invoice.alarm) == ((), False)
    assert hash(invoice) == hash(read())


@pytest.mark.parametrize("fields", [None, [], "text", 7, {}, {"id": "x"}, {"encodedPaymentRequest": 7.5}])
def test_what_is_no_entry(fields: Any) -> None:
    """What holds no payment request is no invoice."""
    assert read_listed(fields, "") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paymentHash": "00" * 32}, "says payment hash '0000"),
        ({"paymentPreimage": "00" * 32}, "a preimage that does not hash to the payment hash"),
        ({"paymentPreimage": "no hex"}, "a preimage that does not hash to the payment hash"),
        ({"paymentPreimage": "00" * 33}, "a preimage that is not 32 bytes: it proves no payment"),
        ({"memo": "Tea"}, "says memo 'Tea', the payment request has another one"),
        ({"memo": ""}, "says memo '', the payment request has another one"),
        (
            {"memo": "x", "encodedPaymentRequest": pay_to(description=None, description_hash=bytes(32))},
            "memo 'x'",
        ),
        ({"amountOriginalValue": 100_001}, "says 100001 SATOSHI, the payment request 0.00100000 BTC"),
        ({"amountOriginalValue": Decimal("100000.001")}, "says 100000.001 SATOSHI, the payment request"),
        ({"amountOriginalUnit": "MILLISATOSHI"}, "says 100000 MILLISATOSHI, the payment request"),
        ({"amountOriginalUnit": "DOLLAR"}, "says 100000 DOLLAR, which is no known amount"),
        ({"amountOriginalValue": "1e5"}, "says 1e5 SATOSHI, which is no known amount"),
        ({"amountOriginalValue": Decimal("NaN")}, "says NaN SATOSHI, the payment request"),
        ({"amountOriginalValue": Decimal("1e999999999")}, "the payment request 0.00100000 BTC"),
        (
            {"encodedPaymentRequest": pay_to(amount_msat=None)},
            "says 100000 SATOSHI, the payment request no amount",
        ),
        (
            {"encodedPaymentRequest": pay_to(currency="bc")},
            "for the network 'bc', which is not expected here",
        ),
        ({"encodedPaymentRequest": pay_to(feature_bits=(8, 14, 100))}, "requires features"),
        ({"encodedPaymentRequest": "lnbcrt1garbage"}, "the payment request cannot be read (bad_bech32)"),
    ],
)
def test_each_contradiction_is_an_alarm(changes: dict[str, Any], words: str) -> None:
    """An entry whose parts contradict each other has one warning, and nobody should pay it."""
    invoice = read(**changes)
    assert len(invoice.warnings) == 1
    assert words in invoice.warnings[0]
    assert invoice.alarm


def test_a_preimage_of_another_length_is_an_alarm() -> None:
    """One byte too many proves no payment, though it hashes to the payment hash."""
    octets = bytes(33)
    digest = hashlib.sha256(octets)
    invoice = read(
        encodedPaymentRequest=pay_to(payment_hash=digest.digest()),
        paymentHash=digest.hexdigest(),
        paymentPreimage=octets.hex(),
    )
    assert (invoice.paid, invoice.alarm) == (False, True)
    assert "it proves no payment" in invoice.warnings[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "ARCHIVED"}, "calls it 'ARCHIVED', which is not documented"),
        ({"status": None}, "calls it None, which is not documented"),
        (
            {"expiresAt": "2026-01-01T00:00:00Z"},
            "than the hub says (2026-01-01 00:00:00 UTC)",
        ),
    ],
)
def test_each_oddity_is_a_note(changes: dict[str, Any], words: str) -> None:
    """What is odd, but no reason not to pay, is a warning without an alarm."""
    invoice = read(**changes)
    assert words in invoice.warnings[0]
    assert (len(invoice.warnings), invoice.alarm) == (1, False)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (Decimal("0.001"), "BITCOIN"),
        (1, "MILLIBITCOIN"),
        (Decimal("1000.0"), "MICROBITCOIN"),
        (1_000_000, "NANOBITCOIN"),
        (100_000, "satoshi"),
        (100_000_000, "MILLISATOSHI"),
        (None, "SATOSHI"),
        (100_000, None),
    ],
)
def test_amounts_of_every_unit(value: Any, unit: str | None) -> None:
    """The amount is compared exactly in every unit; a missing one is no contradiction."""
    assert read(amountOriginalValue=value, amountOriginalUnit=unit).warnings == ()


def test_an_amount_that_the_payer_chooses() -> None:
    """No amount in the payment request and 0 in the list are the same."""
    invoice = read(encodedPaymentRequest=pay_to(amount_msat=None), amountOriginalValue=0)
    assert (invoice.amount_msat, invoice.amount_sat, invoice.amount_btc) == (None, None, None)
    assert invoice.warnings == ()


def test_on_production_only_bitcoin_is_expected() -> None:
    """Where real money is expected, a payment request for a test network is the surprise."""
    invoice = read_listed(entry(), "bc")
    assert invoice is not None
    assert "for the network 'bcrt'" in invoice.warnings[0]


def test_paid_and_closed() -> None:
    """Closed with the preimage is paid; closed without it is closed."""
    assert read(status="CLOSED", paymentPreimage=PREIMAGE.hex()).status == "paid"
    assert read(status="OPEN", paymentPreimage=PREIMAGE.hex().upper()).status == "paid"
    assert read(status="CLOSED").status == "closed"
    assert read(status="CLOSED", paymentPreimage="00" * 32).status == "closed"


def test_times_of_what_cannot_be_read() -> None:
    """Where the payment request cannot be read, the list's own times count."""
    invoice = read(
        encodedPaymentRequest="lnbcrt1x", createdAt="2026-11-24T10:00:00Z", expiresAt="2026-11-25T10:00:00Z"
    )
    assert (invoice.created_at.hour, invoice.expires_at.day) == (10, 25)
    assert (invoice.amount_msat, invoice.payment_hash) == (None, None)
    bare = read(encodedPaymentRequest="lnbcrt1x", expiresAt=None)
    assert bare.created_at == bare.expires_at == datetime(1970, 1, 1, tzinfo=UTC)


def test_merging_keeps_what_was_asked() -> None:
    """Merging adds what the list knows; ClientId, answer and what was asked stay as they were."""
    both = merged(answer(), read(status="CLOSED", paymentPreimage=PREIMAGE.hex()))
    assert (both.client_id, both.message, both.http_status) == ("my-invoice-123", "created", 201)
    assert (both.status, both.extra["userId"], both.hub_status) == ("paid", "user_1", "CLOSED")
    assert (both.warnings, both.alarm) == ((), False)


def test_a_proof_is_never_lost() -> None:
    """A list that shows no preimage, or a wrong one, does not take a proof away."""
    paid = replace(answer(), preimage=PREIMAGE.hex())
    assert merged(paid, read()).paid
    wrong = merged(paid, read(paymentPreimage="00" * 32))
    assert wrong.paid
    assert wrong.alarm


def test_an_alarm_stays_once() -> None:
    """An alarm is not lost by a later list, and not repeated by the same one."""
    suspicious = merged(answer(), read(amountOriginalValue=1))
    again = merged(merged(suspicious, read(amountOriginalValue=1)), read())
    assert again.alarm
    assert len(again.warnings) == 1
    assert alarmed(alarmed(answer(), "no"), "no").warnings == ("no",)


def test_the_signature_is_looked_at_later() -> None:
    """A list is read without its signatures; a look at one invoice finds a wrong one."""
    good = read()
    assert good.decoded.payee == answer().decoded.payee
    assert verified(good) is good
    forged = read(encodedPaymentRequest=_with_another_signature(good.payment_request))
    assert (forged.payment_hash, forged.alarm) == (good.payment_hash, False)
    found = verified(forged)
    assert (found.payment_hash, found.decoded, found.alarm) == (None, None, True)
    assert "unrecoverable" in found.warnings[-1]


def _with_another_signature(text: str) -> str:
    """The same payment request, signed by somebody else's broken machine."""
    from hercle_nb import _bech32

    prefix, groups = _bech32.split(text)
    groups = bytearray(_bech32.check(prefix, groups))
    groups[-104:-1] = bytes(103)  # r and s are zero: no key can have made that
    return _bech32.join(prefix, bytes(groups))
