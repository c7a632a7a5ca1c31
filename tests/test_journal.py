"""What a journal keeps and when, and what the same ClientId does in another kernel; on both hubs."""

from __future__ import annotations

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.journals import COFFEE, KERNELS, PAIRS, TEA, Kernels, connect, fail, held, lose, row, rows, sent
from tests.servers import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import HubProcess


# -- durable, and when --------------------------------------------------------------------------------------


@PAIRS
def test_the_intent_is_durable_first(server: HubProcess, journal: str) -> None:
    """While the journal cannot be written not a byte leaves; then the row is there, before any answer."""
    server.mode(noReply=True)
    with connect(server, journal) as hub, ThreadPoolExecutor(1) as pool:
        with held(journal):
            out = hub.stats["bytes_out"]
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1", timeout=3)
            time.sleep(0.3)
            assert (hub.stats["bytes_out"], sent(server), making.done()) == (out, 0, False)
        until(lambda: sent(server) == 1)
        noted = row(journal, "order-1")
        assert (noted.state, noted.method, noted.hub_url, noted.environment) == (
            "noted",
            "CreateLightningInvoice",
            server.url,
            "sandbox",
        )
        assert noted.arguments == '["order-1",0.001,"Coffee",24]'
        assert abs(datetime.fromisoformat(noted.noted_at) - datetime.now(UTC)) < timedelta(seconds=10)
        assert (noted.answer, noted.answered_at, noted.refusal) == (None, None, None)
        assert not making.done()
        with pytest.raises(hercle.OutcomeUnknown):
            making.result()


@PAIRS
def test_the_answer_is_durable_first(server: HubProcess, journal: str) -> None:
    """While an answer cannot be written no cell sees it; once a cell sees it, it is there."""
    server.mode(replyDelayMs=400)
    with connect(server, journal) as hub, ThreadPoolExecutor(1) as pool:
        making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1")
        until(lambda: sent(server) == 1)
        with held(journal):
            event = hub.wait_for("execution.invoice.created", since=0)
            time.sleep(0.3)
            assert not making.done()
            assert hub.invoices.empty
            assert row(journal, "order-1").state == "noted"
        invoice = making.result()
        done = row(journal, "order-1")
        assert (done.state, done.answer) == ("done", event.raw)
        (kept,) = rows(journal, "hercle_invoices")
        assert (kept.client_id, kept.id, kept.payment_request) == (
            "order-1",
            invoice.id,
            invoice.payment_request,
        )
        assert (kept.amount_msat, kept.memo, kept.expiry_hours) == (100_000_000, "Coffee", 24)


def test_queries_leave_no_row(server: HubProcess, journal_file: str) -> None:
    """What changes nothing is not written: balances, lists, prices."""
    with connect(server, journal_file) as hub:
        hub.command("GetBalances")
        hub.refresh_invoices()
        with hub.prices("BTCUSDT"):
            hub.invoke("GetBalances", "by-hand")
    assert rows(journal_file) == []


def test_other_commands(server: HubProcess, journal_file: str) -> None:
    """Any command that may change something leaves its intent and what came of it."""
    with connect(server, journal_file) as hub:
        amount = hercle.InvoiceRequest("0.001").amount_btc
        event = hub.command("CreateLightningInvoice", amount, None, None, client_id="by-hand")
        hub.invoke("CreateLightningInvoice", "bare", amount, "ünï", 24)
        for call in (hub.command, hub.invoke):
            with pytest.raises(hercle.CommandRejected, match="does not exist"):
                call("NoSuchMethod", call.__name__, [1, {"a": None}])
    kept = {row.client_id: row for row in rows(journal_file)}
    assert [kept["by-hand"].state, kept["bare"].state] == ["done", "done"]
    assert (kept["by-hand"].answer, kept["by-hand"].arguments) == (event.raw, '["by-hand",0.001,null,null]')
    assert json.loads(kept["bare"].arguments) == ["bare", 0.001, "ünï", 24]
    refusals = [row for row in kept.values() if row.method == "NoSuchMethod"]
    assert len(refusals) == 2
    assert all(row.state == "rejected" and "does not exist" in row.refusal for row in refusals)
    assert not any(row.creation for row in kept.values())


