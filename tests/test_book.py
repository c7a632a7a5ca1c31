"""The book of invoices: what the hub's list changes in it, and how an invoice is found."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

import hercle_nb as hercle
from hercle_nb.book import Book, Resolution
from hercle_nb.calls import Call
from hercle_nb.commands import CREATE
from hercle_nb.errors import CommandRejected
from tests.answers import NOW, PREIMAGE, answer, ask, pay_to
from tests.test_listed import entry

OTHER = bytes(reversed(range(32)))
TEXT = pay_to(payment_hash=hashlib.sha256(OTHER).digest(), description="Tea", amount_msat=5_000)
TEA = {
    "id": "inv_2",
    "encodedPaymentRequest": TEXT,
    "paymentHash": None,
    "memo": "Tea",
    "amountOriginalValue": 5,
}


def creation(client_id: str = "my-invoice-123", **changes: Any) -> Call:
    """A creation that was sent."""

    async def make() -> Call:
        request = ask(client_id=client_id)
        return Call(CREATE, client_id, request, sent_at=NOW, **changes)

    return asyncio.run(make())


@pytest.fixture
def book() -> Book:
    """A book with one invoice made here."""
    book = Book("")
    call = book.creations["my-invoice-123"] = creation()
    book.adopt(call, answer())
    return book


def test_the_list_is_merged(book: Book) -> None:
    """Ours gets what the list knows, one made elsewhere is added; the same list again changes nothing."""
    items = [entry(), entry(**TEA)]
    for _ in range(2):
        assert book.merge(items) == []
        ours, other = book.invoices()
        assert (ours.client_id, ours.hub_status) == ("my-invoice-123", "OPEN")
        assert (other.client_id, other.id, other.amount_msat, other.memo) == (None, "inv_2", 5_000, "Tea")


@pytest.mark.parametrize("items", [None, {}, "text", 7, [None, 7, "x", {}, [], {"id": "inv_1"}]])
def test_odd_lists(book: Book, items: Any) -> None:
    """A list that is none, or holds what is no invoice, changes nothing and raises nothing."""
    before = book.invoices()
    assert book.merge(items) == []
    assert book.invoices() == before


def test_what_a_list_lacks_stays(book: Book) -> None:
    """An invoice that a later list does not show any more is still known."""
    book.merge([entry(), entry(**TEA)])
    book.merge([])
    assert len(book.invoices()) == 2


def test_payments_are_seen_once(book: Book) -> None:
    """A payment is reported by the list that first shows it; what the first list shows paid is not new."""
    paid = {"status": "CLOSED", "paymentPreimage": OTHER.hex()}
    assert book.merge([entry(), entry(**TEA, **paid)]) == []
    (seen,) = book.merge([entry(status="CLOSED", paymentPreimage=PREIMAGE.hex()), entry(**TEA, **paid)])
    assert (seen.client_id, seen.status) == ("my-invoice-123", "paid")
    assert book.merge([entry(status="CLOSED", paymentPreimage=PREIMAGE.hex())]) == []


def test_a_payment_of_one_made_elsewhere(book: Book) -> None:
    """An invoice made elsewhere that appears paid in a later list was paid since."""
    book.merge([])
    (seen,) = book.merge([entry(**TEA, status="CLOSED", paymentPreimage=OTHER.hex())])
    assert (seen.id, seen.status) == ("inv_2", "paid")
    assert seen.decoded is not None
    assert seen.decoded.payee  # its signature was looked at


def test_same_id_with_another_payment_request(book: Book) -> None:
    """One hub id with two payment requests is an alarm on both, and they are not merged."""
    book.merge([entry(**(TEA | {"id": "inv_1"}))])
    ours, other = book.invoices()
    for invoice in (ours, other):
        assert invoice.alarm
        assert "two payment requests for one invoice ('inv_1')" in invoice.warnings[-1]
    assert ours.memo == "Payment for services"
    assert (ours.hub_status, other.hub_status) == (None, "OPEN")
    with pytest.raises(hercle.InvalidRequest, match="No QR code"):
        book.find("my-invoice-123").qr()


def test_same_id_with_another_payment_request_elsewhere(book: Book) -> None:
    """That holds for two invoices made elsewhere as well, in one list or in two."""
    book.merge([entry(**TEA)])
    book.merge(
        [entry(**(TEA | {"encodedPaymentRequest": pay_to(payment_hash=bytes(32), amount_msat=5_000)}))]
    )
    assert [invoice.alarm for invoice in book.invoices()] == [False, True, True]


def test_same_payment_hash_in_another_payment_request(book: Book) -> None:
    """Another payment request with the same payment hash is no update of the one that is known."""
    book.merge([entry(encodedPaymentRequest=pay_to(amount_msat=1_000), amountOriginalValue=1)])
    ours, other = book.invoices()
    assert ours.alarm
    assert other.alarm
    assert ours.amount_msat == 100_000_000


def test_an_unreadable_payment_request_merges_by_id() -> None:
    """Where no payment hash can be read, the same text under the same id is the same invoice."""
    book = Book("")
    call = book.creations["my-invoice-123"] = creation()
    book.adopt(call, answer(encodedPaymentRequest="lnbcrt1x"))
    book.merge([entry(encodedPaymentRequest="lnbcrt1x", status="CLOSED")])
    (ours,) = book.invoices()
    assert (ours.client_id, ours.status) == ("my-invoice-123", "closed")


def test_the_list_may_come_before_the_answer() -> None:
    """An invoice that the list showed first becomes ours when its answer comes, and is not there twice."""
    book = Book("")
    call = book.creations["my-invoice-123"] = creation()
    book.merge([entry(status="CLOSED", paymentPreimage=PREIMAGE.hex())])
    book.adopt(call, answer())
    (ours,) = book.invoices()
    assert (ours.client_id, ours.status, ours.extra["userId"]) == ("my-invoice-123", "paid", "user_1")


def test_the_answer_outranks_the_list() -> None:
    """Where the list was understood wrongly, the hub's own answer corrects it, with a note."""
    book = Book("")
    call = book.creations["my-invoice-123"] = creation()
    wrong = answer(id="inv_2", encodedPaymentRequest=pay_to(payment_hash=bytes(32)))
    book.adopt(call, wrong)
    book.adopt(call, answer())
    ours, other = book.invoices()
    assert (ours.client_id, ours.id, ours.alarm) == ("my-invoice-123", "inv_1", False)
    assert "understood to mean 'inv_2'" in ours.warnings[-1]
    assert (other.client_id, other.id) == (None, "inv_2")


