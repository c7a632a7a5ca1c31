"""Waiting for payments and asking for the hub's list, on both hubs."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import hercle_nb as hercle
from hercle_nb import payments
from tests.answers import pay_to
from tests.fast import fast_hub, healed, until
from tests.scripted import ScriptedHub, scripted_hub
from tests.servers import KEY, interrupt_after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import HubProcess


def later(work: Any, *arguments: Any, seconds: float = 0.2) -> None:
    """Do something while the test waits."""
    timer = threading.Timer(seconds, work, arguments)
    timer.start()


def pay(server: HubProcess, invoice: hercle.Invoice) -> None:
    """Pay an invoice at the hub."""
    server.post(f"pay/{invoice.id}")


def lists(server: HubProcess | ScriptedHub) -> int:
    """How often the hub was asked for its list."""
    methods = [call.get("method") or call.get("target") for call in server.stats()["invocations"]]
    return methods.count("GetLightningInvoices")


@pytest.fixture
def scripted() -> Iterator[ScriptedHub]:
    """A hub whose list says whatever a test wants."""
    with scripted_hub() as server:
        yield server


def test_refresh(hub: hercle.Hub, server: HubProcess) -> None:
    """The hub's list is merged with what was created here; no property asks for it."""
    invoice = hub.create_invoice(0.001, "Coffee", 24)
    assert hub.invoices["updated_at"].isna().all()
    pay(server, invoice)
    assert hub.invoices.loc[invoice.client_id, "status"] == "open"
    frame = hub.refresh_invoices()
    assert frame.loc[invoice.client_id, "status"] == "paid"
    assert frame.loc[invoice.client_id, "preimage"] == hub.invoice(invoice).preimage
    assert hub.invoice(invoice.client_id).extra["userId"]
    assert hub.invoice(invoice).warnings == ()
    assert lists(server) == 1
    assert hub.invoices.equals(frame)
    assert frame.attrs == hub.invoices.attrs == {"environment": hub.environment}


def test_made_elsewhere(server: HubProcess) -> None:
    """What another kernel created is in the list, and is found by the names the hub knows it by."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as other:
        made = other.create_invoice("0.00000001", None, 1)
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        frame = hub.refresh_invoices()
        assert list(frame.index) == [made.id]
        found = hub.invoice(made.payment_request)
        assert (found.client_id, found.amount_sat, found.warnings) == (None, 1, ())
        assert found.decoded == made.decoded
        with pytest.raises(hercle.InvalidRequest, match=r"refresh_invoices\(\) asks the hub"):
            hub.invoice(made.client_id)


def test_refresh_awaited(hub: hercle.Hub) -> None:
    """The awaitable twin does the same."""
    hub.create_invoice(0.001)
    assert len(asyncio.run(hub.aio.refresh_invoices())) == 1


def test_wait_paid(hub: hercle.Hub, server: HubProcess) -> None:
    """The wait returns the paid invoice soon after the hub shows it as paid, and asks only while it waits."""
    invoice = hub.create_invoice(0.001, "Coffee", 24)
    later(pay, server, invoice)
    paid = hub.wait_paid(invoice, timeout=10, poll=0.1)
    assert (paid.client_id, paid.status, paid.paid) == (invoice.client_id, "paid", True)
    asked = lists(server)
    time.sleep(0.3)
    assert lists(server) == asked
    assert hub.wait_paid(invoice.payment_hash, timeout=10).preimage == paid.preimage
    assert lists(server) == asked


def test_wait_paid_awaited(hub: hercle.Hub, server: HubProcess) -> None:
    """The awaitable twin does the same, on the loop of whoever waits."""
    invoice = hub.create_invoice(0.001)
    later(pay, server, invoice)
    assert asyncio.run(hub.aio.wait_paid(invoice, timeout=10, poll=0.1)).paid


def test_wait_paid_made_elsewhere(server: HubProcess) -> None:
    """An invoice that this kernel never heard of is looked for in the hub's list first."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as other:
        made = other.create_invoice(0.001)
    pay(server, made)
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        assert hub.wait_paid(made.payment_request, timeout=10).id == made.id
        with pytest.raises(hercle.InvalidRequest, match="No invoice 'nothing' is known"):
            hub.wait_paid("nothing", timeout=10)


