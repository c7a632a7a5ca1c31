"""What came back, compared with what was asked for: which differences alarm, and which are a note."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from hercle_nb.cross_check import judged_here
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoices import read_answer
from tests.answers import NOW, ask, pay_to

if TYPE_CHECKING:
    from hercle_nb.invoice_request import InvoiceRequest
    from hercle_nb.invoices import Invoice

MEANT = 'if that is meant, connect with network="{}"'
SENT_AT = NOW - timedelta(seconds=20)

FOLLOWED = (
    "; what is shown here follows the hub's, but wallets and other programs on this computer do not: "
    "set it right"
)
NOT_FOLLOWED = (
    ", which is too far to follow it: what is open or expired is told by this computer's; "
    "check that it is right"
)


def checked(
    request: InvoiceRequest | None = None,
    *,
    sent_at: datetime | None = SENT_AT,
    clock_ahead: float = 0.0,
    network: str = "",
    expires_at: Any = None,
    **payment: Any,
) -> Invoice:
    """Return the invoice of an answer that came at `NOW` where that network is expected.

    What is left over changes the payment request.
    """
    data = {"httpStatusCode": 201, "encodedPaymentRequest": pay_to(**payment), "expiresAt": expires_at}
    return read_answer(request or ask(), data, NOW, network, sent_at=sent_at, clock_ahead=clock_ahead)


def seconds_later(seconds: float) -> int:
    """Return the timestamp so many seconds after the creation was sent."""
    return int(SENT_AT.timestamp()) + int(seconds)


def assert_only_notes(invoice: Invoice, *notes: str) -> None:
    """Its warnings are these, they show in both reprs, and the QR code stays."""
    assert invoice.warnings == notes
    assert not invoice.alarm
    assert repr(invoice).count("WARNING: ") == invoice._repr_html_().count('role="alert"') == len(notes)
    assert "data:image" in invoice._repr_html_()


# -- alarms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "payment", "sentence"),
    [
        (
            {},
            {"amount_msat": 100_000_001},
            "the payment request asks for 0.00100000001 BTC, not for 0.00100000 BTC",
        ),
        (
            {},
            {"amount_msat": None},
            "the payment request asks for no amount, not for 0.00100000 BTC",
        ),
        (
            {"memo": "tea"},
            {"description": "tee"},
            "the payment request has the memo 'tee', not 'tea'",
        ),
        (
            {"memo": "café"},
            {"description": "cafe\u0301"},
            r"the payment request has the memo 'cafe\u0301', not 'caf\xe9'",
        ),
        (
            {"memo": "tea"},
            {"description": None, "description_hash": hashlib.sha256(b"Tea").digest()},
            "the payment request holds the hash of another memo, not that of 'tea'",
        ),
        (
            {"memo": None},
            {"description": None, "description_hash": hashlib.sha256(b"tea").digest()},
            "the payment request holds the hash of another memo, not that of ''",
        ),
        (
            {},
            {"expiry": 86_399},
            "the payment request is valid for 86,399 s, not for 24 h",
        ),
        (
            {"expiry_hours": None},
            {"expiry": None},
            "the payment request is valid for 3,600 s, not for 24 h",
        ),
        (
            {},
            {"expiry": 2**64 - 1},
            "the payment request is valid for more than 30,000 years, not for 24 h",
        ),
        (
            {},
            {"currency": "bc"},
            "the payment request is for the network 'bc', which is not expected here: "
            'paying it costs real bitcoin; if that is meant, connect with network="bc"',
        ),
    ],
)
def test_a_difference_is_an_alarm(asked: dict[str, Any], payment: dict[str, Any], sentence: str) -> None:
    """Another amount, memo, hash, expiry or network is one loud sentence in both reprs, without QR code."""
    asked = {"memo": "Payment for services"} | asked
    invoice = checked(ask(**asked), **({"description": asked["memo"] or ""} | payment))
    assert invoice.warnings == (sentence,)
    assert invoice.alarm
    assert f"WARNING: {sentence}" in repr(invoice)
    assert 'role="alert"' in invoice._repr_html_()
    assert "data:image" not in invoice._repr_html_()
    with pytest.raises(InvalidRequest, match="No QR code: the invoice is open; the payment request"):
        invoice.qr()


@pytest.mark.parametrize("memo", ["Payment for services", "ナンセンス", "", None, "é" * 319])
def test_the_hash_of_a_memo_stands_for_it(memo: str | None) -> None:
    """Where only the memo's hash is given, that of the memo asked for raises no alarm."""
    digest = hashlib.sha256((memo or "").encode()).digest()
    assert_only_notes(checked(ask(memo=memo), description=None, description_hash=digest))


