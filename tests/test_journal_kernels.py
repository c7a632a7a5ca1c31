"""What one kernel leaves open or knows, and another finds: questions, late answers, invoices, payments."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.fast import until
from tests.journals import COFFEE, KERNELS, PAIRS, Kernels, connect, edit, fail, lose, row, rows, sent

if TYPE_CHECKING:
    from tests.servers import HubProcess


# -- questions ----------------------------------------------------------------------------------------------


@PAIRS
def test_adopted_on_connecting(server: HubProcess, journal: str) -> None:
    """What the hub's list answers is known as soon as the next kernel is connected, and its repr says so."""
    with connect(server, journal) as first:
        lose(first, server, "order-1", journal)
        assert list(first.unresolved.index) == ["order-1"]
    with connect(server, journal) as second:
        assert "1 command of an earlier kernel had no known outcome: 1 found out, none still open" in repr(
            second
        )
        assert "1 found out, none still open" in second._repr_html_()
        assert second.unresolved.empty
        assert second.invoice("order-1").warnings == ("matched by the hub's list",)
        assert second.invoices.loc["order-1", "status"] == "open"
        assert second.resolve("order-1").outcome == "adopted"
        assert second.create_invoice(**COFFEE, client_id="order-1").reused
        assert row(journal, "order-1").state == "done"
    with connect(server, journal) as third:
        assert "earlier kernel" not in repr(third)
        assert sent(server, "GetLightningInvoices") == 1  # whoever has no question asks nothing
        assert third.invoice("order-1").warnings == ("matched by the hub's list",)
    assert sent(server) == 1


@PAIRS
def test_not_found(server: HubProcess, journal: str) -> None:
    """What the list does not answer stays a question in every kernel, with all that was asked."""
    with connect(server, journal) as first:
        fail(first, server, "order-1", journal)
        before = first.unresolved
    for _ in range(2):
        with connect(server, journal) as hub:
            assert "0 found out, 1 still open, see hub.unresolved" in repr(hub)
            assert hub.unresolved.drop(columns="sent_at").equals(before.drop(columns="sent_at"))
            assert (hub.unresolved["sent_at"] - before["sent_at"]).abs().dt.total_seconds().item() < 1
            assert hub.invoices.loc["order-1", "status"] == "unknown"
            assert (hub.resolve("order-1").outcome, hub.resolve("order-1").invoice) == ("not found", None)
            with pytest.raises(hercle.InvalidRequest, match="no invoice 'order-1' so far"):
                hub.invoice("order-1")


@PAIRS
def test_several(server: HubProcess, journal: str) -> None:
    """Where it cannot be told which invoice is whose nothing is guessed, and the candidates are shown."""
    with connect(server, journal) as first:
        lose(first, server, "order-1", journal)
        lose(first, server, "order-2", journal)
    with connect(server, journal) as second:
        assert "2 commands of earlier kernels" in repr(second)
        assert list(second.unresolved.index) == ["order-1", "order-2"]
        found = second.resolve("order-2")
        assert found.outcome == "several"
        assert found.candidates is not None
        assert list(found.candidates["memo"]) == ["Coffee", "Coffee"]
    assert [row.state for row in rows(journal)] == ["noted", "noted"]
    assert {row.client_id for row in rows(journal, "hercle_invoices")} <= {None}


@PAIRS
def test_other_commands(server: HubProcess, journal: str) -> None:
    """Any command of unknown outcome is a question in the next kernel; what it did cannot be looked up."""
    amount = hercle.InvoiceRequest("0.001").amount_btc
    with connect(server, journal) as first:
        server.mode(noReply=True)
        with pytest.raises(hercle.OutcomeUnknown):
            first.command("CreateLightningInvoice", amount, None, 24, client_id="by-hand", timeout=0.5)
        until(lambda: server.created() == 1)
        server.mode()
    with connect(server, journal) as second:
        assert list(second.unresolved["method"]) == ["CreateLightningInvoice"]
        assert second.resolve("by-hand").outcome == "not found"
        with pytest.raises(hercle.InvalidRequest, match="may or may not have been carried out"):
            second.command("CreateLightningInvoice", amount, None, 24, client_id="by-hand")
        with pytest.raises(hercle.InvalidRequest, match=r"makes a second invoice if the first was made\.$"):
            second.create_invoice(amount, None, 24, client_id="by-hand")
        assert second.resolve("by-hand", dismiss=True).outcome == "dismissed"
    with connect(server, journal) as third:
        assert third.unresolved.empty
        with pytest.raises(hercle.InvalidRequest):
            third.create_invoice(amount, None, 24, client_id="by-hand")
    assert sent(server) == 1