def test_the_same_invocation_again(server: HubProcess, journal_file: str) -> None:
    """A first argument that is no ClientId of ours, or a long one, keeps nobody from invoking again."""
    with connect(server, journal_file) as hub:
        for _ in range(2):
            with pytest.raises(hercle.CommandRejected, match="does not exist"):
                hub.invoke("SetMode", "fast")


@PAIRS
def test_long_arguments(server: HubProcess, journal: str) -> None:
    """Whatever the arguments of a command are, every database takes them."""
    with connect(server, journal) as hub:
        for argument in ("x" * 5_000, "nul \0 in it", 10**30):
            with pytest.raises(hercle.CommandRejected):
                hub.invoke("NoSuchMethod", argument)
    assert len(rows(journal)) == 3


def test_the_key_is_nowhere(server: HubProcess, tmp_path: Path) -> None:
    """No file of a journal holds the key; what tells keys apart differs from journal to journal."""
    fingerprints = []
    for name in ("a.db", "b.db"):
        with connect(server, str(tmp_path / name)) as hub:
            hub.create_invoice(**COFFEE, client_id="order-1")
            lose(hub, server, "lost", str(tmp_path / name))
            server.lose()
            until(lambda: hub.stats["gaps"] == 1)
            files = sorted(tmp_path.glob(f"{name}*"))
            assert len(files) == 3
            assert not any(KEY.encode() in journal_file.read_bytes() for journal_file in files)
            fingerprints.append({row.key for row in rows(str(tmp_path / name))})
        assert KEY.encode() not in (tmp_path / name).read_bytes()
    assert [len(found) for found in fingerprints] == [1, 1]
    assert fingerprints[0] != fingerprints[1]


def test_connections(server: HubProcess, journal_file: str) -> None:
    """Each change of the connection is a row, with the kernel that saw it."""
    with fast_hub(server.url, journal=journal_file) as hub:
        server.lose()
        healed(hub)
    found = [(row.connection, row.subject) for row in rows(journal_file, "hercle_connections")]
    assert found == [
        (1, "connection.opened"),
        (1, "connection.lost"),
        (2, "connection.restored"),
        (2, "connection.closed"),
    ]
    assert len({row.kernel for row in rows(journal_file, "hercle_connections")}) == 1


@PAIRS
def test_what_the_hub_said(server: HubProcess, journal: str) -> None:
    """Raw answers, completions that failed and changed entries of the list are kept as they came, once."""

    def kinds() -> dict[str, int]:
        found = [one.kind for one in rows(journal, "hercle_observations")]
        return {kind: found.count(kind) for kind in dict.fromkeys(found)}

    with connect(server, journal) as first:
        made = first.create_invoice(**COFFEE, client_id="order-1")
        answer = rows(journal, "hercle_observations")[0]
        assert (answer.kind, answer.intent) == ("answer", row(journal, "order-1").intent)
        assert json.loads(answer.raw)["arguments"][0]["data"]["id"] == made.id
        server.mode(crash=True)
        with pytest.raises(hercle.OutcomeUnknown):
            first.create_invoice(**TEA, client_id="order-2")
        server.mode()
        until(lambda: "completion" in kinds())
        for _ in range(2):  # the second says nothing new
            first.refresh_invoices()
        server.post(f"pay/{made.id}")
        first.refresh_invoices()
        until(lambda: kinds() == {"answer": 1, "completion": 1, "entry": 2})
    with connect(server, journal) as second:
        second.refresh_invoices()  # nor does what the journal knows
        second.create_invoice(**TEA, client_id="order-3")  # after which what was to be written is
    assert kinds() == {"answer": 2, "completion": 1, "entry": 2}
    entries = [one for one in rows(journal, "hercle_observations") if one.kind == "entry"]
    assert [bool(json.loads(one.raw)["paymentPreimage"]) for one in entries] == [False, True]
    assert {one.digest for one in entries} == {rows(journal, "hercle_invoices")[0].digest}


# -- the same ClientId again --------------------------------------------------------------------------------


@KERNELS
@PAIRS
def test_known(kernels: Kernels) -> None:
    """What was created is known in the other kernel, whatever way its arguments are written."""
    made = kernels.first.create_invoice(**COFFEE, client_id="order-1")
    again = kernels.second.create_invoice(
        amount_sat=100_000, memo="Coffee", expiry_hours=24, client_id="order-1"
    )
    assert (again.payment_request, again.reused, made.reused) == (made.payment_request, True, False)
    assert again == kernels.second.invoice("order-1").as_reused()
    assert "known already" in repr(again)
    for other in ({"memo": "Tea"}, {"expiry_hours": None}, {"memo": None}, {"amount_btc": "0.002"}):
        with pytest.raises(hercle.InvalidRequest, match=r"was used for another invoice.*nothing was sent"):
            kernels.second.create_invoice(**COFFEE | other, client_id="order-1")
    assert sent(kernels.server) == 1