def test_a_late_refusal_outranks_the_list() -> None:
    """Where the hub refuses what the list was understood to show, the invoice is somebody else's."""
    book = Book("")
    call = book.creations["my-invoice-123"] = creation()
    book.adopt(call, answer())
    call.rejection = CommandRejected("The hub said no.", message="no")
    book.refused(call)
    (other,) = book.invoices()
    assert (other.client_id, other.id) == (None, "inv_1")
    assert list(book.frame()["status"]) == ["open", "rejected"]


def test_the_answer_confirms_the_list() -> None:
    """Where the list was understood rightly, the hub's own answer takes the note away and keeps the rest."""
    book = Book("")
    call = book.creations["my-invoice-123"] = creation()
    book.adopt(call, replace(answer(), warnings=("matched by the hub's list",)))
    book.merge([entry()])
    book.adopt(call, answer())
    (ours,) = book.invoices()
    assert (ours.warnings, ours.hub_status) == ((), "OPEN")


@pytest.mark.parametrize(
    "key",
    [
        "my-invoice-123",
        "inv_1",
        answer().payment_hash,
        str(answer().payment_hash).upper(),
        answer().payment_request,
        f" lightning:{answer().payment_request.upper()}\n",
        f"bitcoin:?lightning={answer().payment_request}",
        f"“{answer().payment_request[:200]}\n{answer().payment_request[200:]}”",
        answer(),
    ],
)
def test_finding(book: Book, key: Any) -> None:
    """An invoice is found by every name it has, as it stands now."""
    book.merge([entry(status="CLOSED", paymentPreimage=PREIMAGE.hex())])
    assert book.find(key).status == "paid"


@pytest.mark.parametrize(
    "key", ["nothing", "x" * 5_000, "my-invoice-123.", "(inv_1)", "lnbc1 " * 100_000, "", None, 7, "lnbcrt1x"]
)
def test_not_finding(book: Book, key: Any) -> None:
    """What is not known is refused, with the way to ask the hub."""
    with pytest.raises(
        hercle.InvalidRequest, match=r"refresh_invoices\(\) asks|invoice\(\) takes a ClientId"
    ) as error:
        book.find(key)
    assert len(str(error.value)) < 250


def test_ids_of_the_hub_are_found_exactly() -> None:
    """Two invoices whose ids differ in case alone are two: each is found by its own."""
    book = Book("")
    other = pay_to(payment_hash=hashlib.sha256(OTHER).digest())
    entries = [entry(id="INV_A"), entry(id="inv_a", encodedPaymentRequest=other, paymentHash=None)]
    book.merge(entries)
    assert [book.find(key).id for key in ("INV_A", "inv_a")] == ["INV_A", "inv_a"]
    with pytest.raises(hercle.InvalidRequest, match="is known here"):
        book.find("Inv_A")
    assert {invoice.alarm for invoice in book.invoices()} == {False}


