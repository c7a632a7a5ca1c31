"""The verbs of a hub, on the simulator and on ASP.NET Core SignalR."""

from __future__ import annotations

import json
import random
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from hercle_nb.invoice_request import DEFAULT_EXPIRY_HOURS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import HubProcess

PAGE_EXAMPLE = ("0.001", "Payment for services", 24)


def wait_until(condition, seconds: float = 5.0) -> None:
    """Wait for something that another thread or process is about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_page_example(hub: hercle.Hub, server: HubProcess) -> None:
    """The command page's example gives an invoice that says what was asked for."""
    invoice = hub.create_invoice(0.001, "Payment for services", 24, client_id="my-invoice-123")
    assert invoice.client_id == "my-invoice-123"
    assert invoice.status == "open"
    assert not invoice.paid
    assert not invoice.reused
    assert invoice.warnings == ()
    assert invoice.amount_msat == invoice.decoded.amount_msat == 100_000_000
    assert invoice.amount_sat == 100_000
    assert invoice.amount_btc == Decimal("0.001")
    assert invoice.decoded.description == "Payment for services"
    assert invoice.decoded.expiry == 24 * 3600
    assert (invoice.expires_at - invoice.created_at).total_seconds() == 24 * 3600
    assert invoice.http_status == 201
    assert server.get("stats")["invoices"][0]["id"] == invoice.id


def test_wire_bytes(hub: hercle.Hub, server: HubProcess) -> None:
    """Four positional arguments go out, byte for byte as on the page, with the key on POST and GET alone."""
    hub.create_invoice(0.001, "Payment for services", 24, client_id="my-invoice-123")
    stats = server.stats()
    assert stats["received"] == [
        '{"type":1,"invocationId":"1","target":"CreateLightningInvoice",'
        '"arguments":["my-invoice-123",0.001,"Payment for services",24]}'
    ]
    assert [(r["method"], r["key"]) for r in stats["requests"]] == [("POST", "header"), ("GET", "header")]
    assert stats["headersSeen"] == []
    assert stats["keySeenInPayload"] is False


def test_twenty_random_requests(server: HubProcess) -> None:
    """Whatever is validly asked for is what the decoded payment request says, to the millisatoshi."""
    rng = random.Random(4)
    memos = ["", "☕ für 2", "ナンセンス 1杯", "a" * 639, "é" * 319, '"quoted" \\ and <b>', None]
    with hercle.connect(url=server.url, api_key=server.key, journal=False, max_btc=None) as hub:
        for _ in range(20):
            msat = rng.choice([rng.randrange(1, 10**6), rng.randrange(1, 10**12), 21 * 10**17])
            memo, hours = rng.choice(memos), rng.choice([None, 1, 24, 720, rng.randint(1, 720)])
            btc = Decimal(msat).scaleb(-11)
            invoice = hub.create_invoice(btc, memo, hours, allow_msat=True)
            assert invoice.warnings == ()
            assert invoice.decoded.amount_msat == invoice.amount_msat == msat
            assert invoice.decoded.description == (memo or "")
            assert invoice.decoded.expiry_effective == (hours or DEFAULT_EXPIRY_HOURS) * 3600
            assert invoice.memo == memo
            assert invoice.expiry_hours == hours


def test_none_goes_out_as_null(hub: hercle.Hub, server: HubProcess) -> None:
    """A memo and an expiry that were not given are sent as null."""
    hub.create_invoice(amount_sat=1, client_id="a")
    assert json.loads(server.stats()["received"][0])["arguments"] == ["a", 1e-08, None, None]
    assert "0.00000001," in server.stats()["received"][0]


def test_answer_is_in_events(hub: hercle.Hub) -> None:
    """When create_invoice returns, its command and its answer are rows of the frame."""
    hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    frame = hub.events
    assert list(frame["kind"]) == ["connection", "command", "event"]
    assert list(frame["target"][1:]) == ["CreateLightningInvoice", "executionEvents"]
    assert frame["subject"].iloc[-1] == "execution.invoice.created"
    assert frame["client_id"].iloc[-1] == "a"
    assert frame["data"].iloc[-1]["httpStatusCode"] == 201
    assert json.loads(frame["raw"].iloc[-1])["target"] == "executionEvents"


