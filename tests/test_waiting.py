"""Waiting for events, and being called back with them."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.fast import fast_hub, healed, until
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hercle_nb.events import HubEvent
    from tests.servers import HubProcess


@pytest.fixture
def hub(server: HubProcess) -> Iterator[hercle.Hub]:
    """A hub with short delays, known to the server."""
    with fast_hub(server.url) as hub:
        until(lambda: server.stats()["connections"])
        yield hub


def later(action: object, *arguments: object) -> None:
    """Do something in a moment, from another thread."""
    threading.Timer(0.05, action, arguments).start()


def test_wait_for_what_is_to_come(hub: hercle.Hub, server: HubProcess) -> None:
    """The first matching event after the call began is returned, earlier ones are not."""
    server.post("push", {"subject": "a.b"})
    until(lambda: hub.stats["events"] == 1)
    later(server.post, "push", {"subject": "a.b"})
    event = hub.wait_for("a.b")
    assert event.seq == 2
    assert event.subject == "a.b"


def test_wait_for_since(hub: hercle.Hub, server: HubProcess) -> None:
    """With ``since`` what is already in the log counts too; our own commands never do."""
    hub.command("GetBalances", client_id="q")
    event = hub.wait_for(client_id="q", since=0)
    assert (event.kind, event.subject) == ("event", "account.balances.snapshot")
    assert hub.wait_for(target="EXECUTIONEVENTS", since=0) == event
    assert hub.wait_for("account.*", where=lambda e: e.data["baseCurrency"] == "EUR", since=0) == event
    with pytest.raises(hercle.HubTimeout, match=r"No such event came in 0\.05 s"):
        hub.wait_for("account.*", since=event.seq + 1, timeout=0.05)


def test_wait_for_survives_a_loss(hub: hercle.Hub, server: HubProcess) -> None:
    """A lost connection does not end the wait."""

    def lose_then_push() -> None:
        server.lose()
        healed(hub)
        until(lambda: server.stats()["connections"])
        server.post("push", {"subject": "after.all"})

    later(lose_then_push)
    assert hub.wait_for("after.all").connection == 2


def test_wait_for_own_error(hub: hercle.Hub, server: HubProcess) -> None:
    """What the test of one's own raises is raised by the wait, and harms nobody else."""
    later(server.post, "push", {"subject": "a.b"})
    with pytest.raises(ZeroDivisionError):
        hub.wait_for(where=lambda _: 1 / 0)
    assert hub.state == "connected"


def test_wait_for_ends_with_the_hub(hub: hercle.Hub) -> None:
    """Closing ends the wait, and afterwards none begins."""
    later(hub.close)
    with pytest.raises(hercle.ConnectionFailed):
        hub.wait_for("never")
    with pytest.raises(hercle.ConnectionFailed):
        hub.wait_for("never")


def test_wait_for_awaited(hub: hercle.Hub, server: HubProcess) -> None:
    """The awaitable twin does the same."""
    later(server.post, "push", {"subject": "a.b"})
    assert asyncio.run(hub.aio.wait_for("a.*")).subject == "a.b"


def test_callbacks_in_order(hub: hercle.Hub, server: HubProcess) -> None:
    """Each event that fits the pattern is handed on, in order, on a thread of its own."""
    seen: list[HubEvent] = []
    threads: set[str] = set()
    handle = hub.on_event(
        lambda event: (seen.append(event), threads.add(threading.current_thread().name)), "a.*"
    )
    server.post("push", {"subject": "a.b", "count": 50})
    server.post("push", {"subject": "b.b"})
    until(lambda: len(seen) == 50)
    assert [event.data["sequence"] for event in seen] == list(range(50))
    assert threads == {"hercle-callbacks"}
    handle.cancel()
    handle.cancel()
    server.post("push", {"subject": "a.b"})
    until(lambda: hub.stats["events"] == 52)
    assert len(seen) == 50


def test_blocking_verb_in_a_callback(hub: hercle.Hub, server: HubProcess) -> None:
    """A blocking verb works inside a callback."""
    made: list[hercle.Invoice] = []
    hub.on_event(lambda _: made.append(hub.create_invoice(amount_sat=7)), "go")
    server.post("push", {"subject": "go"})
    until(lambda: made)
    assert made[0].amount_sat == 7


def test_callback_that_raises(hub: hercle.Hub, server: HubProcess, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a callback is logged and counted; the next event is handed on all the same."""
    seen: list[HubEvent] = []

    def fail(event: HubEvent) -> None:
        seen.append(event)
        raise ValueError("mine")

    hub.on_event(fail)
    with caplog.at_level(logging.ERROR, "hercle_nb"):
        server.post("push", {"count": 2})
        until(lambda: hub.stats["callback_errors"] == 2)
    assert len(seen) == 2
    assert "mine" in caplog.text


def test_a_callback_keeps_its_hub_alive(server: HubProcess) -> None:
    """A hub with a callback is in use; without one it is collected and closes itself."""
    seen: list[HubEvent] = []
    handle = hercle.connect(url=server.url, api_key=KEY, journal=False).on_event(seen.append)
    gc.collect()
    until(lambda: server.stats()["connections"])
    server.post("push", {})
    until(lambda: seen)
    handle.cancel()
    del handle
    gc.collect()
    until(lambda: not server.stats()["connections"])


def test_on_event_after_close(hub: hercle.Hub) -> None:
    """A closed hub takes no callback."""
    hub.close()
    with pytest.raises(hercle.ConnectionFailed):
        hub.on_event(print)


@pytest.mark.parametrize("arguments", [(None,), (print, None), ("execution.*", print)])
def test_on_event_arguments(hub: hercle.Hub, arguments: tuple) -> None:
    """Arguments the wrong way round are refused at once, not at the first event."""
    with pytest.raises(hercle.InvalidRequest, match="takes a function and a pattern"):
        hub.on_event(*arguments)
