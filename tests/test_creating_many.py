"""Invoices in bulk: each row its own, none twice, whatever happens to the others."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, until
from tests.servers import KEY, interrupt_after

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import HubProcess


def orders(count: int, first: int = 1_000) -> pd.DataFrame:
    """Rows of distinct amounts, with an index and a column of their own."""
    numbers = range(count)
    return pd.DataFrame(
        {
            "Order": [f"A-{number}" for number in numbers],
            "Amount sat": [first + number for number in numbers],
            "Memo": [f"Order {number}" for number in numbers],
        },
        index=pd.Index([f"row {number}" for number in numbers], name="line"),
    )


def amounts(server: HubProcess) -> list[int]:
    """The satoshis of each invoice that the hub has."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as watching:
        return sorted(watching.refresh_invoices()["amount_sat"])


def many(hub: hercle.Hub, rows: Any, **options: Any) -> pd.DataFrame:
    """Create them, without a bar."""
    return hub.create_invoices(rows, **{"batch_id": "b", "progress": False} | options)


def test_each_row_its_own(hub: hercle.Hub, server: HubProcess) -> None:
    """The frame has the rows' own index, order and columns, and each row its own exact invoice."""
    rows = orders(20)
    frame = many(hub, rows)
    assert list(frame.index) == list(rows.index)
    assert list(frame.columns[:3]) == ["Order", "amount_sat", "memo"]
    assert (frame["status"] == "open").all()
    assert frame["error"].isna().all()
    assert frame.attrs == {"batch_id": "b", "environment": "sandbox"}
    assert set(frame["environment"]) == {hub.environment} == {"sandbox"}
    for _, row in frame.iterrows():
        decoded = hercle.decode_payment_request(row["payment_request"])
        assert decoded.amount_msat == row["amount_msat"] == row["amount_sat"] * 1_000
        assert decoded.description == row["memo"]
        assert hub.invoice(row["client_id"]).payment_request == row["payment_request"]
    assert amounts(server) == sorted(rows["Amount sat"])
    pd.testing.assert_frame_equal(hub.batch("b"), frame)


def test_answers_in_reverse(hub: hercle.Hub, server: HubProcess) -> None:
    """Answers that overtake each other go to the rows that they belong to."""
    server.mode(reverseInBatchesOf=4)
    frame = many(hub, orders(16), max_in_flight=8)
    assert [hercle.decode_payment_request(text).description for text in frame["payment_request"]] == list(
        frame["memo"]
    )


def test_the_same_batch_again(hub: hercle.Hub, server: HubProcess) -> None:
    """The same batch sends nothing a second time, however its rows are sorted if they have keys."""
    rows = orders(8)
    first = many(hub, rows, key="Order")
    again = many(hub, rows.sort_values("Amount sat", ascending=False), key="Order")
    assert dict(zip(again["Order"], again["payment_request"], strict=True)) == dict(
        zip(first["Order"], first["payment_request"], strict=True)
    )
    more = many(hub, orders(10), key="Order")
    assert len(more) == 10
    assert server.created() == 10


def test_the_next_kernel_goes_on(server: HubProcess, tmp_path: Path) -> None:
    """With a journal another kernel goes on where the last one stopped."""
    place = {"url": server.url, "api_key": KEY, "journal": tmp_path / "j.sqlite3"}
    with hercle.connect(**place) as hub:
        many(hub, orders(5))
    with hercle.connect(**place) as hub:
        frame = many(hub, orders(9))
    assert (frame["status"] == "open").all()
    assert amounts(server) == list(range(1_000, 1_009))


def test_a_csv_file(hub: hercle.Hub, server: HubProcess, tmp_path: Path) -> None:
    """A file is read as text, so that every digit and every leading zero stays."""
    path = tmp_path / "orders.csv"
    path.write_text("Account;Amount BTC;Memo\n00123;0.00001000;Tea\n00124;0.00002500;\n")
    frame = many(hub, path)
    assert list(frame["Account"]) == ["00123", "00124"]
    assert list(frame["amount_msat"]) == [1_000_000, 2_500_000]
    assert amounts(server) == [1_000, 2_500]