@KERNELS
@PAIRS
def test_refused(kernels: Kernels) -> None:
    """A refusal is the same in the other kernel."""
    kernels.server.mode(errorSubject="execution.invoice.error")
    with pytest.raises(hercle.CommandRejected) as first:
        kernels.first.create_invoice(**COFFEE, client_id="order-1")
    kernels.server.mode()
    with pytest.raises(hercle.CommandRejected) as second:
        kernels.second.create_invoice(**COFFEE, client_id="order-1")
    for name in ("args", "message", "subject", "http_status"):
        assert getattr(second.value, name) == getattr(first.value, name)
    assert kernels.second.invoices.loc["order-1", "status"] == "rejected"
    assert sent(kernels.server) == 1


@KERNELS
@PAIRS
def test_unknown(kernels: Kernels) -> None:
    """What is unknown stays so in the other kernel, at once; what was dismissed is never sent again."""
    fail(kernels.first, kernels.server, "order-1", kernels.journal)
    fail(kernels.first, kernels.server, "order-2", kernels.journal)
    assert kernels.first.resolve("order-2", dismiss=True).outcome == "dismissed"
    began = time.monotonic()
    for client_id, why in (("order-1", "has not come"), ("order-2", "dismissed")):
        with pytest.raises(hercle.OutcomeUnknown, match=why) as caught:
            kernels.second.create_invoice(**COFFEE, client_id=client_id)
        assert caught.value.client_id == client_id
    assert time.monotonic() - began < 3
    assert list(kernels.second.unresolved.index) == ["order-1"]
    assert list(kernels.second.invoices["status"]) == ["unknown", "unknown"]
    assert sent(kernels.server) == 2


@PAIRS
def test_not_sent(server: HubProcess, journal: str) -> None:
    """What no connection was there for is sent when it is asked for again, here and elsewhere."""
    with fast_hub(server.url, journal=journal) as first, connect(server, journal) as second:
        server.mode(negotiateStatus=503, negotiateFailures=1_000)
        server.lose()
        for client_id in ("order-1", "order-2"):
            with pytest.raises(hercle.HubTimeout, match="not sent"):
                first.create_invoice(**COFFEE, client_id=client_id, timeout=0.8)
        server.mode()
        until(lambda: first.state == second.state == "connected")
        assert not second.create_invoice(**COFFEE, client_id="order-1").reused
        assert not first.create_invoice(**COFFEE, client_id="order-2").reused
    assert sent(server) == 2


@PAIRS
def test_noted_and_not_sent(server: HubProcess, journal: str) -> None:
    """What was noted too late to be sent is free again, with other arguments as well."""
    with connect(server, journal) as first, connect(server, journal) as second:
        with held(journal), pytest.raises(hercle.HubTimeout, match="not sent") as caught:
            first.create_invoice(**COFFEE, client_id="order-1", timeout=0.3)
        assert "no connection" not in str(caught.value)  # there was one
        until(lambda: row(journal, "order-1") is None or row(journal, "order-1").state == "not sent")
        assert second.create_invoice(**TEA, client_id="order-1").memo == "Tea"
        assert first.create_invoice(**TEA, client_id="order-1").reused
    assert sent(server) == 1
    assert len(rows(journal)) == 1


@PAIRS
def test_closed_before_it_was_sent(server: HubProcess, journal: str) -> None:
    """What closing the hub kept from being sent is free again, though it was being noted just then."""
    with ThreadPoolExecutor(2) as pool, connect(server, journal) as first:
        with held(journal):
            making = pool.submit(first.create_invoice, **COFFEE, client_id="order-1")
            time.sleep(0.3)
            closing_ = pool.submit(first.close)
            time.sleep(0.8)
        closing_.result()
        with pytest.raises(hercle.ConnectionFailed):
            making.result()
    with connect(server, journal) as second:
        assert not second.create_invoice(**COFFEE, client_id="order-1", timeout=1).reused
    assert sent(server) == 1


