"""The thread that owns a hub: starting, waiting, interrupting, ending."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from typing import TYPE_CHECKING

import pytest

import hercle_nb as hercle
from hercle_nb._portal import Portal
from tests.servers import interrupt_after

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A running portal."""
    portal = Portal("test-portal")
    yield portal
    portal.stop()


async def answer(value: object, after: float = 0) -> object:
    """A value, later."""
    await asyncio.sleep(after)
    return value


def test_call_returns_what_the_coroutine_returns(portal: Portal) -> None:
    """A call runs on the portal's thread and brings back its result."""
    assert portal.call(answer(7)) == 7

    async def where() -> str:
        return threading.current_thread().name

    assert portal.call(where()) == "test-portal"


def test_call_raises_what_the_coroutine_raises(portal: Portal) -> None:
    """Errors cross the threads as they are, time-outs among them."""

    async def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("x"), TimeoutError("y"), hercle.HubTimeout("z")):
        with pytest.raises(type(error), match=str(error)):
            portal.call(fail(error))


def test_interrupt_cancels_the_coroutine(portal: Portal) -> None:
    """An interrupt reaches a waiting call at once and cancels what it waits for, which has no more to say."""
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as caught, interrupt_after(0.1):
        portal.call(wait())
    assert time.monotonic() - began < 1
    assert cancelled.wait(1)
    assert not getattr(caught.value, "__notes__", [])
    assert portal.call(answer(1)) == 1


def test_what_a_cancelled_coroutine_says_becomes_a_note(portal: Portal) -> None:
    """A coroutine that answers its cancellation with an error adds that to the interrupt."""

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("sent already") from None

    with pytest.raises(KeyboardInterrupt) as caught, interrupt_after(0.1):
        portal.call(wait())
    assert caught.value.__notes__ == ["sent already"]


def test_call_on_its_own_thread(portal: Portal) -> None:
    """A blocking call on the portal's own thread is refused: it would wait for itself."""

    async def call() -> None:
        portal.call(answer(1))

    with pytest.raises(hercle.WrongThread):
        portal.call(call())


def test_hop_from_another_loop_and_its_own(portal: Portal) -> None:
    """Any loop can await what runs on the portal, its own among them."""
    assert asyncio.run(portal.hop(answer(5))) == 5

    async def inside() -> object:
        return await portal.hop(answer(6))

    assert portal.call(inside()) == 6


def test_cancelled_hop_cancels(portal: Portal) -> None:
    """Cancelling the awaiting task cancels the coroutine on the portal, and nobody is left complaining."""
    ended = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(portal.hop(wait()), 0.05)

    asyncio.run(main())
    assert ended.wait(1)


def test_stop_ends_calls_under_way(portal: Portal) -> None:
    """A call that is waiting when the portal stops ends with ConnectionFailed, as does any later one."""
    threading.Timer(0.1, portal.stop).start()
    with pytest.raises(hercle.ConnectionFailed, match="during the call"):
        portal.call(asyncio.sleep(60))
    with pytest.raises(hercle.ConnectionFailed, match=r"hercle\.connect\(\)"):
        portal.call(asyncio.sleep(0))


def test_stop_awaits_the_cleanup() -> None:
    """The cleanup runs on the loop before it ends; stopping twice is stopping once."""
    done = []

    async def cleanup() -> None:
        done.append(threading.current_thread().name)

    portal = Portal("with-cleanup", cleanup)
    portal.stop()
    portal.stop()
    assert done == ["with-cleanup"]


def test_calls_racing_with_stop() -> None:
    """Whatever the moment of the stop, each call ends, with its result or with ConnectionFailed."""
    for _ in range(50):
        portal = Portal("racing")
        outcomes: list[object] = []

        def call(portal: Portal = portal, outcomes: list[object] = outcomes) -> None:
            try:
                outcomes.append(portal.call(answer(1)))
            except hercle.ConnectionFailed:
                outcomes.append(None)

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        portal.stop()
        for thread in threads:
            thread.join(5)
        assert len(outcomes) == 3


def test_thread_carries_the_context() -> None:
    """The thread sees the context of the cell that started it, which ipykernel 7.0.1 needs for widgets."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("of the cell")
    portal = Portal("with-context")

    async def read() -> str:
        return variable.get("nothing")

    assert portal.call(read()) == "of the cell"
    portal.stop()
