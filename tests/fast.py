"""Hubs whose watchdogs and delays are cut short, so that no test waits for them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from hercle_nb._face import start
from hercle_nb._signalr.transport import Timings
from hercle_nb.aio import AsyncHub
from hercle_nb.hub import Hub
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

FAST = {"pace": 0.01, "tick": 0.02, "goodbye": 0.2}  # delays of 0, 20, 100, 300 ms, then up to 600 ms


@contextmanager
def fast_hub(
    url: str,
    api_key: Any = KEY,
    timeout: float = 5.0,
    max_events: int = 1_000_000,
    journal: Any = False,
    **timings: Any,
) -> Iterator[Hub]:
    """A connected hub; ``timings`` are fields of `Timings`, on top of `FAST`."""
    core, portal = start(
        None,
        api_key,
        url,
        allow_insecure=False,
        journal=journal,
        max_events=max_events,
        max_bytes=1 << 30,
        timings=Timings(**{**FAST, **timings}),
    )
    try:
        portal.call(core.connect(timeout))
        yield Hub(AsyncHub(core, portal, timeout))
    finally:
        portal.stop()


@contextmanager
def connecting(url: str, **options: Any) -> Iterator[tuple[Future[Hub], list[int]]]:
    """Connect on another thread: the hub to be, and a list that gets an entry with every attempt."""
    attempts: list[int] = []
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        hub = fast_hub(url, lambda: attempts.append(1) or KEY, timeout=20, **options)
        yield pool.submit(stack.enter_context, hub), attempts


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something that another thread or process is about to do, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.003)
    return found


def healed(hub: Hub, losses: int = 1) -> None:
    """Wait until so many connections were lost and the next one is up."""
    until(lambda: hub.stats["gaps"] >= losses and hub.state == "connected")
    gaps = hub.log.gaps
    assert gaps["back_at"].notna().all()
    assert (gaps["back_at"] >= gaps["lost_at"]).all()
    assert (gaps["attempts"] >= 1).all()
