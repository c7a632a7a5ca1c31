"""The fault matrix, rows 55 to 58: callbacks that fail or block, bursts, and cells that block.

Each row on every hub where it can be made: the simulator, ASP.NET Core SignalR and a lenient server.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.fast import fast_hub, until
from tests.scripted import assert_well

if TYPE_CHECKING:
    from collections.abc import Iterator

    import hercle_nb as hercle
    from tests.scripted import AnyHub

PAGE_EXAMPLE = ("0.001", "Payment for services", 24)


@pytest.fixture
def server(any_server: AnyHub) -> AnyHub:
    """Each of the three hubs, as good as new."""
    return any_server


@pytest.fixture
def hub(server: AnyHub) -> Iterator[hercle.Hub]:
    """A hub with short delays."""
    with fast_hub(server.url, timeout=30) as hub:
        yield hub


def push(server: AnyHub, subject: str, count: int) -> None:
    """Have the hub send events that differ in nothing."""
    argument = {"subject": subject, "data": {"price": 64_000.12, "pair": "BTCUSDT"}}
    server.post("push", {"arguments": [argument], "count": count})


def counted(hub: hercle.Hub) -> dict[str, int]:
    """How many events of each subject are in the frame."""
    frame = hub.events
    return dict(frame["subject"][frame["kind"] == "event"].value_counts())


def test_row_55_callback_raises(hub: hercle.Hub, server: AnyHub, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that raises, whatever it raises, is logged and counted; the others miss nothing."""
    seen: list[int] = []

    def fail(event: hercle.HubEvent) -> None:
        raise (ValueError, RecursionError, SystemExit, KeyboardInterrupt)[event.seq % 4]("no")

    failing = hub.on_event(fail)
    hub.on_event(lambda event: seen.append(event.seq))
    push(server, "a.b", 100)
    until(lambda: len(seen) == 100)
    assert seen == sorted(seen)
    assert hub.stats["callback_errors"] == 100
    assert hub.stats["callback_drops"] == 0
    assert counted(hub) == {"a.b": 100}
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 100
    assert {(record.name, record.exc_info is not None) for record in errors} == {("hercle_nb", True)}
    failing.cancel()
    assert_well(hub, server)
    until(lambda: len(seen) == 101)
    assert hub.stats["callback_errors"] == 100


def test_row_56_callback_blocks(server: AnyHub) -> None:
    """While a callback blocks, all but callbacks goes on; what the log evicts meanwhile is counted."""
    kept, more = 1_000, 2_000
    seen: list[int] = []
    begun, release = threading.Event(), threading.Event()

    def block(event: hercle.HubEvent) -> None:
        begun.set()
        assert release.wait(60)
        seen.append(event.seq)

    with fast_hub(server.url, timeout=30, max_events=kept) as hub:
        hub.on_event(block)
        try:
            push(server, "a.first", 1)
            assert begun.wait(10)
            push(server, "a.b", kept + more)
            until(lambda: hub.stats["events"] == 1 + kept + more)
            assert hub.command("GetBalances").subject == "account.balances.snapshot"
            assert_well(hub, server)
            assert seen == []
        finally:
            release.set()
        until(lambda: seen and seen[-1] == hub.events.index[hub.events["kind"] == "event"][-1])
        assert hub.stats["callback_drops"] > more / 2
        assert hub.stats["callback_errors"] == 0
        assert seen == sorted(set(seen))
        events = hub.events[hub.events["kind"] == "event"].index
        assert [seq for seq in seen if seq >= events[0]] == list(events)


def test_row_56_nothing_is_dropped_that_the_log_keeps(hub: hercle.Hub, server: AnyHub) -> None:
    """A callback that was slow for a while sees everything in the end, in order."""
    count = 15_000
    seen: list[int] = []
    release = threading.Event()
    hub.on_event(lambda event: (release.wait(60), seen.append(event.seq)))
    try:
        push(server, "a.b", count)
        until(lambda: hub.stats["events"] == count)
    finally:
        release.set()
    until(lambda: len(seen) == count)
    assert seen == list(range(seen[0], seen[0] + count))
    assert hub.stats["callback_drops"] == 0


def test_row_56_verbs_in_a_callback(hub: hercle.Hub, server: AnyHub) -> None:
    """A blocking verb works inside a callback, and its own answer reaches the callbacks after it."""
    made: list[Any] = []

    def create(event: hercle.HubEvent) -> None:
        if event.subject == "please.create":
            made.append(hub.create_invoice(*PAGE_EXAMPLE))
            made.append(hub.command("GetBalances").subject)
        else:
            made.append(event.subject)

    hub.on_event(create)
    push(server, "please.create", 1)
    until(lambda: len(made) == 4)
    assert made[0].status == "open"
    assert made[1:] == ["account.balances.snapshot", "execution.invoice.created", "account.balances.snapshot"]
    assert hub.stats["callback_errors"] == 0
    assert_well(hub, server)


def test_row_57_burst_while_the_cell_computes(
    hub: hercle.Hub, server: AnyHub, request: pytest.FixtureRequest
) -> None:
    """200,000 events in a burst are all there, though the main thread computes; fewer from slower hubs."""
    total = 200_000 if request.node.callspec.params["any_server"] == "simulator" else 20_000
    with ThreadPoolExecutor(4) as pool:  # so many pushes side by side
        for number in range(40):
            pool.submit(push, server, f"burst.{number}", total // 40)
        deadline = time.monotonic() + 60
        while hub.log.next_seq <= total and time.monotonic() < deadline:
            sum(number * number for number in range(100_000))
    until(lambda: hub.stats["events"] >= total)
    found = counted(hub)
    assert found == {f"burst.{number}": total // 40 for number in range(40)}
    assert hub.stats["events"] == total
    assert_well(hub, server)


@pytest.mark.parametrize("hold", [False, True], ids=["gil_released", "gil_held"])
def test_row_58_cell_blocks(server: AnyHub, *, hold: bool) -> None:
    """A cell that blocks for longer than the hub may be silent costs neither the connection nor an event."""
    # 1/100 of the real times: a silence of 0.3 s, a cell of 0.6 s
    block = (ctypes.PyDLL if hold else ctypes.CDLL)(None).usleep
    with fast_hub(server.url, server_silence=0.3, ping=0.05, timeout=30) as hub:
        rate = threading.Thread(
            target=server.post, args=("push", {"subject": "tick", "count": 40, "rate": 50})
        )
        rate.start()
        try:
            until(lambda: hub.stats["events"] > 2)
            block(600_000)
        finally:
            rate.join()
        until(lambda: hub.stats["events"] >= 40)
        assert counted(hub) == {"tick": 40}
        assert_well(hub, server)
