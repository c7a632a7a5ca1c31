"""What starts when, and what is left when it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from tests.servers import KEY, interrupt_after, python

if TYPE_CHECKING:
    from tests.servers import HubProcess


def test_import_is_quiet_and_light() -> None:
    """Importing starts nothing, prints nothing, and leaves the heavy packages alone."""
    done = python(
        """
        import sys, threading
        import hercle_nb
        heavy = {"pandas", "numpy", "aiohttp", "ipywidgets", "pysignalr", "websockets", "nest_asyncio"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        assert threading.active_count() == 1
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "ending", ["hub.close()", "pass", "del hub", "raise SystemExit", "hub.close(); hub.close()"]
)
def test_interpreter_exit(server: HubProcess, ending: str) -> None:
    """Whatever way a script ends, closed or not, no thread, task, socket or warning is left."""
    done = python(
        f"""
        import sys
        import hercle_nb as hercle
        hub = hercle.connect(url=sys.argv[1], api_key={KEY!r}, journal=False)
        hub.create_invoice(amount_sat=1)
        {ending}
        """,
        server.url,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_failed_connect_leaves_nothing(server: HubProcess) -> None:
    """After a refused key no thread is left, and no warning at exit."""
    done = python(
        """
        import sys, threading
        import hercle_nb as hercle
        try:
            hercle.connect(url=sys.argv[1], api_key="wrong")
        except hercle.AuthenticationError:
            assert threading.active_count() == 1, threading.enumerate()
        else:
            raise SystemExit("connected with a wrong key")
        """,
        server.url,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_embedded_simulator_ends_with_its_hub() -> None:
    """The default hub needs no key and no network, and takes its simulator with it."""
    hub = hercle.connect()
    assert hub.environment == "simulator"
    assert "simulator" in repr(hub)
    assert "nobody can pay" in repr(hub)
    assert hub.create_invoice(0.001).decoded.currency == "bcrt"
    hub.close()
    hub.close()
    assert hub.state == "closed"


def test_unreferenced_hub_is_closed(server: HubProcess) -> None:
    """A hub to which nothing refers any more closes by itself, so re-running a cell piles up nothing."""
    hub = hercle.connect(url=server.url, api_key=KEY, journal=False)
    for _ in range(3):
        hub = hercle.connect(url=server.url, api_key=KEY, journal=False)
    gc.collect()
    deadline = time.monotonic() + 5
    while server.stats()["connections"] > 1:
        assert time.monotonic() < deadline
    assert hub.state == "connected"
    gone = weakref.ref(hub)
    del hub
    gc.collect()
    assert gone() is None
    while server.stats()["connections"]:
        assert time.monotonic() < deadline


def test_aio_face_keeps_the_connection(server: HubProcess) -> None:
    """Who holds `hub.aio` alone still has a connection."""
    aio = hercle.connect(url=server.url, api_key=KEY, journal=False).aio
    gc.collect()
    assert asyncio.run(aio.create_invoice(0.001)).status == "open"
    asyncio.run(aio.close())


def test_collected_on_its_own_thread(server: HubProcess) -> None:
    """A hub whose last reference dies on its own thread does not wait for itself."""
    hub = hercle.connect(url=server.url, api_key=KEY, journal=False)
    portal = hub._portal
    box = [hub]
    del hub

    async def drop() -> None:
        box.clear()
        gc.collect()

    portal.call(drop())
    portal._thread.join(5)
    assert not portal._thread.is_alive()


def test_blocking_verb_on_the_hubs_thread(server: HubProcess) -> None:
    """A blocking verb called on the hub's own thread is refused instead of waiting for itself."""
    with hercle.connect(url=server.url, api_key=KEY, journal=False) as hub:

        async def call() -> None:
            hub.create_invoice(0.001)

        with pytest.raises(hercle.WrongThread, match=r"hub\.aio"):
            hub._portal.call(call())


def test_aio_on_any_loop(server: HubProcess) -> None:
    """The awaitable verbs work on the caller's own loop, many at a time."""

    async def main() -> None:
        async with await hercle.connect_async(url=server.url, api_key=KEY, journal=False) as hub:
            made = await asyncio.gather(*(hub.create_invoice(amount_sat=sat) for sat in range(1, 9)))
            assert [invoice.amount_sat for invoice in made] == list(range(1, 9))
            assert (await hub.command("GetBalances")).subject == "account.balances.snapshot"
            assert len(hub.events) == 19
        assert hub.state == "closed"

    asyncio.run(main())


def test_cancelled_aio_call(server: HubProcess) -> None:
    """Cancelling an awaited verb ends it at once and leaves the hub usable."""
    server.mode(replyDelayMs=1000)

    async def main() -> None:
        async with await hercle.connect_async(url=server.url, api_key=KEY, journal=False) as hub:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(hub.create_invoice(0.001, client_id="a"), 0.1)
            server.mode()
            assert (await hub.create_invoice(0.001, client_id="b")).client_id == "b"

    asyncio.run(main())


def test_interrupted_connect() -> None:
    """Ctrl-C while connecting to a port where nothing listens leaves nothing behind."""
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), interrupt_after(0.3):
        hercle.connect(url="http://127.0.0.1:9/hub", api_key=KEY, timeout=30)
    assert threading.active_count() <= before + 1  # the timer
