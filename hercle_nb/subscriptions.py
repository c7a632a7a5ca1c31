"""Price feeds: subscribed until cancelled, one for a pair, made again after each lost connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from hercle_nb import commands
from hercle_nb._pickling import StaysHere
from hercle_nb.errors import ConnectionFailed, HercleError, HubTimeout, InvalidRequest
from hercle_nb.invoice_request import check_client_id
from hercle_nb.readers import needles

if TYPE_CHECKING:
    from decimal import Decimal

    import pandas as pd

    from hercle_nb._core import Core
    from hercle_nb._face import Face
    from hercle_nb.events import HubEvent

logger = logging.getLogger("hercle_nb")

_PAGE = 256  # rows looked at between two looks for the latest price
_PATIENCE = 60.0  # seconds for the hub to answer what nobody waits for


class Subscription(StaysHere):
    """A feed of prices for one pair. It keeps its hub alive until `cancel`, which a ``with`` block calls.

    Attributes:
        pair: Such as ``BTCUSDT``.
        size: What the prices are for, in the pair's base currency.
        client_id: The ClientId that it was subscribed with.
        connection: Number of the connection that it was subscribed on last; 0 before.
        subscribed_at: When the hub's completion came, after a reconnect anew (UTC); None before.
        error: The hub's refusal to subscribe again after a reconnect, or None.
    """

    pair: str
    size: int | float | Decimal
    client_id: str
    connection: int
    subscribed_at: datetime | None
    error: HercleError | None

    _instead = "hand over its frame(), or call hercle.connect() and hub.prices(pair) in the worker"

    def __init__(self, core: Core, hub: Face | None, pair: str, size: int | float | Decimal) -> None:
        self.pair = pair
        self.size = size
        self.client_id = check_client_id(None)
        self.connection = 0
        self.subscribed_at = None
        self.error = None
        self._core = core
        self._hub = hub
        self._since = self._looked_until = core.log.next_seq
        self._latest: HubEvent | None = None

    @property
    def state(self) -> Literal["active", "reconnecting", "refused", "cancelled", "closed"]:
        """``active``, ``reconnecting``, ``refused`` after a reconnect, ``cancelled``, or ``closed``."""
        if self._hub is None:
            return "cancelled"
        if self._core.supervisor.state == "closed":
            return "closed"
        if self.error is not None:
            return "refused"
        supervisor = self._core.supervisor
        here = supervisor.state == "connected" and self.connection == supervisor.connections
        return "active" if here else "reconnecting"

    @property
    def latest(self) -> HubEvent | None:
        """The last price, its fields in ``data``; None before the first."""
        end = until = self._core.log.next_seq
        while end > self._looked_until:
            begin = max(self._looked_until, end - _PAGE)
            events, _, _ = self._core.log.read(begin, end - begin, needles(self.pair))
            if found := next((event for event in reversed(events) if self._brought(event)), None):
                self._latest = found
                break
            end = begin
        self._looked_until = until
        return self._latest

    @property
    def age(self) -> float | None:
        """Seconds since the last price, before the first since the subscription; it tells a silent feed."""
        latest = self.latest
        moment = latest.received_at if latest is not None else self.subscribed_at
        return None if moment is None else max(0.0, (datetime.now(UTC) - moment).total_seconds())

    def frame(self, numbers: Literal["float", "decimal"] = "float") -> pd.DataFrame:
        """The prices so far, as far as the log keeps them.

        Args:
            numbers: ``float`` for float64, ``decimal`` for exact `Decimal` objects.

        Returns:
            Index ``seq`` int64; columns ``received_at`` datetime64[us, UTC], ``connection`` int32, then the
            fields of the hub's price events as `EventLog.expand` types them: ``id``, ``buyPrice``,
            ``sellPrice``, ``size``, ``pair``, ``markPrice``, ``timestamp``.
        """
        import numpy as np

        from hercle_nb.expansion import expand

        events = self._core.log.frame("event", since=self._since)
        ours = (isinstance(data, dict) and data.get("pair") == self.pair for data in events["data"])
        return expand(events[np.fromiter(ours, bool, len(events))], commands.PRICE, numbers)

    def cancel(self) -> None:
        """Unsubscribe, without waiting for the hub; does nothing the second time."""
        hub, self._hub = self._hub, None
        if hub is not None:
            with contextlib.suppress(ConnectionFailed):  # closed: there is no feed
                hub._portal.submit(self._core.feeds.end(self))

    def _brought(self, event: HubEvent) -> bool:
        return (
            event.subject == commands.PRICE
            and isinstance(event.data, dict)
            and event.data.get("pair") == self.pair
        )

    def __repr__(self) -> str:
        price = "no price so far" if self.latest is None else f"last price {self.age:.1f} s ago"
        return f"<prices of {self.pair} for {self.size}, {self.state}, {price}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()


class Feeds:
    """The subscriptions of one hub; everything here but `frame` runs on the hub's thread."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_pair: dict[str, Subscription] = {}
        self._locks: dict[str, asyncio.Lock] = {}  # one step after another, since a pair has one feed

    async def begin(self, hub: Face, pair: str, size: int | float | Decimal, timeout: float) -> Subscription:
        """Subscribe, or return the subscription of that pair and size.

        Raises:
            InvalidRequest: The pair is subscribed with another size.
            CommandRejected: The hub refused.
            HubTimeout: No completion in time.
        """
        due = asyncio.get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(due), self._lock(pair):
                known = self._by_pair.get(pair)
                if known is not None and known.size != size:
                    raise InvalidRequest(
                        f"{pair} is subscribed for {known.size}, and the hub keeps one feed a pair; cancel "
                        f"that one before you subscribe for {size}."
                    )
                if known is not None and known.error is None:
                    return known
                feed = Subscription(self._core, hub, pair, size)
                try:
                    await self._subscribe(feed, due - asyncio.get_running_loop().time())
                except (HubTimeout, asyncio.CancelledError):
                    self._core.start(self.end(feed))  # it may have been carried out
                    raise
                self._by_pair[pair] = feed
                return feed
        except TimeoutError as error:
            if isinstance(error, HubTimeout):
                raise
            raise HubTimeout(f"{pair} was not subscribed in {timeout:g} s; try again.") from None

    def of(self, pair: str) -> Subscription | None:
        """The subscription of a pair, if there is one."""
        return self._by_pair.get(pair)

    async def end(self, feed: Subscription) -> None:
        """Unsubscribe."""
        async with self._lock(feed.pair):
            if self._by_pair.get(feed.pair) is feed:
                del self._by_pair[feed.pair]
            if feed.pair not in self._by_pair and self._core.supervisor.state == "connected":
                try:
                    await self._core.invoke(commands.UNSUBSCRIBE, _arguments(feed), _PATIENCE)
                except HercleError as error:
                    logger.info("the prices of %s were not unsubscribed: %s", feed.pair, error)

    def again(self) -> None:
        """A new connection is up, which has no feeds: subscribe what was."""
        for feed in self._by_pair.values():
            self._core.start(self._subscribe_again(feed))

    def frame(self) -> pd.DataFrame:
        """The subscriptions there are; see `Face.subscriptions`."""
        import pandas as pd

        from hercle_nb._columns import TEXT_DTYPE, TIME_DTYPE

        feeds = list(self._by_pair.values())
        latest = [feed.latest for feed in feeds]
        columns = {
            "size": pd.Series([float(feed.size) for feed in feeds], dtype="float64"),
            "state": pd.Series([feed.state for feed in feeds], dtype=TEXT_DTYPE),
            "subscribed_at": pd.Series([feed.subscribed_at for feed in feeds], dtype=TIME_DTYPE),
            "latest_at": pd.Series([event and event.received_at for event in latest], dtype=TIME_DTYPE),
            "age": pd.Series([feed.age for feed in feeds], dtype="float64"),
        }
        index = pd.Index([feed.pair for feed in feeds], dtype=TEXT_DTYPE, name="pair")
        return pd.DataFrame(columns).set_axis(index)

    def _lock(self, pair: str) -> asyncio.Lock:
        return self._locks.setdefault(pair, asyncio.Lock())

    async def _subscribe(self, feed: Subscription, timeout: float) -> None:
        await self._core.invoke(commands.SUBSCRIBE, _arguments(feed), timeout)
        feed.connection = self._core.supervisor.connections
        feed.subscribed_at = datetime.now(UTC)

    async def _subscribe_again(self, feed: Subscription) -> None:
        async with self._lock(feed.pair):
            while (
                self._by_pair.get(feed.pair) is feed and feed.connection < self._core.supervisor.connections
            ):
                try:
                    await self._subscribe(feed, _PATIENCE)
                except HubTimeout:
                    continue
                except HercleError as error:
                    feed.error = error
                    logger.warning("the prices of %s were not subscribed again: %s", feed.pair, error)
                    return


def _arguments(feed: Subscription) -> list[Any]:
    return [feed.client_id, feed.pair, feed.size]
