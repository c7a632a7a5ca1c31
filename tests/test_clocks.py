"""A computer that slept is noticed by its two clocks, and its connection is made anew at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hercle_nb._signalr.clocks import NOTICED, SleepWatch
from tests.fast import fast_hub, healed, until

if TYPE_CHECKING:
    from hercle_nb import Hub
    from tests.servers import HubProcess

PAGE_EXAMPLE = ("0.001", "Payment for services", 24)


class Clocks:
    """A wall clock and a monotonic one that go as they are told."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.monotonic = 1_000.0
        self.looks = 0

    def watch(self) -> SleepWatch:
        """A watch over these clocks."""
        return SleepWatch(self._look, lambda: self.monotonic)

    def _look(self) -> float:
        self.looks += 1
        return self.wall

    def wake_up_after(self, seconds: float) -> None:
        """Sleep: the wall clock goes on, the monotonic one stands still."""
        self.wall += seconds

    def watch_over(self, hub: Hub) -> None:
        """Have a hub look at these clocks."""
        hub._core.supervisor._sleep_watch = self.watch()


@pytest.mark.parametrize(
    ("wall", "monotonic", "slept"),
    [
        (0.0, 0.0, 0.0),
        (3_600.0, 3_600.0, 0.0),
        (NOTICED - 0.01, 0.0, 0.0),
        (NOTICED, 0.0, NOTICED),
        (3_600.0, 0.0, 3_600.0),
        (3_610.0, 10.0, 3_600.0),
        (9.0, 1.0, 0.0),
        (-3_600.0, 0.0, 0.0),
        (0.0, 3_600.0, 0.0),
    ],
    ids=[
        *("nothing", "an hour awake", "a nap too short", "just long enough", "an hour asleep"),
        *("asleep and awake", "a clock set a little", "a clock set back", "a wall clock that stands"),
    ],
)
def test_slept(wall: float, monotonic: float, slept: float) -> None:
    """Asleep is what the wall clock has gone further than the monotonic one, from ten seconds on."""
    clocks = Clocks()
    watch = clocks.watch()
    clocks.wall += wall
    clocks.monotonic += monotonic
    assert watch.slept() == pytest.approx(slept)


def test_each_sleep_is_told_once() -> None:
    """A sleep is told by the first look after it, and the next sleep is told by itself."""
    clocks = Clocks()
    watch = clocks.watch()
    clocks.wake_up_after(100)
    assert [watch.slept(), watch.slept()] == [100, 0]
    clocks.wake_up_after(50)
    assert [watch.slept(), watch.slept()] == [50, 0]


def test_short_naps_do_not_add_up() -> None:
    """What is too short to break a connection is forgotten, so that a slewed clock is no sleep."""
    clocks = Clocks()
    watch = clocks.watch()
    for _ in range(100):
        clocks.wake_up_after(NOTICED / 2)
        assert watch.slept() == 0


def test_clock_set_back_and_forward() -> None:
    """A clock that is set back is no sleep, though setting it right again looks like one."""
    clocks = Clocks()
    watch = clocks.watch()
    clocks.wake_up_after(-3_600)
    assert watch.slept() == 0
    clocks.wake_up_after(3_600)
    assert watch.slept() == 3_600


def test_real_clocks() -> None:
    """The computer's own clocks tell of no sleep while a test runs."""
    assert SleepWatch().slept() == 0


def test_slept_while_connected(server: HubProcess) -> None:
    """A connection that a sleep has probably broken is made anew at once; the gap says why."""
    clocks = Clocks()
    with fast_hub(server.url, pace=1.0) as hub:
        until(lambda: server.stats()["connections"])
        clocks.watch_over(hub)
        clocks.wake_up_after(3_600)
        healed(hub)
        gap = hub.log.gaps.iloc[0]
        assert gap["reason"] == "this computer slept for 3600 s"
        assert (gap["connection"], gap["attempts"]) == (1, 1)
        assert hub.create_invoice(*PAGE_EXAMPLE).status == "open"
        clocks.wake_up_after(60)
        healed(hub, 2)
        gaps = hub.log.gaps
        assert gaps["reason"].iloc[1] == "this computer slept for 60 s"
        assert ((gaps["back_at"] - gaps["lost_at"]).dt.total_seconds() < 1).all()  # no delay of 2 s
        until(lambda: server.stats()["connections"] == 1)


def test_slept_during_a_delay(server: HubProcess) -> None:
    """Waking up ends a long delay at once; the gap goes on telling what began it."""
    clocks = Clocks()
    with fast_hub(server.url, pace=1.0) as hub:
        server.mode(negotiateStatus=503, negotiateFailures=1, retryAfterSeconds=3_600)
        server.lose()
        until(lambda: "within 3600 s" in (hub.stats["last_error"] or ""))
        clocks.watch_over(hub)
        began = time.monotonic()
        clocks.wake_up_after(100)
        healed(hub)
        assert time.monotonic() - began < 2
        gap = hub.log.gaps.iloc[0]
        assert (gap["connection"], gap["attempts"]) == (1, 2)
        assert "broke off" in gap["reason"]
        assert hub.create_invoice(*PAGE_EXAMPLE).status == "open"


def test_slept_during_an_attempt(server: HubProcess) -> None:
    """A sleep before the connection came about is none of that connection's business."""
    clocks = Clocks()
    with fast_hub(server.url) as hub:
        server.mode(negotiateDelayMs=200)
        server.lose()
        until(lambda: hub.stats["attempts"] == 2)
        clocks.watch_over(hub)
        clocks.wake_up_after(3_600)
        healed(hub)
        looks = clocks.looks
        until(lambda: clocks.looks >= looks + 3)
        assert hub.state == "connected"
        assert hub.stats["gaps"] == 1