@pytest.mark.parametrize("spell", [str.upper, "lightning:{}".format, "LIGHTNING:{}".format])
def test_a_payment_request_spelt_otherwise_is_the_same(book: Book, spell: Any) -> None:
    """An entry whose payment request is spelt otherwise is the invoice that is known, and no alarm."""
    text = spell(entry()["encodedPaymentRequest"])
    assert book.merge([entry(encodedPaymentRequest=text, memo="Payment for services")]) == []
    (invoice,) = book.invoices()
    assert (invoice.client_id, invoice.hub_status, invoice.alarm) == ("my-invoice-123", "OPEN", False)
    assert book.is_open_in_list(invoice)
    assert book.listed(invoice) is not None
    assert book.find(text) == invoice


def test_twins_made_elsewhere() -> None:
    """Two payment requests made elsewhere with one payment hash both stay, each with an alarm."""
    book = Book("")
    twin = pay_to(amount_msat=5_000)
    items = [entry(), entry(id="inv_2", encodedPaymentRequest=twin, amountOriginalValue=5)]
    for _ in range(2):
        book.merge(items)
        found = {invoice.id: invoice for invoice in book.invoices()}
        assert set(found) == {"inv_1", "inv_2"}
        assert all("one payment hash" in invoice.warnings[-1] for invoice in found.values())
        assert all(invoice.alarm for invoice in found.values())


def test_a_claimed_invoice_is_not_put_elsewhere(book: Book) -> None:
    """While an answer is being made durable its invoice is nobody else's, however the list spells it."""
    call = book.creations["b"] = creation("b")
    call.claimed = hashlib.sha256(OTHER).hexdigest()
    book.merge([entry(**TEA | {"encodedPaymentRequest": TEXT.upper()})])
    assert [invoice.client_id for invoice in book.invoices()] == ["my-invoice-123"]


def test_a_clock_that_was_set_is_followed(book: Book) -> None:
    """An entry that says nothing new is followed all the same where the difference of the clocks changed."""
    for ahead in (0.0, 7_200.0, 7_200.4):
        book.merge([entry(), entry(**TEA)], ahead)
        assert {invoice.clock_ahead for invoice in book.invoices()} == {7_200.0 if ahead else 0.0}


def test_the_warning_about_clocks_follows_them(book: Book) -> None:
    """More than a day apart is warned of whenever the list says so, and no longer once it is mended."""
    for ahead, told in ((0.0, 0), (90_000.0, 1), (-90_000.0, 1), (0.0, 0)):
        book.merge([entry(), entry(**TEA)], ahead)
        for invoice in book.invoices():
            assert sum(text.startswith("this computer's clock is") for text in invoice.warnings) == told


def test_finding_a_creation_without_invoice(book: Book) -> None:
    """A ClientId that was refused, or whose outcome is unknown, says so."""
    book.creations["lost"] = creation("lost")
    book.creations["refused"] = creation(
        "refused", rejection=CommandRejected("The hub said no.", message="no")
    )
    with pytest.raises(hercle.InvalidRequest, match=r"hub.resolve\('lost'\) asks"):
        book.find("lost")
    with pytest.raises(hercle.InvalidRequest, match="The hub said no"):
        book.find("refused")


def test_frame(book: Book) -> None:
    """Every invoice and every creation that came to none is a row, in the order of time, with its words."""
    book.merge([entry(), entry(**TEA)])
    book.creations["lost"] = creation("lost")
    refusal = CommandRejected("The hub refused: too much", message="too much", http_status=400)
    book.creations["refused"] = creation("refused", rejection=refusal)
    book.creations["under-way"] = creation("under-way", waiting=1)
    frame = book.frame()
    assert list(frame.index) == ["my-invoice-123", "inv_2", "lost", "refused"]
    assert list(frame["status"]) == ["open", "open", "unknown", "rejected"]
    assert list(frame["amount_msat"]) == [100_000_000, 5_000, 100_000_000, 100_000_000]
    assert frame.loc["refused", ["http_status", "message"]].tolist() == [400, "too much"]
    assert "hub.resolve('lost')" in frame.loc["lost", "message"]
    assert frame.loc["my-invoice-123", "message"] == "created"
    assert frame["created_at"].isna().tolist() == [False, False, True, True]