def test_same_client_id_sends_nothing(hub: hercle.Hub, server: HubProcess) -> None:
    """The same ClientId with the same arguments, however written, returns the known invoice."""
    first = hub.create_invoice(0.001, "m", 24, client_id="a")
    again = hub.create_invoice(amount_sat=100_000, memo="m", expiry_hours=24, client_id="a")
    assert again.reused
    assert again.payment_request == first.payment_request
    assert "not sent again" in repr(again)
    assert server.created() == 1


@pytest.mark.parametrize(
    "other", [("0.002", "m", 24), ("0.001", "n", 24), ("0.001", "m", None), ("0.001", None, 24)]
)
def test_same_client_id_other_arguments(hub: hercle.Hub, server: HubProcess, other: tuple) -> None:
    """The same ClientId with other arguments is refused before anything is sent."""
    hub.create_invoice("0.001", "m", 24, client_id="a")
    with pytest.raises(hercle.InvalidRequest, match="was used for another invoice"):
        hub.create_invoice(*other, client_id="a")
    assert server.created() == 1


@pytest.mark.parametrize("journal", [False, True])
def test_a_client_id_is_used_once(server: HubProcess, tmp_path: Path, *, journal: bool) -> None:
    """A ClientId under which something was sent is refused for anything else, with a journal and without."""
    place = str(tmp_path / "journal.db") if journal else False
    amount = hercle.InvoiceRequest("0.001").amount_btc
    with hercle.connect(url=server.url, api_key=server.key, journal=place) as hub:
        hub.create_invoice("0.001", "m", 24, client_id="created")
        hub.command("CreateLightningInvoice", amount, "m", 24, client_id="commanded")
        hub.invoke("CreateLightningInvoice", "invoked", amount, "m", 24)
        before = server.created()
        for client_id in ("created", "commanded", "invoked"):
            for again in (
                lambda name: hub.command("CreateLightningInvoice", amount, "m", 24, client_id=name),
                lambda name: hub.command("createlightninginvoice", amount, None, 1, client_id=name),
                lambda name: hub.invoke("CreateLightningInvoice", name, amount, "m", 24),
                lambda name: hub.create_invoice("0.002", "m", 24, client_id=name),
            ):
                with pytest.raises(hercle.InvalidRequest, match=rf"ClientId {client_id} was used for"):
                    again(client_id)
        assert server.created() == before
        hub.command("GetBalances", client_id="created")  # a query changes nothing
        hub.invoke("GetLightningInvoices", "commanded")


