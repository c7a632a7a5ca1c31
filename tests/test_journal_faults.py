"""A journal's bad days: a full disk, a database that is away, two kernels at once, a clock that is set."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from traceback import TracebackException
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from hercle_nb import _core
from hercle_nb._signalr import supervisor
from tests.fast import until
from tests.journals import COFFEE, PAIRS, connect, held, lose, row, rows
from tests.rows import fill, small_disk
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Postgres
    from tests.servers import HubProcess


def fill_journal(disk: Path, path: str) -> None:
    """Leave no room on a disk, nor in the journal's own write-ahead log."""
    fill(disk)
    row = ["k", "u", "t", 1, "s", "x" * 2_000]
    with closing(sqlite3.connect(path)) as other, suppress(sqlite3.OperationalError):
        while True:
            other.execute("INSERT INTO hercle_connections VALUES (?, ?, ?, ?, ?, ?)", row)
            other.commit()


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk."""
    with small_disk() as folder:
        yield folder


def test_disk_full_at_the_intent(server: HubProcess, disk: Path) -> None:
    """What cannot be noted is not sent, and says why; once there is room the same ClientId is."""
    path = str(disk / "j.db")
    with connect(server, path) as hub:
        hub.create_invoice(**COFFEE, client_id="before")
        fill_journal(disk, path)
        made = server.created()
        for _ in range(2):
            with pytest.raises(
                hercle.JournalError, match=r"j\.db: the disk is full; free some space"
            ) as told:
                hub.create_invoice(**COFFEE, client_id="later")
            frames = TracebackException.from_exception(told.value, capture_locals=True)
            assert KEY not in "".join(frames.format())
        assert server.created() == made
        assert "later" not in hub.invoices.index
        (disk / "filler").unlink()
        assert not hub.create_invoice(**COFFEE, client_id="later").reused
        assert server.created() == made + 1
    with connect(server, path) as hub:
        assert {"before", "later"} <= set(hub.invoices.index)
        assert hub.unresolved.empty


def test_disk_full_at_the_answer(server: HubProcess, disk: Path) -> None:
    """An answer that cannot be kept is unknown, with the invoice in its text, and adopted once it is kept."""
    path = str(disk / "j.db")
    server.mode(replyDelayMs=800)
    with connect(server, path) as hub, ThreadPoolExecutor(1) as pool:
        making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1")
        until(lambda: server.created() == 1)
        fill_journal(disk, path)
        with pytest.raises(
            hercle.OutcomeUnknown, match=r"lnbcrt.*not recorded so far.*the disk is full"
        ) as told:
            making.result()
        assert list(hub.unresolved.index) == ["order-1"]
        assert hub.invoices.loc["order-1", "status"] == "unknown"
        assert "the disk is full" in repr(hub)
        with pytest.raises(hercle.OutcomeUnknown):
            hub.create_invoice(**COFFEE, client_id="order-1", timeout=0.2)
        (disk / "filler").unlink()
        until(lambda: hub.unresolved.empty)
        assert hub.invoice("order-1").payment_request in str(told.value)
        assert row(path, "order-1").state == "done"
        assert "the disk is full" not in repr(hub)
    server.mode()
    with connect(server, path) as hub:
        assert hub.create_invoice(**COFFEE, client_id="order-1").reused
    assert server.created() == 1


def test_closed_while_the_disk_is_full(
    server: HubProcess, disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be kept in the end is said in the log; the next kernel finds it in the hub's list."""
    path = str(disk / "j.db")
    server.mode(replyDelayMs=500)
    with connect(server, path) as hub, ThreadPoolExecutor(1) as pool:
        making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1")
        until(lambda: server.created() == 1)
        fill_journal(disk, path)
        with pytest.raises(hercle.OutcomeUnknown):
            making.result()
    assert "not in the journal" in caplog.text
    (disk / "filler").unlink()
    server.mode()
    with connect(server, path) as hub:
        assert "1 command of an earlier kernel had no known outcome: 1 found out" in repr(hub)
        assert hub.create_invoice(**COFFEE, client_id="order-1").reused
    assert server.created() == 1