def test_rows_that_fail(server: HubProcess) -> None:
    """A refused row and an unknown one have their reasons, and the others are created."""
    with fast_hub(server.url, timeout=2) as hub:
        many(hub, orders(3), batch_id="good")
        server.mode(errorSubject="execution.invoice.error")
        refused = many(hub, orders(3, 5_000), batch_id="refused")
        server.mode(noReply=True)
        unknown = many(hub, orders(3, 6_000), batch_id="unknown", timeout=0.5)
        server.mode()
        assert list(refused["status"]) == ["rejected"] * 3
        assert refused["error"].str.startswith("The hub refused CreateLightningInvoice").all()
        assert list(unknown["status"]) == ["unknown"] * 3
        assert unknown["error"].str.contains("may or may not have been carried out").all()
        assert sorted(hub.unresolved.index) == sorted(unknown["client_id"])
        hub.refresh_invoices()
        assert list(hub.batch()["status"]) == ["open"] * 3  # the list has settled them
        assert hub.batch()["error"].isna().all()
        again = many(hub, orders(3, 5_000), batch_id="refused")
        assert list(again["status"]) == ["rejected"] * 3  # and is not sent again
    assert server.created() == 6


def test_a_connection_that_is_lost(server: HubProcess) -> None:
    """A batch goes on over the next connection; what was under way is settled by the hub's list."""
    with fast_hub(server.url, timeout=10) as hub:
        server.mode(replyDelayMs=100)
        loser = threading.Timer(0.4, server.lose)
        loser.start()
        frame = many(hub, orders(40), max_in_flight=8)
        loser.join()
        assert hub.stats["gaps"] == 1
        assert set(frame["status"]) <= {"open", "unknown"}
        server.mode()
        hub.refresh_invoices()
        again = many(hub, orders(40))
        assert len(again) - (again["status"] == "open").sum() <= 8
        assert set(again["status"]) <= {"open", "unknown"}  # what the hub never got is not found there
    assert amounts(server) == list(again["amount_sat"][again["status"] == "open"])


def test_how_many_are_under_way(hub: hercle.Hub, server: HubProcess) -> None:
    """No more rows than asked for are under way at the same time."""
    server.mode(replyDelayMs=300)
    seen = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            answered = len(hub.log.frame("event"))
            seen.append(len(hub.log.frame("command")) - answered)

    watcher = threading.Thread(target=watch)
    watcher.start()
    many(hub, orders(12), max_in_flight=3)
    done.set()
    watcher.join()
    assert max(seen) == 3


def test_an_interrupt(server: HubProcess) -> None:
    """An interrupt is raised, with how far it came; what is done is kept, and the same call goes on."""
    with fast_hub(server.url, timeout=10) as hub:
        server.mode(replyDelayMs=200)
        with pytest.raises(KeyboardInterrupt) as caught, interrupt_after(0.9):
            many(hub, orders(60), max_in_flight=4)
        notes = " ".join(caught.value.__notes__)
        assert "of 60 invoices are created" in notes
        assert "batch_id='b'" in notes
        frame = hub.batch()
        assert {"open", "not sent", "unknown"} >= set(frame["status"])
        assert (frame["status"] == "open").sum() >= 4
        assert 0 < (frame["status"] == "unknown").sum() <= 4
        sent = (frame["status"] != "not sent").sum()
        until(lambda: server.created() == sent)
        server.mode()
        hub.refresh_invoices()
        assert (many(hub, orders(60))["status"] == "open").all()
    assert amounts(server) == list(range(1_000, 1_060))


def test_nothing_is_sent_if_a_row_is_wrong(hub: hercle.Hub, server: HubProcess) -> None:
    """Every wrong row is named before any is sent, also one whose ClientId made something else."""
    rows = orders(5)
    rows.iloc[2, 1] = -5
    with pytest.raises(hercle.InvalidRequest, match=r"1 of 5 rows.*\nrow 2: "):
        many(hub, rows)
    taken = [{"amount_sat": 5, "client_id": f"order-{number}"} for number in range(4)]
    many(hub, taken[:2])
    changed = [row | {"amount_sat": 6} for row in taken]
    with pytest.raises(hercle.InvalidRequest, match=r"(?s)2 of 4 rows.*row 0: .*order-0.*row 1: .*order-1"):
        many(hub, changed)
    with pytest.raises(hercle.InvalidRequest, match="row 0"):
        many(hub, changed, dry_run=True)
    assert server.created() == 2