@pytest.mark.parametrize(
    ("network", "currency", "why"),
    [
        ("bc", "bc", None),
        ("bc", "tb", "where 'bc' is expected: what is paid there is worth nothing"),
        ("bc", "tbs", "where 'bc' is expected: what is paid there is worth nothing"),
        ("bc", "bcrt", "where 'bc' is expected: what is paid there is worth nothing"),
        ("", "bc", f"which is not expected here: paying it costs real bitcoin; {MEANT.format('bc')}"),
        ("", "tb", None),
        ("", "tbs", None),
        ("", "bcrt", None),
        ("tb", "tb", None),
        ("tb", "bc", f"where 'tb' is expected: paying it costs real bitcoin; {MEANT.format('bc')}"),
        ("tb", "tbs", f"where 'tb' is expected: another test network; {MEANT.format('tbs')}"),
        ("tbs", "tb", f"where 'tbs' is expected: another test network; {MEANT.format('tb')}"),
        ("bcrt", "bc", f"where 'bcrt' is expected: paying it costs real bitcoin; {MEANT.format('bc')}"),
        ("bcrt", "bcrt", None),
    ],
)
def test_the_network_that_is_expected(network: str, currency: str, why: str | None) -> None:
    """Another network than the one named is an alarm that says both; where none is, `bc` alone is one."""
    invoice = checked(network=network, currency=currency)
    sentence = f"the payment request is for the network {currency!r}, {why}"
    assert invoice.warnings == ((sentence,) if why else ())
    assert invoice.alarm == bool(why)


def test_judged_where_another_network_is_expected() -> None:
    """An invoice judged anew has the alarm of the network expected here, its other alarms, and its notes."""
    noted = checked(ask(), currency="bc", timestamp=seconds_later(-3_600), expires_at="2000-01-01T00:00:00Z")
    network, *notes = noted.warnings
    assert "'bc'" in network
    assert len(notes) == 2
    assert judged_here(noted.warnings, "bc", "bc", alarm=True) == (tuple(notes), False)
    assert judged_here(tuple(notes), "bc", "", alarm=False) == (noted.warnings, True)
    assert judged_here(noted.warnings, "bc", "", alarm=True) == (noted.warnings, True)
    (old,) = judged_here((network.replace("bitcoin", "money"),), "bc", "", alarm=True)[0]
    assert old == network
    for other in ("the payment request asks for no amount", "what no version of this says"):
        assert judged_here((network, other), "bc", "bc", alarm=True) == ((other,), True)
    assert judged_here((), "bc", "bc", alarm=True) == ((), True)
    assert judged_here(("cannot be read",), None, "", alarm=True) == (("cannot be read",), True)


def test_alarms_come_before_notes() -> None:
    """All that differs is said at once: alarms first, then the notes about the clocks."""
    invoice = checked(
        ask(amount_btc="0.002", memo="tea", expiry_hours=1),
        clock_ahead=-90.0,
        expires_at="2000-01-01T00:00:00Z",
        feature_bits=(8, 14, 100),
        timestamp=seconds_later(-3_600),
    )
    beginnings = [
        "the payment request asks for",
        "the payment request has the memo",
        "the payment request is valid for",
        "It requires features",
        "this computer's clock",
        "the payment request is dated",
        "the payment request expires",
    ]
    assert len(invoice.warnings) == len(beginnings)
    assert all(map(str.startswith, invoice.warnings, beginnings))
    assert invoice.alarm


# -- notes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-60, 0, 10, 20, 80])
def test_made_while_we_waited(seconds: int) -> None:
    """A payment request made between sending and answer, a minute more or less, is as it should be."""
    assert_only_notes(checked(timestamp=seconds_later(seconds)))


