"""Streams: every hub event in order, at the reader's own pace, until the hub is closed."""

from __future__ import annotations

import asyncio
import gc
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


async def taken(hub: hercle.Hub, count: int, subject: str = "*", pause: float = 0) -> list[HubEvent]:
    """The first events of a stream."""
    events: list[HubEvent] = []
    async for event in hub.aio.stream(subject):
        events.append(event)
        if len(events) == count:
            break
        await asyncio.sleep(pause)
    return events


def test_every_event_in_order(hub: hercle.Hub, server: HubProcess) -> None:
    """Events come in order, each once, those of other subjects and our own commands left out."""

    async def main() -> list[HubEvent]:
        stream = asyncio.create_task(taken(hub, 300, "a.*"))
        await asyncio.sleep(0.05)
        await hub.aio.command("GetBalances")
        for subject in ("b.b", "a.b"):
            await asyncio.to_thread(server.post, "push", {"subject": subject, "count": 300})
        return await stream

    events = asyncio.run(asyncio.wait_for(main(), 20))
    assert [event.data["sequence"] for event in events] == list(range(300))
    assert {event.subject for event in events} == {"a.b"}
    assert [hub.log.event(event.seq) for event in events] == events


def test_from_the_call_on(hub: hercle.Hub, server: HubProcess) -> None:
    """A stream begins when it is asked for, not when it is first awaited."""
    server.post("push", {"subject": "before"})
    until(lambda: hub.stats["events"] == 1)

    async def main() -> str | None:
        stream = hub.aio.stream()
        server.post("push", {"subject": "after"})
        until(lambda: hub.stats["events"] == 2)
        return (await anext(stream)).subject

    assert asyncio.run(main()) == "after"


def test_slow_reader_misses_nothing(hub: hercle.Hub, server: HubProcess) -> None:
    """A reader that is slower than the hub gets everything that the log keeps."""

    async def main() -> list[HubEvent]:
        stream = asyncio.create_task(taken(hub, 200, pause=0.001))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(server.post, "push", {"subject": "a.b", "count": 200})
        return await stream

    events = asyncio.run(asyncio.wait_for(main(), 20))
    assert [event.data["sequence"] for event in events] == list(range(200))
    assert hub.stats["callback_drops"] == 0


def test_what_was_evicted_is_counted(server: HubProcess) -> None:
    """What the log evicted before a reader came to it is missing, and counted."""
    with fast_hub(server.url, max_events=50) as hub:
        until(lambda: server.stats()["connections"])

        async def main() -> HubEvent:
            stream = hub.aio.stream("last")
            server.post("push", {"subject": "a.b", "count": 1_000})
            until(lambda: hub.stats["events"] == 1_000)
            server.post("push", {"subject": "last"})
            return await anext(stream)

        assert asyncio.run(asyncio.wait_for(main(), 20)).subject == "last"
        assert hub.stats["callback_drops"] >= 900


def test_survives_a_loss(hub: hercle.Hub, server: HubProcess) -> None:
    """A lost connection does not end a stream."""

    async def main() -> list[HubEvent]:
        stream = asyncio.create_task(taken(hub, 1, "after.all"))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(server.lose)
        await asyncio.to_thread(healed, hub)
        await asyncio.to_thread(until, lambda: server.stats()["connections"])
        await asyncio.to_thread(server.post, "push", {"subject": "after.all"})
        return await stream

    assert asyncio.run(asyncio.wait_for(main(), 20))[0].connection == 2


def test_ends_with_the_hub(hub: hercle.Hub, server: HubProcess) -> None:
    """Closing the hub ends a stream after its last event; a closed hub begins none."""

    async def main() -> list[HubEvent]:
        stream = hub.aio.stream()
        server.post("push", {"subject": "a.b", "count": 3})
        until(lambda: hub.stats["events"] == 3)
        asyncio.get_running_loop().call_later(0.05, hub.close)
        return [event async for event in stream]

    assert len(asyncio.run(asyncio.wait_for(main(), 20))) == 3
    with pytest.raises(hercle.ConnectionFailed):
        hub.aio.stream()


def test_raises_what_ended_the_hub(hub: hercle.Hub, server: HubProcess) -> None:
    """A hub that ended by itself ends its streams with the reason."""

    async def main() -> None:
        stream = hub.aio.stream()
        server.post("key", {"key": "another"})
        server.lose()
        async for _ in stream:
            pass

    try:
        with pytest.raises(hercle.AuthenticationError):
            asyncio.run(asyncio.wait_for(main(), 20))
    finally:
        server.post("key", {"key": KEY})


def test_keeps_its_hub_alive_and_lets_go(server: HubProcess) -> None:
    """A stream in use keeps its hub alive; one that was left lets go of it."""

    async def main() -> None:
        stream = hercle.connect(url=server.url, api_key=KEY, journal=False).aio.stream()
        gc.collect()
        await asyncio.to_thread(until, lambda: server.stats()["connections"])
        server.post("push", {"subject": "a.b"})
        assert (await anext(stream)).subject == "a.b"
        await stream.aclose()

    asyncio.run(asyncio.wait_for(main(), 20))
    gc.collect()
    until(lambda: not server.stats()["connections"])


def test_pattern(hub: hercle.Hub) -> None:
    """A pattern that is no text is refused at once."""
    with pytest.raises(hercle.InvalidRequest, match="takes a pattern"):
        hub.aio.stream(None)