@KERNELS
@PAIRS
def test_dismissed(kernels: Kernels) -> None:
    """A decision of one kernel's is the other's too: no look at the list undoes it."""
    lose(kernels.first, kernels.server, "order-1", kernels.journal)
    assert kernels.first.resolve("order-1", dismiss=True).outcome == "dismissed"
    second = kernels.second
    second.refresh_invoices()
    assert second.unresolved.empty
    assert second.resolve("order-1").outcome == "dismissed"
    with pytest.raises(hercle.OutcomeUnknown, match="dismissed"):
        second.create_invoice(**COFFEE, client_id="order-1", timeout=1)
    assert second.invoices.loc["order-1", "status"] == "unknown"
    assert sent(kernels.server) == 1


@PAIRS
def test_dismissed_elsewhere(server: HubProcess, journal: str) -> None:
    """What another kernel decides about a question of this one is known here after the next look."""
    with connect(server, journal) as first, connect(server, journal) as second:
        fail(first, server, "order-1", journal)
        assert second.resolve("order-1", dismiss=True).outcome == "dismissed"
        first.refresh_invoices()
        assert first.unresolved.empty
        assert first.resolve("order-1").outcome == "dismissed"


def test_dismissed_while_another_waited(server: HubProcess, journal_file: str) -> None:
    """A creation that was given up and dismissed since the last look keeps nobody waiting."""
    server.mode(noReply=True)
    with (
        connect(server, journal_file) as first,
        connect(server, journal_file) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(first.create_invoice, **COFFEE, client_id="order-1", timeout=0.8)
        until(lambda: sent(server) == 1)
        for hub_waits in (second.create_invoice, first.create_invoice):  # the first look: it waits still
            with pytest.raises(hercle.OutcomeUnknown):
                hub_waits(**COFFEE, client_id="order-1", timeout=0.1)
        assert isinstance(waiting.exception(), hercle.OutcomeUnknown)
        first.resolve("order-1", dismiss=True)
        began = time.monotonic()
        with pytest.raises(hercle.OutcomeUnknown, match="dismissed"):
            second.create_invoice(**COFFEE, client_id="order-1", timeout=3)
        assert time.monotonic() - began < 2
        assert second.resolve("order-1").outcome == "dismissed"
        assert second.invoices.loc["order-1", "status"] == "unknown"


def test_a_late_answer(server: HubProcess, journal_file: str) -> None:
    """An answer that reaches a kernel which never asked is adopted by itself, and durable."""
    with connect(server, journal_file) as first:
        fail(first, server, "order-1", journal_file)
    with connect(server, journal_file) as second:
        with hercle.connect(url=server.url, api_key=server.key, journal=False) as other:
            other.create_invoice(**COFFEE)
        until(lambda: server.stats()["connections"] == 1)
        invoice = server.stats()["invoices"][0]
        data = {"httpStatusCode": 201, "message": "late"} | {
            name: invoice[name] for name in ("id", "expiresAt", "encodedPaymentRequest")
        }
        envelope = {"subject": "execution.invoice.created", "clientId": "order-1", "data": data}
        message = json.dumps({"type": 1, "target": "executionEvents", "arguments": [envelope]})
        server.post("raw", f"{message}␞")
        until(lambda: second.unresolved.empty)
        assert (second.invoice("order-1").http_status, second.invoice("order-1").warnings) == (201, ())
        assert row(journal_file, "order-1").answer == message
    with connect(server, journal_file) as third:
        assert third.invoice("order-1").message == "late"


# -- invoices -----------------------------------------------------------------------------------------------


@PAIRS
def test_invoices_of_both(server: HubProcess, journal: str) -> None:
    """Two kernels that are there at once see each other's invoices after the next look, and who made them."""
    with connect(server, journal) as first, connect(server, journal) as second:
        ours = first.create_invoice(**COFFEE, client_id="order-1")
        theirs = second.create_invoice(amount_sat=5, client_id="order-2")
        for hub in (first, second):
            assert sorted(hub.refresh_invoices().index) == ["order-1", "order-2"]
            assert hub.invoice("order-1").payment_request == ours.payment_request
            assert hub.invoice("order-2").expiry_hours is None
            assert hub.invoice(theirs.payment_hash).client_id == "order-2"


@KERNELS
@PAIRS
def test_invoices_that_the_list_lacks(kernels: Kernels) -> None:
    """An invoice stays known, whatever becomes of it at the hub, as does one that was made elsewhere."""
    made = kernels.first.create_invoice(**COFFEE, client_id="order-1")
    with hercle.connect(url=kernels.server.url, api_key=kernels.server.key, journal=False) as other:
        foreign = other.create_invoice("0.002", "Cake")
    kernels.first.refresh_invoices()
    until(lambda: len(rows(kernels.journal, "hercle_invoices")) == 2)  # nobody waits for what a list shows
    kernels.server.reset()
    second = kernels.second
    second.refresh_invoices()
    assert set(second.invoices.index) == {"order-1", foreign.id}
    assert second.invoice("order-1").payment_request == made.payment_request
    assert second.invoice(foreign.id).memo == "Cake"
    assert second.create_invoice(**COFFEE, client_id="order-1").reused
    assert sent(kernels.server) == 0


def test_paid(server: HubProcess, journal_file: str) -> None:
    """A payment that one kernel saw is known to the next without asking, and its proof too."""
    with connect(server, journal_file) as first:
        made = first.create_invoice(**COFFEE, client_id="order-1")
        server.post(f"pay/{made.id}")
        assert first.refresh_invoices().loc["order-1", "status"] == "paid"
        preimage = first.invoice("order-1").preimage
    server.reset()
    with connect(server, journal_file) as second:
        assert second.invoices.loc["order-1", ["status", "preimage"]].tolist() == ["paid", preimage]
        assert second.wait_paid("order-1", timeout=1).paid
        assert second.invoice("order-1").extra == first.invoice("order-1").extra
        assert server.stats()["invocations"] == []


def test_paid_meanwhile(server: HubProcess, journal_file: str) -> None:
    """A payment that one kernel saw is known to another that is there too, after its next look."""
    with connect(server, journal_file) as first, connect(server, journal_file) as second:
        made = first.create_invoice(**COFFEE, client_id="order-1")
        second.refresh_invoices()
        server.post(f"pay/{made.id}")
        first.refresh_invoices()
        until(lambda: rows(journal_file, "hercle_invoices")[0].preimage)  # nobody waits for what a list shows
        server.reset()  # then the list says no more
        assert second.refresh_invoices().loc["order-1", "status"] == "paid"


def test_frames_are_the_same(server: HubProcess, journal_file: str) -> None:
    """The frame of a new kernel is that of the old one: unknown, refused, paid and open ones."""
    with connect(server, journal_file) as first:
        first.create_invoice("0.00000001", "ünï 🍰 'quoted'", 720, client_id="order-1")
        first.create_invoice("0.00000000001", None, client_id="order-2", allow_msat=True)
        fail(first, server, "order-3", journal_file)
        server.mode(errorSubject="execution.invoice.error")
        with pytest.raises(hercle.CommandRejected):
            first.create_invoice(**COFFEE, client_id="order-4")
        server.mode()
        server.post(f"pay/{first.invoice('order-1').id}")
        before = first.refresh_invoices()
    with connect(server, journal_file) as second:
        after = second.invoices.loc[before.index]
        assert after.dtypes.equals(before.dtypes)
        assert after.drop(columns="created_at").equals(before.drop(columns="created_at"))
        assert second.invoice("order-1") == first.invoice("order-1")
        assert second.invoice("order-2") == first.invoice("order-2")


@PAIRS
def test_many_invoices(server: HubProcess, journal: str) -> None:
    """With thousands of invoices in the journal, one that is under way elsewhere is found all the same."""
    with connect(server, journal) as hub:
        hub.create_invoice(**COFFEE, client_id="order-0")
    copy_invoices(journal, 1_500)
    with connect(server, journal) as first, connect(server, journal) as second, ThreadPoolExecutor(1) as pool:
        server.mode(replyDelayMs=600)
        ours = pool.submit(first.create_invoice, **COFFEE, client_id="order-1")
        until(lambda: sent(server) == 2)
        theirs = second.create_invoice(**COFFEE, client_id="order-1", timeout=4)
        assert theirs.payment_request == ours.result().payment_request
        assert len(second.invoices) == 1_502
        assert second.create_invoice(**COFFEE, client_id="order-0").reused
    assert sent(server) == 2


def copy_invoices(journal: str, times: int) -> None:
    """Multiply the one invoice of a journal's, as others' of a hub with many."""
    others = {"client_id": "NULL", "id": "id || n"}
    others |= {name: f"substr({name}, 1, 50) || n" for name in ("digest", "payment_hash")}
    names = ", ".join(others.get(name, name) for name in rows(journal, "hercle_invoices")[0]._fields)
    numbers = f"numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < {times})"  # noqa: S608
    selected = f"WITH RECURSIVE {numbers} SELECT {names} FROM hercle_invoices, numbers"  # noqa: S608
    edit(journal, f"INSERT INTO hercle_invoices {selected}")


# -- keys, hubs, faces --------------------------------------------------------------------------------------


def test_another_hub(simulator_process: HubProcess, reference_process: HubProcess, journal_file: str) -> None:
    """Each hub has rows of its own in a journal: the same ClientId makes an invoice at each."""
    made = {}
    for server in (simulator_process, reference_process):
        server.reset()
        with connect(server, journal_file) as hub:
            assert hub.invoices.empty
            made[server.url] = hub.create_invoice(**COFFEE, client_id="order-1").payment_request
            fail(hub, server, server.url[-40:-4].replace("/", "-")[:30], journal_file)
    for server in (simulator_process, reference_process):
        with connect(server, journal_file) as hub:
            assert hub.invoice("order-1").payment_request == made[server.url]
            assert len(hub.unresolved) == 1
            assert len(hub.invoices) == 2
    assert len({row.hub_url for row in rows(journal_file)}) == 2


def test_the_awaitable_face(server: HubProcess, journal_file: str) -> None:
    """The awaitable twins write and read the same journal."""

    async def first() -> hercle.Invoice:
        async with await hercle.connect_async(
            url=server.url, api_key=server.key, journal=journal_file
        ) as hub:
            return await hub.create_invoice(**COFFEE, client_id="order-1")

    async def second() -> hercle.Invoice:
        async with await hercle.connect_async(
            url=server.url, api_key=server.key, journal=journal_file
        ) as hub:
            assert (await hub.resolve("order-1")).outcome == "adopted"
            return await hub.create_invoice(**COFFEE, client_id="order-1")

    made, again = asyncio.run(first()), asyncio.run(second())
    assert (again.payment_request, again.reused) == (made.payment_request, True)
    with connect(server, journal_file) as hub:
        assert hercle.run(hub.aio.create_invoice(**COFFEE, client_id="order-1")).reused
    assert sent(server) == 1


def test_rows_that_somebody_wrote(server: HubProcess, journal_file: str) -> None:
    """Rows that make no sense keep nobody from connecting: the rest is known, and what is wrong is logged."""
    with connect(server, journal_file) as hub:
        hub.create_invoice(**COFFEE, client_id="order-1")
        fail(hub, server, "order-2", journal_file)
        fail(hub, server, "order-3", journal_file)
    edit(journal_file, "UPDATE hercle_commands SET arguments = 'garbage' WHERE client_id = 'order-2'")
    edit(journal_file, "UPDATE hercle_commands SET noted_at = 'yesterday' WHERE client_id = 'order-3'")
    edit(journal_file, "UPDATE hercle_invoices SET extra = '{'")
    with connect(server, journal_file) as hub:
        assert "order-1" in hub.invoices.index or hub.invoices.empty
        assert hub.create_invoice(**COFFEE, client_id="order-4").client_id == "order-4"
