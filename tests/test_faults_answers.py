"""The fault matrix, rows 23 to 34: answers in odd order and number, late, lost, and refusals.

Each row on every hub where it can be made: the simulator, ASP.NET Core SignalR and a lenient server.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from tests.answers import pay_to
from tests.fast import fast_hub, healed, until
from tests.scripted import assert_well

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scripted import AnyHub

PAGE_EXAMPLE = ("0.001", "Payment for services", 24)
CREATED = "execution.invoice.created"
UNAVAILABLE = {"negotiateStatus": 503, "negotiateFailures": 10**6}


@pytest.fixture
def server(any_server: AnyHub) -> AnyHub:
    """Each of the three hubs, as good as new."""
    return any_server


@pytest.fixture
def hub(server: AnyHub) -> Iterator[hercle.Hub]:
    """A hub with short delays, and with patience where a test does not say how much."""
    with fast_hub(server.url, timeout=60) as hub:
        yield hub


def at_once(hub: hercle.Hub, *requests: dict[str, Any]) -> list[Any]:
    """Ask for invoices at the same time; return what each caller got, errors too."""

    async def ask() -> list[Any]:
        return await asyncio.gather(
            *(hub.aio.create_invoice(**request) for request in requests), return_exceptions=True
        )

    return asyncio.run(ask())


def answers(hub: hercle.Hub) -> Any:
    """The rows of answers to creations."""
    frame = hub.events
    return frame[(frame["kind"] == "event") & (frame["subject"] == CREATED)]


def test_row_23_event_before_completion(hub: hercle.Hub, server: AnyHub) -> None:
    """An event that overtakes its own completion is the answer; the completion then is nobody's."""
    server.mode(replyBeforeCompletion=True)
    invoice = hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert (invoice.client_id, invoice.status, invoice.warnings) == ("a", "open", ())
    assert hub.command("GetBalances", client_id="q").client_id == "q"
    assert hub.stats["round_trip_p50"] > 0
    assert list(hub.events["kind"]) == ["connection", "command", "event", "command", "event"]
    assert_well(hub, server)


def test_row_24_answer_twice(hub: hercle.Hub, server: AnyHub) -> None:
    """The second copy of an answer is a row and changes nothing."""
    server.mode(replyTwice=True)
    invoice = hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    until(lambda: len(answers(hub)) == 2)
    first, second = answers(hub)["raw"]
    assert first == second
    assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").payment_request == invoice.payment_request
    assert server.created() == 1
    assert_well(hub, server)


@pytest.mark.parametrize("named", [True, False], ids=["row_25_with_client_id", "row_26_without_client_id"])
def test_answers_reversed(hub: hercle.Hub, server: AnyHub, *, named: bool) -> None:
    """64 answers that come in reverse order reach those who asked, by ClientId or else by what was asked."""
    server.mode(reverseInBatchesOf=64, omitClientId=not named)
    requests = [
        {"amount_sat": 1_000 + number, "memo": f"m{number}", "expiry_hours": 24, "client_id": f"c{number}"}
        for number in range(64)
    ]
    made = at_once(hub, *requests)
    for request, invoice in zip(requests, made, strict=True):
        assert isinstance(invoice, hercle.Invoice), invoice
        assert invoice.client_id == request["client_id"]
        assert invoice.decoded.amount_msat == request["amount_sat"] * 1_000
        assert invoice.decoded.description == request["memo"]
        assert invoice.warnings == ()
    assert len({invoice.payment_request for invoice in made}) == server.created() == 64
    frame = hub.events
    asked = list(frame["client_id"][frame["kind"] == "command"])
    owners = {invoice.id: invoice.client_id for invoice in made}
    assert [owners[data["id"]] for data in answers(hub)["data"]] == asked[::-1]
    assert answers(hub)["client_id"].notna().all() == named
    assert_well(hub, server)


def test_row_27_alike_without_client_id(hub: hercle.Hub, server: AnyHub) -> None:
    """Two creations alike, answered without ClientId, are unknown both; one that differs gets its own."""
    server.mode(reverseInBatchesOf=3, omitClientId=True)
    alike = {"amount_sat": 1_000, "memo": "m", "expiry_hours": 24, "timeout": 1}
    different = {**alike, "amount_sat": 1_001, "timeout": 30}
    first, second, other = at_once(hub, {**alike, "client_id": "a"}, {**alike, "client_id": "b"}, different)
    assert [(type(error), error.client_id) for error in (first, second)] == [
        (hercle.OutcomeUnknown, "a"),
        (hercle.OutcomeUnknown, "b"),
    ]
    until(lambda: len(answers(hub)) == 3)
    assert other.decoded.amount_msat == 1_001_000
    for client_id in "ab":
        with pytest.raises(hercle.OutcomeUnknown, match="its answer has not come"):
            hub.create_invoice(amount_sat=1_000, memo="m", expiry_hours=24, client_id=client_id)
    assert server.created() == 3
    assert_well(hub, server)