@PAIRS
@pytest.mark.parametrize("late", [False, True], ids=["connected before", "connected meanwhile"])
def test_under_way_elsewhere(server: HubProcess, journal: str, late: bool) -> None:
    """What another kernel is creating is waited for, not sent; who cannot wait is told it is unknown."""
    server.mode(replyDelayMs=1_500)
    with connect(server, journal) as first, ThreadPoolExecutor(1) as pool:
        second = None if late else connect(server, journal)
        making = pool.submit(first.create_invoice, **COFFEE, client_id="order-1")
        until(lambda: sent(server) == 1)
        with second or connect(server, journal) as second:
            with pytest.raises(hercle.OutcomeUnknown):
                second.create_invoice(**COFFEE, client_id="order-1", timeout=0.2)
            with pytest.raises(hercle.InvalidRequest, match="was used for another invoice"):
                second.create_invoice(**TEA, client_id="order-1")
            assert second.unresolved.empty  # somebody waits for it
            invoice = second.create_invoice(**COFFEE, client_id="order-1")
            assert invoice.reused
            assert invoice.payment_request == making.result().payment_request
            assert invoice.warnings == ()
    assert sent(server) == 1


@PAIRS
def test_given_up_elsewhere(server: HubProcess, journal: str) -> None:
    """Once the other kernel waits no longer, what it was creating can be settled here."""
    server.mode(noReply=True)
    with connect(server, journal) as first, connect(server, journal) as second, ThreadPoolExecutor(1) as pool:
        making = pool.submit(first.create_invoice, **COFFEE, client_id="order-1", timeout=1)
        until(lambda: server.created() == 1)
        began = time.monotonic()
        with pytest.raises(hercle.OutcomeUnknown):
            second.create_invoice(**COFFEE, client_id="order-1", timeout=8)
        assert time.monotonic() - began < 4
        assert list(second.unresolved.index) == ["order-1"]
        with pytest.raises(hercle.OutcomeUnknown):
            making.result()
        server.mode()
        assert second.resolve("order-1").outcome == "adopted"
        assert first.resolve("order-1").outcome == "adopted"
        assert first.unresolved.empty
    assert sent(server) == 1


@PAIRS
def test_found_out_elsewhere(server: HubProcess, journal: str) -> None:
    """What another kernel found out about a question of this one is what the same ClientId gives here."""
    with connect(server, journal) as first, connect(server, journal) as second:
        lose(first, server, "order-1", journal)
        found = second.resolve("order-1").invoice
        assert found is not None
        assert first.create_invoice(**COFFEE, client_id="order-1").payment_request == found.payment_request
    assert sent(server) == 1


@PAIRS
def test_looking_while_another_creates(server: HubProcess, journal: str) -> None:
    """A kernel that reads the hub's list takes nothing from a creation of which it does not know yet."""
    count = 60 if "postgresql" in journal else 15  # the reference hub is slow
    with connect(server, journal) as first, connect(server, journal) as second, ThreadPoolExecutor(1) as pool:
        made = pool.submit(
            lambda: [first.create_invoice(amount_sat=1_000 + n, client_id=f"c{n}") for n in range(count)]
        )
        while not made.done():
            second.refresh_invoices()
        assert len(made.result()) == count
    assert sorted(row.client_id or "nobody's" for row in rows(journal, "hercle_invoices")) == sorted(
        f"c{n}" for n in range(count)
    )
    with connect(server, journal) as third:
        assert all(f"c{n}" in third.invoices.index for n in range(count))
        assert third.create_invoice(amount_sat=1_000, client_id="c0").reused


def test_adopting_takes_one_step(server: HubProcess, journal_file: str) -> None:
    """No state of the file calls a creation done and its invoice nobody's: a kill may come at any moment."""
    with connect(server, journal_file) as hub:
        lose(hub, server, "order-1", journal_file)
    with closing(sqlite3.connect(journal_file)) as other, other:
        other.execute("CREATE TABLE seen (revision, client_id)")
        other.execute(
            "CREATE TRIGGER noting AFTER INSERT ON hercle_invoices BEGIN "
            "INSERT INTO seen VALUES (new.revision, new.client_id); END"
        )
    with connect(server, journal_file) as hub:
        assert hub.invoice("order-1").memo == "Coffee"
    last_of_each = {row.revision: row.client_id for row in rows(journal_file, "seen")}
    assert set(last_of_each.values()) == {"order-1"}
