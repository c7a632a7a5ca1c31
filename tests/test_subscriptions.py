"""Price feeds: subscribed once the hub said so, one a pair, made again after a loss, silent ones show."""

from __future__ import annotations

import asyncio
import gc
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import hercle_nb as hercle
from hercle_nb import commands
from tests.fast import fast_hub, healed, until
from tests.scripted import scripted_hub
from tests.servers import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import HubProcess


@pytest.fixture
def hub(server: HubProcess) -> Iterator[hercle.Hub]:
    """A hub with short delays."""
    with fast_hub(server.url) as hub:
        yield hub


def sent(hub: hercle.Hub) -> list[tuple[str, str, Any]]:
    """Each subscription command sent: its method, pair and size."""
    frame = hub.log.frame("command")
    ours = frame[frame["target"].isin([commands.SUBSCRIBE, commands.UNSUBSCRIBE])]
    return [(target, data[1], data[2]) for target, data in zip(ours["target"], ours["data"], strict=True)]


def test_prices_arrive(hub: hercle.Hub) -> None:
    """A subscription has its prices as typed columns, and its latest as an event."""
    feed = hub.prices("BTCUSDT")
    assert feed.state == "active"
    assert feed.subscribed_at is not None
    until(lambda: len(feed.frame()) >= 3)
    frame = feed.frame()
    assert frame.index.name == "seq"
    assert list(frame.columns[:2]) == ["received_at", "connection"]
    assert frame["markPrice"].dtype == "float64"
    assert set(frame["pair"]) == {"BTCUSDT"}
    assert frame["received_at"].is_monotonic_increasing
    latest = feed.latest
    assert latest is not None
    assert latest.seq >= frame.index[-1]
    assert isinstance(latest.data["markPrice"], Decimal | int)
    assert feed.frame("decimal")["markPrice"].map(type).isin([Decimal]).all()
    assert 0 <= feed.age < 5
    assert repr(feed).startswith("<prices of BTCUSDT for 1, active, last price 0.")


def test_latest_is_the_last_one(hub: hercle.Hub) -> None:
    """The latest price is the newest event of that pair, whatever stands around it."""
    one, other = hub.prices("BTCUSDT"), hub.prices("ETHUSDT")
    until(lambda: one.latest and other.latest and len(hub.log) > 30)
    other.cancel()
    hub.log.frame()
    for feed in (one, other):
        ours = [
            seq for seq, data in feed._core.log.frame("event")["data"].items() if data["pair"] == feed.pair
        ]
        latest = feed.latest
        assert latest is not None
        assert latest.seq in ours
        assert latest.seq >= ours[-2]
        assert latest.data["pair"] == feed.pair


def test_one_for_a_pair(hub: hercle.Hub) -> None:
    """The same pair and size is the same subscription; another size is refused until it is cancelled."""
    feed = hub.prices("BTCUSDT", 2)
    assert hub.prices("BTCUSDT", Decimal(2)) is feed
    with pytest.raises(
        hercle.InvalidRequest, match=r"BTCUSDT is subscribed for 2, .*; cancel that one before"
    ):
        hub.prices("BTCUSDT", 3)
    assert len(sent(hub)) == 1
    feed.cancel()
    feed.cancel()
    assert feed.state == "cancelled"
    again = hub.prices("BTCUSDT", 3)
    assert again is not feed
    assert sent(hub) == [
        (commands.SUBSCRIBE, "BTCUSDT", 2),
        (commands.UNSUBSCRIBE, "BTCUSDT", 2),
        (commands.SUBSCRIBE, "BTCUSDT", 3),
    ]
    until(lambda: again.latest)
    assert again.latest.data["size"] == 3


def test_of_a_pair(hub: hercle.Hub) -> None:
    """The feed of a pair is found by it, until it is cancelled."""
    feeds = hub._core.feeds
    feed = hub.prices("BTCUSDT")
    assert (feeds.of("BTCUSDT"), feeds.of("ETHUSDT"), feeds.of("")) == (feed, None, None)
    feed.cancel()
    until(lambda: feeds.of("BTCUSDT") is None)