@pytest.mark.parametrize(
    ("seconds", "when"),
    [
        (-61, "1 minute 1 second before it was asked for"),
        (-3_600, "1 hour before it was asked for"),
        (81, "1 minute 1 second after it came"),
        (20 + 2 * 3_600 + 120, "2 hours 2 minutes after it came"),
    ],
)
def test_made_at_another_time(seconds: int, when: str) -> None:
    """One made earlier or later is noted with its time and by how much; the QR code stays."""
    made = datetime.fromtimestamp(seconds_later(seconds), UTC)
    note = f"the payment request is dated {made:%Y-%m-%d %H:%M:%S} UTC, {when} (by the hub's clock)"
    assert_only_notes(checked(timestamp=seconds_later(seconds)), note)


@pytest.mark.parametrize("clock_ahead", [-50.0, 50.0])
def test_made_by_the_hubs_clock(clock_ahead: float) -> None:
    """The time of sending and of the answer are those of the hub's clock, ahead or behind."""
    assert_only_notes(checked(clock_ahead=clock_ahead, timestamp=seconds_later(clock_ahead - 60)))
    assert_only_notes(checked(clock_ahead=clock_ahead, timestamp=seconds_later(clock_ahead + 80)))
    early = checked(clock_ahead=clock_ahead, timestamp=seconds_later(clock_ahead - 61))
    assert "1 minute 1 second before it was asked for" in early.warnings[0]
    late = checked(clock_ahead=clock_ahead, timestamp=seconds_later(clock_ahead + 81))
    assert "1 minute 1 second after it came" in late.warnings[0]


def test_without_a_time_of_sending() -> None:
    """Where it is not known when it was sent, the time of the payment request is not looked at."""
    assert_only_notes(checked(sent_at=None, timestamp=seconds_later(-3_600)))


@pytest.mark.parametrize(
    ("clock_ahead", "says", "means"),
    [
        (60.0, None, ""),
        (-60.0, None, ""),
        (60.6, "1 minute 1 second behind", FOLLOWED),
        (-90.0, "1 minute 30 seconds ahead of", FOLLOWED),
        (3_599.7, "1 hour behind", FOLLOWED),
        (-7_265.0, "2 hours 1 minute ahead of", FOLLOWED),
        (-86_400.0, "1 day ahead of", FOLLOWED),
        (90_000.0, "1 day 1 hour behind", NOT_FOLLOWED),
        (-90_000.0, "1 day 1 hour ahead of", NOT_FOLLOWED),
        (2e11, "2,314,814 days 19 hours behind", NOT_FOLLOWED),
    ],
)
def test_clocks_that_differ(clock_ahead: float, says: str | None, means: str) -> None:
    """A hub whose clock is more than a minute off is noted once: by how much, and whether it is followed."""
    note = f"this computer's clock is {says} the hub's{means}"
    assert_only_notes(checked(clock_ahead=clock_ahead, sent_at=None), *([note] if says else []))


def test_an_absurd_clock_does_no_harm() -> None:
    """A hub that dates itself in the year 9999 costs two notes, and nothing else."""
    invoice = checked(clock_ahead=2.5e11)
    assert len(invoice.warnings) == 2
    assert not invoice.alarm


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (-60, None),
        (0, None),
        (60, None),
        (-61, "1 minute 1 second later"),
        (61, "1 minute 1 second earlier"),
        (-7_200, "2 hours later"),
        (86_400 * 29, "29 days earlier"),
    ],
)
def test_the_hubs_own_expiry(seconds: int, says: str | None) -> None:
    """An `expiresAt` more than a minute off is noted with both times and the difference in words."""
    ours = NOW + timedelta(hours=24)
    theirs = ours + timedelta(seconds=seconds)
    invoice = checked(expires_at=theirs.isoformat().replace("+00:00", ".000Z"))
    note = (
        f"the payment request expires at {ours:%Y-%m-%d %H:%M:%S} UTC, {says} than the hub says "
        f"({theirs:%Y-%m-%d %H:%M:%S} UTC); wallets go by the payment request"
    )
    assert_only_notes(invoice, *([note] if says else []))
    assert invoice.expires_at == ours


def test_an_unreadable_payment_request_has_no_times() -> None:
    """Of a payment request that cannot be read nothing is compared, but clocks that differ are noted."""
    data = {"httpStatusCode": 201, "encodedPaymentRequest": "lnbc1x", "expiresAt": "2000-01-01T00:00:00Z"}
    invoice = read_answer(ask(), data, NOW, "", sent_at=SENT_AT, clock_ahead=120.0)
    assert invoice.alarm
    assert len(invoice.warnings) == 2
    assert invoice.warnings[1].startswith("this computer's clock is 2 minutes behind the hub's")