def test_a_database_that_is_away(server: HubProcess, postgres: Postgres) -> None:
    """What is asked for while a database is away waits for it; an answer that came meanwhile is kept then."""
    journal = postgres.database()
    server.mode(replyDelayMs=500)
    with connect(server, journal) as hub, ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(hub.create_invoice, **COFFEE, client_id="under-way")
        until(lambda: server.created() == 1)
        postgres.stop("immediate")
        try:
            meanwhile = pool.submit(hub.create_invoice, **COFFEE | {"memo": "Tea"}, client_id="meanwhile")
            with pytest.raises(hercle.OutcomeUnknown, match="was answered with the invoice"):
                under_way.result()
            with pytest.raises(hercle.HubTimeout, match="not sent: The journal postgresql"):
                hub.create_invoice(**COFFEE | {"memo": "Cake"}, client_id="too-late", timeout=1)
            time.sleep(1)
            assert server.created() == 1
        finally:
            postgres.start()
        assert not meanwhile.result().reused
        until(lambda: hub.unresolved.empty)
        assert hub.create_invoice(**COFFEE, client_id="under-way").reused
        assert not hub.create_invoice(**COFFEE | {"memo": "Cake"}, client_id="too-late").reused
        hub.refresh_invoices()
    assert server.created() == 3
    assert {one.state for one in rows(journal)} == {"done"}


def test_a_batch_while_the_database_is_away(server: HubProcess, postgres: Postgres) -> None:
    """A batch goes on where it was when the database is back, and no row of it is made twice."""
    journal = postgres.database()
    rows_ = [{"amount_sat": 1_000 + number} for number in range(60)]
    server.mode(replyDelayMs=50)

    def away() -> None:
        postgres.stop("immediate")
        time.sleep(2)
        postgres.start()

    with connect(server, journal) as hub:
        outage = threading.Timer(0.3, away)
        outage.start()
        hub.create_invoices(rows_, batch_id="b", max_in_flight=8, progress=False)
        outage.join()
        until(lambda: hub.unresolved.empty)
        frame = hub.create_invoices(rows_, batch_id="b", progress=False)
        assert (frame["status"] == "open").all()
        listed = hub.refresh_invoices()
        assert sorted(listed["amount_sat"]) == list(range(1_000, 1_060))
    assert server.created() == 60


@PAIRS
def test_a_journal_that_is_locked_for_a_while(server: HubProcess, journal: str) -> None:
    """A creation waits until another program lets go of the journal."""
    with connect(server, journal) as hub, ThreadPoolExecutor(1) as pool:
        with held(journal):
            making = pool.submit(hub.create_invoice, **COFFEE, client_id="order-1")
            time.sleep(1)
            assert server.created() == 0
            assert not making.done()
        assert not making.result().reused
    assert server.created() == 1


@PAIRS
def test_two_kernels_at_once(server: HubProcess, journal: str) -> None:
    """Whoever comes first creates it: of each ClientId there is one invoice, and both kernels have it."""
    names = [f"order-{number}" for number in range(12)]
    with connect(server, journal) as first, connect(server, journal) as second, ThreadPoolExecutor(8) as pool:

        def create(hub: hercle.Hub, name: str) -> hercle.Invoice:
            return hub.create_invoice(**COFFEE | {"memo": name}, client_id=name, timeout=20)

        making = {(name, hub): pool.submit(create, hub, name) for name in names for hub in (first, second)}
        for name in names:
            one, other = making[name, first].result(), making[name, second].result()
            assert one.payment_request == other.payment_request
            assert one.reused != other.reused
    assert server.created() == len(names)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_was_wrong(
    server: HubProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A question asked by a wrong clock is found all the same once the clock is right: the hub's counts."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) + timedelta(hours=hours)

    class WrongTime:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time() -> float:
            return time.time() + hours * 3_600

    path = str(tmp_path / "j.db")
    with monkeypatch.context() as clock:
        clock.setattr(_core, "datetime", Wrong)
        clock.setattr(supervisor, "time", WrongTime)
        clock.setattr("hercle_nb._signalr.negotiate.time", WrongTime)
        with connect(server, path) as hub:
            assert abs(hub._core.supervisor.clock_ahead + hours * 3_600) < 5
            lose(hub, server, "order-1", path)
    with connect(server, path) as hub:
        assert hub.unresolved.empty
        assert hub.invoice("order-1").client_id == "order-1"
    assert server.created() == 1


def test_a_clock_that_is_set_back_meanwhile(
    server: HubProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting the clock back while a hub is connected neither loses a question nor makes it match another."""
    path = str(tmp_path / "j.db")
    with connect(server, path) as hub:

        class Earlier:
            monotonic = staticmethod(time.monotonic)

            @staticmethod
            def time() -> float:
                return time.time() - 7_200

        monkeypatch.setattr(supervisor, "time", Earlier)
        lose(hub, server, "order-1", path)
        assert hub.resolve("order-1").outcome == "adopted"
    assert server.created() == 1