def test_two_threads_one_client_id(hub: hercle.Hub, server: HubProcess) -> None:
    """Threads that create under one ClientId at once get one invoice."""
    server.mode(replyDelayMs=100)
    made: list[hercle.Invoice] = []
    threads = [
        threading.Thread(target=lambda: made.append(hub.create_invoice(*PAGE_EXAMPLE, client_id="a")))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({invoice.payment_request for invoice in made}) == 1
    assert sum(not invoice.reused for invoice in made) == 1
    assert server.created() == 1


@pytest.mark.parametrize(
    ("mode", "words", "status"),
    [
        (
            {"errorSubject": "execution.invoice.error"},
            "ACCOUNT_LOCKED: The account may not create invoices",
            None,
        ),
        ({"failStatus": 400}, "The invoice could not be created", 400),
        ({"errorSubject": "preChecksError"}, "ACCOUNT_LOCKED: The account may not create invoices", None),
    ],
)
def test_rejected(hub: hercle.Hub, server: HubProcess, mode: dict, words: str, status: int | None) -> None:
    """A refusal carries the hub's words, and the same ClientId is not sent again."""
    server.mode(**mode)
    with pytest.raises(hercle.CommandRejected) as caught:
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert caught.value.message == words
    assert caught.value.http_status == status
    assert words in str(caught.value)
    server.mode()
    with pytest.raises(hercle.CommandRejected):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert server.created() == 0
    assert hub.create_invoice(*PAGE_EXAMPLE, client_id="b").status == "open"


def test_proves_nothing(hub: hercle.Hub, server: HubProcess) -> None:
    """A status of 5xx says nothing about what was done."""
    server.mode(failStatus=504)
    with pytest.raises(hercle.OutcomeUnknown) as caught:
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert caught.value.client_id == "a"
    assert caught.value.method == "CreateLightningInvoice"
    assert caught.value.sent_at.tzinfo is not None


@pytest.mark.parametrize(
    "mode",
    [
        {"dataAsString": True},
        {"omitClientId": True},
        {"bareEnvelope": True},
        {"bareEnvelope": True, "dataAsString": True},
    ],
)
def test_envelope_shapes(hub: hercle.Hub, server: HubProcess, mode: dict) -> None:
    """Each shape that the documentation draws is understood, whatever it leaves out."""
    server.mode(**mode)
    first = hub.create_invoice("0.001", "one", 24)
    second = hub.create_invoice("0.002", "two", 24)
    assert (first.decoded.description, second.decoded.description) == ("one", "two")
    assert hub.command("GetBalances").data["baseCurrency"] == "EUR"


def test_odd_events_are_rows(hub: hercle.Hub, server: HubProcess) -> None:
    """Events of any target, subject and shape are rows, garbage and unknown types too."""
    server.post("push", {"target": "neverHeardOf", "subject": "a.b.c"})
    for arguments in ([], ["x", 1], [None], ["text"], [{"data": '{"a": 0.10}'}]):
        server.post("push", {"target": "other", "arguments": arguments})
    server.post("raw", 'no json␞{"type":42}␞{"type":1,"target":"half"}␞')
    wait_until(lambda: len(hub.events) == 10)
    frame = hub.events.iloc[1:]
    assert list(frame["target"].fillna("-")) == ["neverHeardOf", *["other"] * 5, "-", "-", "half"]
    assert frame["subject"].iloc[0] == "a.b.c"
    assert frame["data"].iloc[2] == ["x", 1]
    assert frame["data"].iloc[5] == {"a": Decimal("0.10")}
    assert list(frame["type"].iloc[6:8]) == ["not JSON", "message type 42"]
    assert frame["raw"].iloc[6] == "no json"
    assert hub.create_invoice(*PAGE_EXAMPLE).status == "open"


def test_command(hub: hercle.Hub) -> None:
    """A command puts the ClientId first and returns the event that answers it."""
    event = hub.command("GetBalances", client_id="q")
    assert (event.subject, event.client_id, event.kind) == ("account.balances.snapshot", "q", "event")
    assert event.data["assets"][0]["available"] == Decimal("0.5")
    assert hub.command("getlightninginvoices").data == []


def test_invoke(hub: hercle.Hub, server: HubProcess) -> None:
    """The bare call returns with the completion; a subscription's events come into the log."""
    assert hub.invoke("SubscribePairPriceChannel", "p", "BTCUSDT", 1) is None
    wait_until(lambda: (hub.events["subject"] == "execution.feeds.priceUpdate").sum() > 2)
    assert hub.invoke("UnsubscribePairPriceChannel", "p", "BTCUSDT", 1) is None


def test_price_updates_answer_nobody(hub: hercle.Hub, server: HubProcess) -> None:
    """A stream's event that carries the ClientId of a waiting command is not its answer."""
    hub.invoke("SubscribePairPriceChannel", "a", "BTCUSDT", 1)
    server.mode(replyDelayMs=200)
    assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").status == "open"


def test_too_long_a_message(hub: hercle.Hub) -> None:
    """A message over the hub's limit is refused here; sent, it would end the connection."""
    with pytest.raises(hercle.InvalidRequest, match="32,768"):
        hub.command("GetBalances", "x" * 40_000)
    assert hub.state == "connected"


def test_stats(hub: hercle.Hub) -> None:
    """The counters are a flat mapping of the documented names."""
    hub.create_invoice(*PAGE_EXAMPLE)
    stats = hub.stats
    assert set(stats) >= {
        *("attempts", "reconnects", "gaps", "bytes_in", "bytes_out", "messages_in", "messages_out"),
        *("events", "events_dropped", "callback_errors", "callback_drops", "last_error"),
    }
    assert (stats["attempts"], stats["events"], stats["last_error"]) == (1, 1, None)
    assert stats["bytes_in"] > 100
    assert stats["messages_in"] >= 2
