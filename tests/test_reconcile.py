"""Which creations the hub's list settles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hercle_nb import reconcile
from hercle_nb.bolt11 import decode_payment_request, peek_amount
from hercle_nb.bolt11_encode import encode_payment_request
from hercle_nb.calls import Call
from hercle_nb.commands import CREATE
from hercle_nb.invoice_request import InvoiceRequest
from hercle_nb.reconcile import settled_by_list

NOW = 1_800_000_000.0


def listed(
    sat: int = 1000, memo: str = "m", hours: int = 24, at: float = NOW, payment_hash: bytes = bytes(32)
) -> dict[str, Any]:
    """An invoice as the hub lists it."""
    return {
        "id": payment_hash.hex()[:8],
        "encodedPaymentRequest": encode_payment_request(
            currency="bcrt",
            amount_msat=sat * 1000,
            timestamp=int(at),
            payment_hash=payment_hash,
            payment_secret=bytes(32),
            description=memo,
            expiry=hours * 3600,
            private_key=1,
        ),
    }


async def creation(
    client_id: str, sat: int = 1000, memo: str | None = "m", hours: int | None = 24, sent: float | None = NOW
) -> Call:
    """A creation of unknown outcome, sent at a time by the hub's clock."""
    request = InvoiceRequest(None, memo, hours, client_id, amount_sat=sat)
    return Call(CREATE, client_id, request, hub_time=sent, lost_at=None if sent is None else sent + 5)


def settle(calls: list[Any], items: Any, claimed: tuple[str, ...] = ()) -> dict[str, str]:
    """ClientIds that are settled, with the hub's ids."""

    async def run() -> dict[str, str]:
        made = [await call for call in calls]
        found = settled_by_list(made, items, claimed, now=NOW + 5)
        return {str(call.client_id): item.fields["id"] for call, item in found.items()}

    return asyncio.run(run())


def test_exactly_one_fits() -> None:
    """The one invoice with amount, memo, expiry and time as asked is the creation's."""
    others = [listed(sat=1001), listed(memo="n"), listed(hours=25), listed(at=NOW - 3600)]
    assert settle([creation("a")], [*others, listed(payment_hash=b"\x01" * 32)]) == {"a": "01010101"}


def test_a_link_is_read_as_the_request_in_it() -> None:
    """A payment request with the scheme before it settles a creation as it does without."""
    entry = listed()
    entry["encodedPaymentRequest"] = f"lightning:{entry['encodedPaymentRequest'].upper()}"
    assert settle([creation("a")], [entry]) == {"a": "00000000"}


@pytest.mark.parametrize("items", [None, {}, "text", [None, 1, "x", {}, {"encodedPaymentRequest": "lnbc1x"}]])
def test_odd_lists(items: Any) -> None:
    """A list that is none, or holds what is no invoice, settles nothing."""
    assert settle([creation("a")], items) == {}


def test_several_fit() -> None:
    """Two invoices that fit are one too many."""
    assert settle([creation("a")], [listed(), listed(payment_hash=b"\x01" * 32)]) == {}


def test_two_creations_alike() -> None:
    """An invoice that two creations could claim is given to neither."""
    assert settle([creation("a"), creation("b")], [listed()]) == {}
    assert settle([creation("a"), creation("b")], [listed(), listed(payment_hash=b"\x01" * 32)]) == {}


def test_one_of_two_is_told_apart() -> None:
    """Creations that differ get each their own."""
    items = [listed(sat=1), listed(sat=2, payment_hash=b"\x02" * 32)]
    assert settle([creation("a", 1), creation("b", 2)], items) == {"a": "00000000", "b": "02020202"}


def test_claimed_by_another() -> None:
    """An invoice that is another creation's already does not count."""
    assert settle([creation("a")], [listed()], claimed=(bytes(32).hex(),)) == {}
    for spelt in (str.upper, "lightning:{}".format, "  {} ".format):
        entry = listed()
        entry["encodedPaymentRequest"] = spelt(entry["encodedPaymentRequest"])
        assert settle([creation("a")], [entry]) == {"a": "00000000"}
        assert settle([creation("a")], [entry], claimed=(bytes(32).hex(),)) == {}


def test_the_same_invoice_twice() -> None:
    """An invoice that the list shows twice, however it is spelt, is one invoice."""
    entry = listed()
    twice = entry | {"encodedPaymentRequest": entry["encodedPaymentRequest"].upper()}
    assert settle([creation("a")], [entry, twice]) == {"a": "00000000"}


async def named(client_id: str, hub_id: str) -> Call:
    """A creation whose answer named the hub's id and brought no payment request."""
    call = await creation(client_id)
    call.named_id = hub_id
    return call


def test_by_the_hubs_id() -> None:
    """A creation whose answer named an id has the invoice of that id, exactly so spelt, and no other."""
    mine, other = listed(), listed(payment_hash=b"\xab" * 32)
    assert settle([named("a", "00000000")], [mine, other]) == {"a": "00000000"}
    assert settle([named("a", "ABABABAB")], [mine, other]) == {}
    assert settle([named("a", "abababab"), creation("b")], [mine, other]) == {
        "a": "abababab",
        "b": "00000000",
    }
    unreadable = {"id": "inv_9", "encodedPaymentRequest": "lnbcrt1garbage"}
    assert settle([named("a", "inv_9")], [unreadable]) == {"a": "inv_9"}
    wrong = listed(sat=7, at=NOW - 90_000, payment_hash=b"\x03" * 32)  # what is wrong with it is an alarm
    assert settle([named("a", "03030303")], [wrong]) == {"a": "03030303"}


def test_unsent_is_not_settled() -> None:
    """A creation that was never sent has no invoice."""
    assert settle([creation("a", sent=None)], [listed()]) == {}


@pytest.mark.parametrize(("memo", "hours"), [(None, None), ("", 24), (None, 24), ("", None)])
def test_none_and_empty_decode_alike(memo: str | None, hours: int | None) -> None:
    """No memo and an empty one read alike in a payment request, as do no expiry and the hub's default."""
    assert settle([creation("a", memo=memo, hours=hours)], [listed(memo="")]) == {"a": "00000000"}


@pytest.mark.parametrize(
    ("at", "fits"), [(NOW - 59, True), (NOW - 61, False), (NOW + 64, True), (NOW + 66, False)]
)
def test_time_window(at: float, *, fits: bool) -> None:
    """It must be dated between intent and loss, give or take a minute, by the hub's clock."""
    assert bool(settle([creation("a")], [listed(at=at)])) is fits


def test_long_lists_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a list of thousands only those of the right amount are decoded, for decoding takes a millisecond."""
    decoded = []
    monkeypatch.setattr(
        reconcile, "decode_payment_request", lambda t: decoded.append(t) or decode_payment_request(t)
    )
    assert settle([creation("a")], [*[listed(sat=2)] * 5_000, listed()]) == {"a": "00000000"}
    assert len(decoded) == 1


@pytest.mark.parametrize(
    ("text", "msat"),
    [
        (listed()["encodedPaymentRequest"], 1_000_000),
        ("lnbc1xyz", None),
        ("x", None),
        ("", None),
        ("lnbc0u1x", None),
    ],
)
def test_peek_amount(text: str, msat: int | None) -> None:
    """The amount is read off a payment request's beginning, whatever follows."""
    assert peek_amount(text) == msat
    assert peek_amount(text.upper()) == msat