def test_wait_paid_time_out(hub: hercle.Hub, server: HubProcess) -> None:
    """A time-out says that the wait may be repeated, and nothing is asked for afterwards."""
    invoice = hub.create_invoice(0.001)
    with pytest.raises(hercle.HubTimeout, match=r"No payment was seen in 0.3 s; .*wait_paid\(\)"):
        hub.wait_paid(invoice, timeout=0.3, poll=0.1)
    asked = lists(server)
    time.sleep(0.3)
    assert lists(server) == asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"timeout": 0}, "timeout must be a positive number"),
        ({"timeout": 1, "poll": 0}, "poll must be a number of seconds of at least 0.1"),
        ({"timeout": 1, "poll": True}, "poll must be"),
        ({"timeout": 1, "poll": float("nan")}, "poll must be"),
    ],
)
def test_wait_paid_arguments(hub: hercle.Hub, arguments: dict[str, Any], words: str) -> None:
    """Bad arguments are refused before anything is asked."""
    invoice = hub.create_invoice(0.001)
    with pytest.raises(hercle.InvalidRequest, match=words):
        hub.wait_paid(invoice, **arguments)


def test_one_list_serves_all(hub: hercle.Hub, server: HubProcess) -> None:
    """Ten waiters and a callback cost the hub as many lists as one, at the pace of the most impatient."""
    made = [hub.create_invoice(0.001, f"number {number}") for number in range(10)]
    seen: list[hercle.Invoice] = []
    watch = hub.on_paid(seen.append)

    async def wait() -> list[hercle.Invoice]:
        waits = (hub.aio.wait_paid(invoice, timeout=20, poll=0.3, progress=False) for invoice in made)
        return await asyncio.gather(*waits)

    def pay_all() -> None:
        for invoice in made:
            pay(server, invoice)

    later(pay_all, seconds=0.7)
    began = time.monotonic()
    paid = asyncio.run(wait())
    took = time.monotonic() - began
    assert [invoice.client_id for invoice in paid] == [invoice.client_id for invoice in made]
    assert lists(server) <= took / 0.3 + 2
    until(lambda: len(seen) == 10)
    assert {invoice.client_id for invoice in seen} == {invoice.client_id for invoice in made}
    watch.cancel()


def test_wait_paid_survives_a_loss(server: HubProcess) -> None:
    """A lost connection does not end the wait."""
    with fast_hub(server.url) as hub:
        invoice = hub.create_invoice(0.001)

        def lose_then_pay() -> None:
            server.lose()
            healed(hub)
            pay(server, invoice)

        later(lose_then_pay)
        assert hub.wait_paid(invoice, timeout=10, poll=0.1).paid


def test_an_interrupt_ends_the_wait(hub: hercle.Hub, server: HubProcess) -> None:
    """Jupyter's stop button ends the wait at once; nothing is asked for afterwards."""
    invoice = hub.create_invoice(0.001)
    with pytest.raises(KeyboardInterrupt), interrupt_after(0.3):
        hub.wait_paid(invoice, timeout=60, poll=0.1)
    asked = lists(server)
    time.sleep(0.3)
    assert lists(server) <= asked + 1


def test_closing_ends_the_wait(hub: hercle.Hub) -> None:
    """Closing the hub ends the wait with an error that says so."""
    invoice = hub.create_invoice(0.001)
    later(hub.close)
    with pytest.raises(hercle.ConnectionFailed):
        hub.wait_paid(invoice, timeout=30)


