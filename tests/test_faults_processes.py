"""The fault matrix, rows 59 to 64: interrupts, closing, exits, forks, many threads, two hubs.

Each row on the simulator and on ASP.NET Core SignalR; a lenient server would add nothing, for all of it
happens on this side of the connection.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.servers import KEY, python, signal_main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import HubProcess

PAGE_EXAMPLE = ("0.001", "Payment for services", 24)
UNAVAILABLE = {"negotiateStatus": 503, "negotiateFailures": 10**6}


@contextmanager
def during_a_creation(
    hub: hercle.Hub, server: HubProcess, action: Callable[[], Any], when: str
) -> Iterator[None]:
    """Do something from another thread while a creation waits to be sent, or for its answer."""
    began: list[float] = []

    def act() -> None:
        until(server.created if when == "sent" else lambda: hub._core.book.creations)
        began.append(time.monotonic())
        action()

    if when == "sent":
        server.mode(replyDelayMs=700)
    else:
        server.mode(**UNAVAILABLE)
        server.lose()
        until(lambda: hub.state == "reconnecting")
    thread = threading.Thread(target=act)
    thread.start()
    yield
    assert time.monotonic() - began[0] < 1.5
    thread.join()


def assert_goodbyes(server: HubProcess, count: int) -> None:
    """Every connection has ended, so many of them with SignalR's goodbye.

    ASP.NET Core now and then closes before it has read the last message (seen 5 times in 300, with a client
    of nothing but aiohttp too), so there the ends alone are counted.
    """
    until(lambda: not server.stats()["connections"])
    if "reference" not in str(server.process.args[0]):
        assert server.stats()["received"].count('{"type":7}') == count


@pytest.mark.parametrize("when", ["unsent", "sent"])
def test_row_59_interrupt_in_create_invoice(server: HubProcess, when: str) -> None:
    """An interrupt is raised at once and says what became of the command; the hub stays usable."""
    with fast_hub(server.url, timeout=60) as hub:
        with (
            during_a_creation(hub, server, signal_main, when),
            pytest.raises(KeyboardInterrupt) as caught,
        ):
            hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
        notes = "".join(getattr(caught.value, "__notes__", []))
        server.mode()
        if when == "unsent":
            assert notes == ""
            healed(hub)
            assert server.created() == 0
            assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").reused is False
            assert server.created() == 1
        else:
            assert "CreateLightningInvoice with ClientId a was sent at" in notes
            assert "may or may not have been carried out" in notes
            assert hub.create_invoice(*PAGE_EXAMPLE, client_id="b").reused is False
            until(lambda: (hub.events["client_id"] == "a").sum() == 2)  # its answer, late
            assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").reused
            assert server.created() == 2
        assert hub.state == "connected"


@pytest.mark.parametrize("when", ["unsent", "sent"])
def test_row_60_close_from_another_thread(server: HubProcess, when: str) -> None:
    """Closing ends a creation under way at once: not sent, or of unknown outcome."""
    error = hercle.OutcomeUnknown if when == "sent" else hercle.ConnectionFailed
    says = r"ClientId a was sent .*\(closed here\)" if when == "sent" else "The hub was closed"
    with fast_hub(server.url, timeout=60) as hub:
        with during_a_creation(hub, server, hub.close, when), pytest.raises(error, match=says):
            hub.create_invoice(*PAGE_EXAMPLE, client_id="a")
        assert hub.state == "closed"
        with pytest.raises(hercle.ConnectionFailed, match="closed"):
            hub.create_invoice(*PAGE_EXAMPLE)
        assert_goodbyes(server, 1 if when == "sent" else 0)
        assert server.created() == (1 if when == "sent" else 0)
        assert list(hub.events["subject"])[-1] == "connection.closed"


def test_row_61_exit_without_close(server: HubProcess) -> None:
    """A script that ends without closing its hubs is silent, and each of them says goodbye."""
    done = python(
        """
        import sys
        import hercle_nb as hercle
        hubs = [hercle.connect(url=sys.argv[1], api_key=sys.argv[2], journal=False) for _ in range(2)]
        hubs[0].create_invoice(amount_sat=1)
        hubs[1].on_event(print)
        """,
        server.url,
        KEY,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert_goodbyes(server, 2)
    assert server.stats()["connectionsEver"] == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_row_62_fork(server: HubProcess) -> None:
    """A forked child's hub is closed and says why, its log can be read; the parent notices nothing."""
    done = python(
        """
        import os, sys, threading, warnings
        import hercle_nb as hercle
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        url, key = sys.argv[1:]
        hub = hercle.connect(url=url, api_key=key, journal=False)
        invoice = hub.create_invoice(0.001, client_id="parent")
        sys.stdout.flush()
        if child := os.fork():
            _, status = os.waitpid(child, 0)
            assert status == 0
            assert hub.state == "connected"
            assert hub.create_invoice(0.002).amount_sat == 200_000
            assert hub.stats["gaps"] == 0
            hub.close()
        else:
            assert hub.state == "closed"
            assert "forked" in hub.stats["last_error"] and "closed" in repr(hub)
            for verb in (
                lambda: hub.create_invoice(0.001),
                lambda: hub.create_invoice(0.001, client_id="parent"),
                lambda: hub.command("GetBalances"),
                lambda: hub.invoke("GetBalances", "a"),
                lambda: hub.wait_for("a.b"),
                lambda: hub.on_event(print),
            ):
                try:
                    verb()
                except hercle.ConnectionFailed as error:
                    assert "forked" in str(error), error
                else:
                    raise AssertionError("a verb worked in the child")
            assert list(hub.events["kind"]) == ["connection", "command", "event"]
            assert invoice.status == "open"
            hub.close()
            assert threading.active_count() == 1
            with hercle.connect(url=url, api_key=key, journal=False) as own:
                assert own.create_invoice(0.003).amount_sat == 300_000
            print("child done")
        """,
        server.url,
        KEY,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "child done\n", "")
    assert_goodbyes(server, 2)
    assert server.stats()["connectionsEver"] == 2
    assert server.created() == 3