def test_invoices_of_one_second_stand_as_they_were_sent(book: Book) -> None:
    """A payment request's time is in whole seconds: within one the order is that of the commands."""
    for client_id, milliseconds in (("second", 20), ("first", 10)):
        call = book.creations[client_id] = creation(client_id)
        call.sent_at = NOW + timedelta(milliseconds=milliseconds)
        text = pay_to(payment_hash=hashlib.sha256(client_id.encode()).digest())
        book.adopt(call, answer(ask(client_id=client_id), id=client_id, encodedPaymentRequest=text))
    assert list(book.frame().index) == ["my-invoice-123", "first", "second"]


def test_without_invoice(book: Book) -> None:
    """Creations that were refused or are unknown, dismissed ones too; not one under way, nor an invoice's."""
    assert book.without_invoice() == []
    refusal = CommandRejected("The hub refused: too much", message="too much")
    book.creations["lost"] = creation("lost")
    book.creations["dismissed"] = creation("dismissed", dismissed=True)
    book.creations["refused"] = creation("refused", rejection=refusal)
    book.creations["under-way"] = creation("under-way", waiting=1)
    assert [call.client_id for call in book.without_invoice()] == ["lost", "dismissed", "refused"]
    book.adopt(book.creations["lost"], answer(id="inv_3"))
    assert [call.client_id for call in book.without_invoice()] == ["dismissed", "refused"]


def test_listed(book: Book) -> None:
    """What the hub's list said of an invoice is kept as it was sent, the last time it did."""
    (ours,) = book.invoices()
    assert book.listed(ours) is None
    book.merge([entry(), entry(**TEA)])
    ours, other = book.invoices()
    assert (book.listed(ours), book.listed(other)) == (entry(), entry(**TEA))
    paid = entry(status="CLOSED", paymentPreimage=PREIMAGE.hex())
    book.merge([paid])
    ours, other = book.invoices()
    assert (book.listed(ours), book.listed(other)) == (paid, entry(**TEA))


@pytest.mark.parametrize("full", [True, False])
def test_frame_dtypes(book: Book, full: bool) -> None:
    """The dtypes are fixed, for an empty frame as well."""
    frame = book.frame() if full else Book("").frame()
    dtypes = {
        "status": "category",
        "amount_sat": "Int64",
        "memo": "str",
        "created_at": "datetime64[us, UTC]",
        "expires_at": "datetime64[us, UTC]",
        "updated_at": "datetime64[us, UTC]",
        "id": "str",
        "amount_msat": "Int64",
        "amount_btc": "float64",
        "asked_msat": "Int64",
        "payment_hash": "str",
        "preimage": "str",
        "payment_request": "str",
        "http_status": "Int64",
        "message": "str",
    }
    assert list(frame.dtypes.astype(str).items()) == list(dtypes.items())
    assert list(frame["status"].cat.categories) == [
        "open",
        "paid",
        "expired",
        "closed",
        "rejected",
        "unknown",
    ]
    assert (frame.index.name, str(frame.index.dtype)) == ("client_id", "str")
    assert len(frame) == full


def test_an_alarm_is_the_message(book: Book) -> None:
    """What is not as it should be stands in the row's message."""
    book.merge([entry(amountOriginalValue=1)])
    assert book.frame()["message"].iloc[0].startswith("the hub's list says 1 SATOSHI")


def test_a_fraction_has_no_sat() -> None:
    """An amount that is no whole number of satoshis is NA in satoshis and exact in millisatoshis."""
    book = Book("")
    text = pay_to(amount_msat=1_500)
    book.merge(
        [entry(encodedPaymentRequest=text, amountOriginalValue=1_500, amountOriginalUnit="MILLISATOSHI")]
    )
    row = book.frame().iloc[0]
    assert (row["amount_msat"], row["amount_btc"]) == (1_500, 1.5e-8)
    assert pd.isna(row["amount_sat"])


def test_unresolved(book: Book) -> None:
    """Commands nobody waits for any more and whose end is not known, but for those dismissed."""
    book.creations["lost"] = creation("lost")
    book.creations["dismissed"] = creation("dismissed", dismissed=True)
    book.creations["under-way"] = creation("under-way", waiting=1)
    book.others["other"] = asyncio.run(_other())
    assert [call.client_id for call in book.unresolved()] == ["lost", "other"]


async def _other() -> Call:
    return Call("Transfer", "other", sent_at=NOW)


@pytest.mark.parametrize("outcome", ["adopted", "not found", "several", "dismissed"])
def test_a_resolution_says_what_to_do(outcome: Any) -> None:
    """The text of a resolution names the command and its outcome."""
    assert repr(Resolution("lost", outcome)).startswith(f"<lost: {outcome}: ")