def test_a_dry_run(hub: hercle.Hub, server: HubProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run says what the rows add up to, shows them as they would be sent, and sends nothing."""
    frame = hub.create_invoices(orders(3), batch_id="b", dry_run=True)
    told = capsys.readouterr().out
    assert told.startswith("3 invoices, 0.00003003 BTC = ")
    assert told.endswith("nothing was sent\n")
    assert list(frame["status"]) == ["not sent"] * 3
    assert list(frame["amount_msat"]) == [1_000_000, 1_001_000, 1_002_000]
    assert server.created() == 0
    assert list(many(hub, orders(3))["client_id"]) == list(frame["client_id"])


def test_a_batch_without_a_name(
    hub: hercle.Hub, server: HubProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch_id that is made is printed and kept with the frame, and resumes the batch."""
    frame = hub.create_invoices(orders(2), progress=False)
    made = frame.attrs["batch_id"]
    assert f"batch_id={made!r}" in capsys.readouterr().out
    assert list(many(hub, orders(2), batch_id=made)["client_id"]) == list(frame["client_id"])
    assert server.created() == 2


def test_batches(hub: hercle.Hub) -> None:
    """The last batch is shown by default, any other by its name; one that was not run says what to do."""
    with pytest.raises(hercle.InvalidRequest, match=r"has run no batch; .*same rows again"):
        hub.batch()
    many(hub, orders(1), batch_id="one")
    many(hub, orders(2), batch_id="two")
    assert (len(hub.batch()), len(hub.batch("one"))) == (2, 1)
    with pytest.raises(hercle.InvalidRequest, match="no batch 'three'"):
        hub.batch("three")
    many(hub, orders(1), batch_id="one")
    assert len(hub.batch()) == 1


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "x", 1_001, None])
def test_max_in_flight_that_is_none(hub: hercle.Hub, number: Any) -> None:
    """Anything but a whole number from 1 to 1,000 is refused."""
    with pytest.raises(hercle.InvalidRequest, match="max_in_flight must be"):
        many(hub, orders(1), max_in_flight=number)


def test_a_closed_hub(hub: hercle.Hub) -> None:
    """A hub that was closed raises; one that is closed meanwhile says which rows were not sent."""
    many(hub, orders(1))
    hub.close()
    with pytest.raises(hercle.ConnectionFailed):
        many(hub, orders(1))
    assert len(hub.batch()) == 1


def test_closed_meanwhile(server: HubProcess) -> None:
    """Closing a hub ends its batch; every row still says what is known of it."""
    server.mode(replyDelayMs=300)
    hub = hercle.connect(url=server.url, api_key=KEY, journal=False)
    with hub, ThreadPoolExecutor(1) as pool:
        making = pool.submit(many, hub, orders(40), max_in_flight=4)
        until(lambda: "b" in hub._core.batches and (hub.batch()["status"] == "open").sum() >= 4)
        hub.close()
        assert making.exception() is None or isinstance(making.exception(), hercle.ConnectionFailed)
    frame = hub.batch()
    assert (frame["status"] == "open").sum() >= 4
    assert (frame["status"] == "not sent").sum() >= 20


def test_awaitable(server: HubProcess) -> None:
    """The awaitable twin does the same on any loop, and stops when it is cancelled."""

    async def main() -> pd.DataFrame:
        async with await hercle.connect_async(url=server.url, api_key=KEY, journal=False) as hub:
            frame = await hub.create_invoices(orders(4), batch_id="a", progress=False)
            assert (frame["status"] == "open").all()
            planned = await hub.create_invoices(orders(2), batch_id="d", dry_run=True)
            assert list(planned["status"]) == ["not sent"] * 2
            server.mode(replyDelayMs=300)
            task = asyncio.create_task(
                hub.create_invoices(orders(40, 9_000), batch_id="c", max_in_flight=2, progress=False)
            )
            await asyncio.sleep(0.8)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.5)  # what was under way is answered
            return hub.batch()

    frame = asyncio.run(main())
    assert (frame["status"] == "open").sum() >= 2
    assert (frame["status"] == "not sent").sum() >= 30


BAR = """
import sys, pandas, hercle_nb as hercle
with hercle.connect(url=sys.argv[1], api_key=sys.argv[2], journal=False) as hub:
    hub.create_invoices([{"amount_sat": n} for n in range(1, 31)], batch_id="b", max_in_flight=2)
    import threading
    print([thread.name for thread in threading.enumerate() if "tqdm" in repr(thread).lower()])
"""


def test_the_bar_in_a_terminal(simulator: HubProcess) -> None:
    """A terminal shows a bar that fills up, and nothing of it is left; elsewhere there is none."""
    simulator.mode(replyDelayMs=50)
    command = [sys.executable, "-c", BAR, simulator.url, KEY]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                piece = os.read(ours, 10_000)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            drawn += piece
        assert process.stdout is not None
        assert process.stdout.read() == "[]\n"
    os.close(ours)
    text = drawn.decode(errors="replace")
    assert "creating:   0%" in text
    assert "30/30" in text
    quiet = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert quiet.stderr == ""