def test_many_threads_subscribe_once(hub: hercle.Hub) -> None:
    """However many ask at once, the hub is asked once."""
    feeds: list[hercle.Subscription] = []
    threads = [threading.Thread(target=lambda: feeds.append(hub.prices("BTCUSDT"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(feeds) == 8
    assert len(set(map(id, feeds))) == 1
    assert len(sent(hub)) == 1


def test_made_again_after_a_loss(hub: hercle.Hub, server: HubProcess) -> None:
    """After a lost connection the same feeds are there again, but not the cancelled ones."""
    feed, gone = hub.prices("BTCUSDT", 0.5), hub.prices("ETHUSDT")
    until(lambda: feed.latest and gone.latest)
    gone.cancel()
    until(lambda: len(sent(hub)) == 3)
    server.lose()
    healed(hub)
    until(lambda: feed.latest.connection == 2)
    until(lambda: feed.state == "active")
    assert feed.connection == 2
    assert sent(hub)[3:] == [(commands.SUBSCRIBE, "BTCUSDT", Decimal("0.5"))]
    assert set(feed.frame()["connection"]) == {1, 2}
    assert hub.log.gaps["connection"].tolist() == [1]


def test_made_again_after_several_losses(hub: hercle.Hub, server: HubProcess) -> None:
    """Each connection gets the subscription once."""
    feed = hub.prices("BTCUSDT")
    for losses in (1, 2, 3):
        server.lose()
        healed(hub, losses)
        until(lambda: feed.latest and feed.latest.connection == losses + 1)  # noqa: B023
    assert sent(hub) == [(commands.SUBSCRIBE, "BTCUSDT", 1)] * 4


def test_refused() -> None:
    """A refusal is raised and leaves no subscription; one after a reconnect shows, and can be mended."""
    with scripted_hub() as server, fast_hub(server.url) as hub:
        server.mode(hubError="no feeds today")
        with pytest.raises(hercle.CommandRejected, match="no feeds today"):
            hub.prices("BTCUSDT")
        assert len(hub.subscriptions) == 0
        server.mode()
        feed = hub.prices("BTCUSDT")
        assert feed.state == "active"
        server.mode(hubError="no feeds today")
        server.lose()
        healed(hub)
        until(lambda: feed.state == "refused")
        assert "no feeds today" in str(feed.error)
        assert hub.subscriptions["state"].tolist() == ["refused"]
        server.mode()
        assert hub.prices("BTCUSDT").state == "active"
        assert feed.state == "refused"


def test_silent_feed_shows(hub: hercle.Hub, server: HubProcess) -> None:
    """A feed that brings nothing grows old though the connection lives."""
    feed = hub.prices("BTCUSDT")
    until(lambda: feed.latest)
    hub.invoke(commands.UNSUBSCRIBE, "x", "BTCUSDT", 1)  # behind its back
    latest = feed.latest
    until(lambda: feed.age > 0.5)
    assert hub.command("GetBalances").kind == "event"
    assert hub.state == "connected"
    assert feed.latest.seq <= latest.seq + 3
    row = hub.subscriptions.loc["BTCUSDT"]
    assert row["age"] > 0.5
    assert row["latest_at"] == feed.latest.received_at


def test_frame_of_subscriptions(hub: hercle.Hub) -> None:
    """The subscriptions are a frame with fixed dtypes, empty or not."""
    dtypes = {
        "size": "float64",
        "state": "str",
        "subscribed_at": "datetime64[us, UTC]",
        "latest_at": "datetime64[us, UTC]",
        "age": "float64",
    }
    assert {name: str(dtype) for name, dtype in hub.subscriptions.dtypes.items()} == dtypes
    with hub.prices("BTCUSDT", 0.25), hub.prices("ETHUSDT"):
        frame = hub.subscriptions
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dtypes
        assert frame.index.tolist() == ["BTCUSDT", "ETHUSDT"]
        assert frame.index.name == "pair"
        assert frame["size"].tolist() == [0.25, 1.0]
    until(lambda: hub.subscriptions.empty)


def test_awaited(hub: hercle.Hub) -> None:
    """The awaitable twin does the same, and ends with its block."""

    async def main() -> None:
        async with await hub.aio.prices("BTCUSDT") as feed:
            assert hub.prices("BTCUSDT") is feed
        assert feed.state == "cancelled"

    asyncio.run(main())


def test_keeps_its_hub_alive(server: HubProcess) -> None:
    """A hub with a subscription is in use; once it is cancelled the hub closes itself."""
    feeds = [hercle.connect(url=server.url, api_key=KEY, journal=False).prices("BTCUSDT")]
    gc.collect()
    until(lambda: feeds[0].latest)
    feeds.pop().cancel()
    gc.collect()
    until(lambda: not server.stats()["connections"])


def test_after_close(hub: hercle.Hub) -> None:
    """A closed hub's subscription says so, can be cancelled, and keeps its prices; none begins."""
    feed = hub.prices("BTCUSDT")
    until(lambda: feed.latest)
    hub.close()
    assert feed.state == "closed"
    assert len(feed.frame())
    feed.cancel()
    with pytest.raises(hercle.ConnectionFailed):
        hub.prices("BTCUSDT")


@pytest.mark.parametrize(
    "arguments",
    [("",), (None,), (5,), ("BTCUSDT", 0), ("BTCUSDT", True), ("BTCUSDT", "1"), ("X", float("nan"))],
)
def test_arguments(hub: hercle.Hub, arguments: tuple) -> None:
    """What cannot be a pair or a size is refused before anything is sent."""
    with pytest.raises(hercle.InvalidRequest):
        hub.prices(*arguments)
    assert sent(hub) == []


@pytest.mark.parametrize("method", [commands.SUBSCRIBE, commands.UNSUBSCRIBE])
def test_command_names_prices(hub: hercle.Hub, method: str) -> None:
    """`command` refuses what no event answers, and names the way."""
    with pytest.raises(hercle.InvalidRequest, match=r"No event answers .*; write feed = hub.prices"):
        hub.command(method, "BTCUSDT", 1)