def test_row_28_no_answer(hub: hercle.Hub, server: AnyHub) -> None:
    """Without an answer a creation is unknown and never sent again; a query is a time-out."""
    server.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown, match=r"ClientId a .* no answer came in 0.1 s") as caught:
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a", timeout=0.1)
    assert (caught.value.client_id, caught.value.method) == ("a", "CreateLightningInvoice")
    assert caught.value.sent_at.tzinfo is not None
    with pytest.raises(hercle.HubTimeout, match=r"GetBalances.*changes nothing"):
        hub.command("GetBalances", timeout=0.1)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    until(server.created)
    assert_well(hub, server)
    assert server.created() == 2


def test_row_29_late_answer(hub: hercle.Hub, server: AnyHub) -> None:
    """An answer after the time-out is adopted: the same ClientId then returns the invoice."""
    server.mode(replyDelayMs=300)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a", timeout=0.05)
    until(lambda: len(answers(hub)))
    invoice = hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert invoice.reused
    assert invoice.id == answers(hub)["data"].iloc[0]["id"]
    assert invoice.warnings == ()
    assert server.created() == 1
    assert_well(hub, server)


def adopted(hub: hercle.Hub) -> hercle.Invoice | None:
    """The creation `a`, if it is known by now."""
    with contextlib.suppress(hercle.OutcomeUnknown):
        return hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    return None


def test_row_30_drop_before_the_answer(hub: hercle.Hub, server: AnyHub) -> None:
    """Accepted, then the connection breaks: unknown, and found in the hub's list after the reconnect."""
    server.mode(noReply=True)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a", timeout=0.05)
    until(lambda: hub.stats["round_trip_p50"] is not None)  # the completion has come
    server.mode()
    server.lose("cut")
    healed(hub)
    invoice = until(lambda: adopted(hub))
    assert invoice.reused
    assert invoice.warnings == ("matched by the hub's list",)
    assert invoice.decoded.amount_msat == 100_000_000
    assert server.created() == 1
    assert len(answers(hub)) == 0
    assert_well(hub, server, gaps=1)


def test_row_31_drop_before_the_completion(hub: hercle.Hub, server: AnyHub) -> None:
    """Neither accepted nor answered when the hub hangs up: the same, and never sent a second time."""
    # the switch holds for queries too, and a second goodbye is final: nobody gets in until it is off
    server.mode(dropBeforeReply=True, **UNAVAILABLE)
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a", timeout=0.4)
    until(lambda: hub.state == "reconnecting")
    assert hub.stats["round_trip_p50"] is None
    server.mode()
    healed(hub)
    invoice = until(lambda: adopted(hub))
    assert invoice.reused
    assert invoice.warnings == ("matched by the hub's list",)
    assert server.created() == 1
    assert "ended the connection" in hub.log.gaps["reason"].iloc[0]
    assert_well(hub, server, gaps=1)


def test_row_32_hub_exception(hub: hercle.Hub, server: AnyHub) -> None:
    """A HubException is the hub's refusal, with its words; nothing was done, and nothing is sent again."""
    server.mode(hubError="the account is locked")
    for _ in range(2):
        with pytest.raises(hercle.CommandRejected, match="the account is locked") as caught:
            hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
        assert caught.value.message == "the account is locked"
        assert (caught.value.subject, caught.value.http_status, caught.value.event) == (None, None, None)
    with pytest.raises(hercle.CommandRejected, match="GetLightningInvoices: the account is locked"):
        hub.command("GetLightningInvoices")
    server.mode()
    with pytest.raises(hercle.CommandRejected):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    assert server.created() == 0
    assert_well(hub, server)


def test_row_33_ordinary_exception(hub: hercle.Hub, server: AnyHub) -> None:
    """An exception in the method proves nothing: unknown at once, settled by an event that comes later."""
    server.mode(crash=True)
    with pytest.raises(hercle.OutcomeUnknown, match=r"ClientId a .*the hub failed with .An unexpected error"):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    with pytest.raises(hercle.HubTimeout, match="the hub failed with"):
        hub.command("GetLightningInvoices")
    server.mode()
    with pytest.raises(hercle.OutcomeUnknown):
        hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
    data = {"httpStatusCode": 201, "id": "inv_late", "encodedPaymentRequest": pay_to()}
    server.post("push", {"arguments": [{"subject": CREATED, "clientId": "a", "data": data}]})
    assert until(lambda: adopted(hub)).id == "inv_late"
    assert server.created() == 0
    assert_well(hub, server)


def test_row_34_unknown_method_and_wrong_count(hub: hercle.Hub, server: AnyHub) -> None:
    """What the hub cannot invoke never ran: rejected, whichever verb it was."""
    for call in (
        lambda: hub.invoke("Nope", 1),
        lambda: hub.command("Nope", client_id="a"),
    ):
        with pytest.raises(hercle.CommandRejected, match="Method does not exist") as caught:
            call()
        assert caught.value.message == "Method does not exist."
    for call in (
        lambda: hub.invoke("GetBalances"),
        lambda: hub.command("GetBalances", 1, 2, client_id="a"),
        lambda: hub.invoke("CreateLightningInvoice", "a", 1),
    ):
        with pytest.raises(hercle.CommandRejected, match="Failed to invoke"):
            call()
    assert server.created() == 0
    assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").warnings == ()
    assert_well(hub, server)