def test_row_63_200_threads_at_once(server: HubProcess) -> None:
    """Two hundred threads calling at once get each its own answer, in order of nothing but chance."""
    with fast_hub(server.url, timeout=60) as hub:
        answers: dict[int, Any] = {}
        start = threading.Barrier(200)

        def call(number: int) -> None:
            start.wait()
            if number % 20:
                answers[number] = hub.command("GetBalances", client_id=f"c{number}").client_id
            else:
                answers[number] = hub.create_invoice(amount_sat=1_000 + number).amount_sat

        threads = [threading.Thread(target=call, args=(number,)) for number in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == {number: f"c{number}" if number % 20 else 1_000 + number for number in range(200)}
        assert server.created() == 10
        assert (hub.state, hub.stats["gaps"]) == ("connected", 0)
        assert hub.create_invoice(*PAGE_EXAMPLE).warnings == ()


def test_row_64_two_hubs_in_one_process(server: HubProcess) -> None:
    """Two hubs share nothing: not their rows, ClientIds and callbacks, not their losses, not their end."""
    with fast_hub(server.url) as one, fast_hub(server.url) as two, hercle.connect("simulator") as three:
        seen: list[str | None] = []
        one.on_event(lambda event: seen.append(event.client_id))
        for hub in (one, two):
            assert hub.create_invoice(*PAGE_EXAMPLE, client_id="a").reused is False
        assert two.command("GetBalances", client_id="q").client_id == "q"
        until(lambda: seen)
        assert seen == ["a"]
        assert (len(one.events), len(two.events), len(three.events)) == (3, 5, 1)
        server.lose()
        for hub in (one, two):
            healed(hub)
        assert three.stats["gaps"] == 0
        one.close()
        assert (one.state, two.state, three.state) == ("closed", "connected", "connected")
        for hub in (two, three):
            assert hub.create_invoice(*PAGE_EXAMPLE, client_id="b").status == "open"
        assert server.created() == 3