def test_expired(server: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invoice that the hub still calls open some time after its expiry was not paid."""
    monkeypatch.setattr(payments, "_LAST_MOMENT", timedelta(seconds=1))
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        hub.invoke(
            "CreateLightningInvoice", "short-lived", hercle.InvoiceRequest(0.001).amount_btc, None, 0.0003
        )
        (made,) = hub.refresh_invoices().index
        with pytest.raises(hercle.NotPaid, match=r"expired at .* UTC and was not paid") as error:
            hub.wait_paid(made, timeout=20, poll=0.2)
        assert (error.value.status, error.value.invoice.status) == ("expired", "expired")
        past = datetime.now(UTC) - error.value.invoice.expires_at
        assert past >= timedelta(seconds=1)


def test_paid_at_the_last_moment(server: HubProcess) -> None:
    """An expired invoice goes on being waited for: the hub may have taken a payment just in time."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:
        hub.invoke(
            "CreateLightningInvoice", "short-lived", hercle.InvoiceRequest(0.001).amount_btc, None, 0.0003
        )
        (made,) = hub.refresh_invoices().index
        invoice = hub.invoice(made)
        until(lambda: hub.invoice(made).status == "expired")
        later(pay, server, invoice)
        assert hub.wait_paid(invoice, timeout=10, poll=0.1).paid


def test_closed_without_a_proof(scripted: ScriptedHub) -> None:
    """An invoice that the hub closes without showing a preimage was not paid, as far as can be told."""
    with hercle.connect(url=scripted.url, api_key=KEY, journal=False) as hub:
        invoice = hub.create_invoice(0.001)
        scripted.invoices[0]["status"] = "CLOSED"
        with pytest.raises(hercle.NotPaid, match="shows no proof") as error:
            hub.wait_paid(invoice, timeout=10, poll=0.1)
        assert error.value.status == "closed"


def test_a_wrong_preimage_is_an_alarm(scripted: ScriptedHub) -> None:
    """A preimage that does not hash to the payment hash proves nothing, and is said loudly."""
    with hercle.connect(url=scripted.url, api_key=KEY, journal=False) as hub:
        invoice = hub.create_invoice(0.001)
        scripted.invoices[0] |= {"paymentPreimage": "00" * 32}
        with pytest.raises(hercle.HubTimeout):
            hub.wait_paid(invoice, timeout=0.5, poll=0.1)
        now = hub.invoice(invoice)
        assert now.alarm
        assert "does not hash to the payment hash" in now.warnings[0]
        assert "does not hash" in hub.invoices["message"].iloc[0]
        assert "WARNING" in repr(now)


def test_a_hub_that_refuses_its_list(scripted: ScriptedHub) -> None:
    """A hub that refuses its list cannot show a payment: the wait ends with the hub's words."""
    with hercle.connect(url=scripted.url, api_key=KEY, journal=False) as hub:
        invoice = hub.create_invoice(0.001)
        scripted.mode(hubError="not for you")
        with pytest.raises(hercle.CommandRejected, match="not for you"):
            hub.wait_paid(invoice, timeout=10, poll=0.1)
        scripted.mode()
        with pytest.raises(hercle.HubTimeout):
            hub.wait_paid(invoice, timeout=0.4, poll=0.1)


def test_a_list_that_is_too_large(scripted: ScriptedHub) -> None:
    """A list that this client cannot take costs one connection, not one at each look."""
    with fast_hub(scripted.url, max_size=20_000) as hub:
        invoice = hub.create_invoice(0.001)
        scripted.invoices += [{"id": "x" * 30_000}]
        with pytest.raises(hercle.HercleError):
            hub.refresh_invoices(timeout=2)
        healed(hub)
        with pytest.raises(hercle.ConnectionFailed, match="larger than this client takes"):
            hub.wait_paid(invoice, timeout=5, poll=0.1)
        assert hub.stats["gaps"] == 1


def test_five_thousand_invoices(scripted: ScriptedHub) -> None:
    """A list of several megabytes passes, and long lists are asked for less often."""
    with hercle.connect(url=scripted.url, api_key=KEY, journal=False) as hub:
        invoice = hub.create_invoice(0.001)
        scripted.invoices += [
            {
                "id": f"inv_{number}",
                "status": "OPEN",
                "encodedPaymentRequest": pay_to(payment_hash=number.to_bytes(32), description="bulk"),
                "memo": "bulk",
                "padding": "y" * 600,
            }
            for number in range(1, 5_000)
        ]
        frame = hub.refresh_invoices(timeout=60)
        assert len(frame) == 5_000
        size = len(hub.events["raw"].iloc[-1])
        assert size > 4_000_000
        assert hub._core.lists.size == size
        before = lists(scripted)
        with pytest.raises(hercle.HubTimeout):
            hub.wait_paid(invoice, timeout=3, poll=0.1)
        assert lists(scripted) == before  # 5 MB at 200 kB a second: the next one is due in 25 s


def test_on_paid(hub: hercle.Hub, server: HubProcess) -> None:
    """A callback gets each invoice once, when it is seen to be paid, by whatever look."""
    first, second = hub.create_invoice(0.001), hub.create_invoice(0.002)
    pay(server, first)
    seen: list[hercle.Invoice] = []
    threads: set[str] = set()
    watch = hub.on_paid(lambda invoice: (seen.append(invoice), threads.add(threading.current_thread().name)))
    until(lambda: len(seen) == 1)
    pay(server, second)
    hub.refresh_invoices()
    until(lambda: len(seen) == 2)
    hub.refresh_invoices()
    assert [invoice.client_id for invoice in seen] == [first.client_id, second.client_id]
    assert all(invoice.paid for invoice in seen)
    assert threads == {"hercle-callbacks"}
    assert repr(watch) == "<callback for payments>"
    watch.cancel()
    watch.cancel()
    assert repr(watch) == "<callback for payments, cancelled>"
    third = hub.create_invoice(0.003)
    pay(server, third)
    hub.refresh_invoices()
    assert len(seen) == 2


def test_on_paid_may_use_the_hub(hub: hercle.Hub, server: HubProcess) -> None:
    """A blocking verb works inside the callback, and what it raises is counted."""
    invoice = hub.create_invoice(0.001)
    made: list[hercle.Invoice] = []

    def thank(paid: hercle.Invoice) -> None:
        made.append(hub.create_invoice(amount_sat=7, memo=f"thanks for {paid.amount_sat}"))
        raise ValueError("mine")

    hub.on_paid(thank)
    pay(server, invoice)
    hub.refresh_invoices()
    until(lambda: hub.stats["callback_errors"] == 1)
    assert made[0].memo == "thanks for 100000"


def test_on_paid_keeps_its_hub_alive(server: HubProcess) -> None:
    """A hub that somebody waits on is in use; after `cancel` it is collected and closes itself."""
    watch = hercle.connect(url=server.url, api_key=KEY, journal=False).on_paid(lambda _: None)
    gc.collect()
    until(lambda: server.stats()["connections"])
    watch.cancel()
    del watch
    until(lambda: gc.collect() is None or not server.stats()["connections"])
    until(lambda: not server.stats()["connections"])


def test_export(hub: hercle.Hub, tmp_path: Path) -> None:
    """The frame of invoices goes to a file by its suffix, exact; another suffix is refused."""
    hub.create_invoice("0.00000001", "=1+1", 24, client_id="first")
    hub.export_invoices(tmp_path / "invoices.csv")
    row = pd.read_csv(tmp_path / "invoices.csv", dtype=str).iloc[0]
    assert (row["client_id"], row["amount_btc"], row["memo"]) == ("first", "0.00000001", "'=1+1")
    assert row["environment"] == hub.environment == "sandbox"
    with pytest.raises(hercle.InvalidRequest, match=r"\.csv, \.xlsx or \.parquet"):
        hub.export_invoices(tmp_path / "invoices.txt")


def test_progress(hub: hercle.Hub, server: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both faces show how the wait goes, and how it ended; without progress they show nothing."""
    drawn: list[str] = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return master

        def write(self, text: str) -> int:
            drawn.append(text)
            return len(text)

    master, slave = os.openpty()
    monkeypatch.setattr("sys.stderr", Terminal())
    try:
        invoice = hub.create_invoice(0.001)
        later(pay, server, invoice, seconds=1.2)
        hub.wait_paid(invoice, timeout=10, poll=0.1)
        began = r"waiting for payment of 0\.00100000 BTC · 0:00:00 elapsed · (23:59:5\d|1 d 00:00:0\d) until"
        assert re.search(began, "".join(drawn))
        assert drawn[-1].endswith("paid after 0:00:01\n")
        drawn.clear()
        hub.wait_paid(invoice, timeout=10, progress=False)
        assert drawn == []
        other = hub.create_invoice(0.002)
        later(pay, server, other, seconds=1.2)
        asyncio.run(hub.aio.wait_paid(other, timeout=10, poll=0.1))
        assert "waiting for payment of 0.00200000 BTC" in "".join(drawn)
        assert "paid after 0:00:01\n" in drawn[-1]
    finally:
        os.close(master)
        os.close(slave)


def test_on_paid_arguments(hub: hercle.Hub) -> None:
    """What cannot be called is refused; a closed hub takes no callback."""
    with pytest.raises(hercle.InvalidRequest, match="takes a function"):
        hub.on_paid(None)  # type: ignore[arg-type]
    hub.close()
    with pytest.raises(hercle.ConnectionFailed):
        hub.on_paid(print)
