"""The awaitable face of a hub: every verb's one definition. `Hub` forwards to it."""

from __future__ import annotations

import asyncio
import weakref
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Self

from hercle_nb import commands
from hercle_nb._face import Face, check_max_in_flight, check_poll, check_timeout, start
from hercle_nb.client_ids import spellings
from hercle_nb.config import ApiKey, hidden
from hercle_nb.errors import HercleError, InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest, check_client_id
from hercle_nb.progress import BatchBar
from hercle_nb.readers import Reader, matcher, needles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from os import PathLike
    from types import TracebackType

    import pandas as pd

    from hercle_nb._core import Core
    from hercle_nb._portal import Portal
    from hercle_nb.book import Resolution
    from hercle_nb.events import HubEvent
    from hercle_nb.invoices import Invoice
    from hercle_nb.subscriptions import Subscription


async def connect_async(
    environment: str | None = None,
    *,
    api_key: str | Callable[[], str] | None = None,
    url: str | None = None,
    allow_insecure: bool = False,
    journal: str | PathLike[str] | bool | None = None,
    max_btc: Any = 1,
    network: str | None = None,
    max_events: int = 1_000_000,
    max_bytes: int = 1 << 30,
    timeout: float = 30.0,
) -> AsyncHub:
    """Connect to a hub; the awaitable twin of `connect`.

    Raises:
        ConfigurationError: An argument or variable is missing, unknown or contradicts another.
        AuthenticationError: The hub refused the key.
        ConnectionFailed: No hub there, not a hub, or nothing came of it within ``timeout`` seconds.
        JournalError: The journal cannot be read or written; it was left as it is.
    """
    api_key, journal = ApiKey.wrapped(api_key), hidden(journal)
    timeout = check_timeout(timeout)
    core, portal = start(
        environment,
        api_key,
        url,
        allow_insecure=allow_insecure,
        journal=journal,
        max_btc=max_btc,
        network=network,
        max_events=max_events,
        max_bytes=max_bytes,
    )
    hub = AsyncHub(core, portal, timeout)
    try:
        await portal.hop(core.connect(timeout))
    except BaseException:
        await hub.close()
        raise
    return hub


class AsyncHub(Face):
    """A hub for coroutines: the verbs of `Hub`, awaitable on any running loop.

    The connection lives on a thread of its own, so it stays alive whatever the awaiting loop does.

    Attributes:
        log: The `EventLog`.
        timeout: Seconds that a verb waits unless told otherwise.

    Example:
        >>> import asyncio
        >>> async def create():
        ...     async with await connect_async("simulator") as hub:
        ...         return await hub.create_invoice(0.001, "Payment for services", 24)
        >>> asyncio.run(create()).amount_sat
        100000
    """

    def __init__(self, core: Core, portal: Portal, timeout: float) -> None:
        super().__init__(core, portal, timeout)
        finalizer = weakref.finalize(self, portal.request_stop)
        finalizer.atexit = False  # the portal has its own way out, which waits
        self.log.keeper = weakref.ref(self)

    async def create_invoice(
        self,
        amount_btc: Any = None,
        memo: str | None = None,
        expiry_hours: int | None = None,
        *,
        amount_sat: int | None = None,
        client_id: str | None = None,
        allow_msat: bool = False,
        timeout: float | None = None,
    ) -> Invoice:
        """Create a Lightning invoice.

        See `Hub.create_invoice`.
        """
        request = InvoiceRequest(
            amount_btc, memo, expiry_hours, client_id, amount_sat=amount_sat, allow_msat=allow_msat
        )
        return await self._portal.hop(self._core.creating.create(request, self._seconds(timeout)))

    async def create_invoices(
        self,
        rows: Any,
        *,
        batch_id: str | None = None,
        key: str | None = None,
        max_in_flight: int = 16,
        progress: bool = True,
        dry_run: bool = False,
        existing: Literal["refuse", "keep"] = "refuse",
        again: bool = False,
        timeout: float | None = None,
    ) -> pd.DataFrame:
        """Create invoices from a table, several at a time.

        See `Hub.create_invoices`.
        """
        batch = self._batch(rows, batch_id, key, existing, again=again)
        if dry_run:
            return batch.shown(await self._portal.hop(batch.check()))
        run = batch.run(check_max_in_flight(max_in_flight), self._seconds(timeout))
        task = asyncio.create_task(self._portal.hop(run))
        with BatchBar(batch.total, enabled=progress) as bar:
            try:
                while not (await asyncio.wait((task,), timeout=0.1))[0]:
                    bar.update(batch.finished)
                task.result()
            finally:
                task.cancel()
            bar.update(batch.finished)
        return batch.frame()

    async def refresh_invoices(self, *, timeout: float | None = None) -> pd.DataFrame:
        """Ask the hub for its list of invoices and merge it with what is known here.

        See `Hub.refresh_invoices`.
        """
        await self._portal.hop(self._core.lists.ask(self._seconds(timeout)))
        return self.invoices

    async def wait_paid(
        self, invoice: str | Invoice, *, timeout: float, poll: float = 5.0, progress: bool = True
    ) -> Invoice:
        """Wait until an invoice is paid, and return it.

        See `Hub.wait_paid`.
        """
        wait = self._core.payments.wait(invoice, check_timeout(timeout), check_poll(poll))
        task = asyncio.create_task(self._portal.hop(wait))
        with self._wait_line(invoice, enabled=progress) as line:
            try:
                while not (await asyncio.wait((task,), timeout=1.0))[0]:
                    line.update(self.state)
                paid = task.result()
            finally:
                task.cancel()
            line.end(f"paid after {line.elapsed}")
        return paid

    async def resolve(
        self, client_id: str, *, dismiss: bool = False, timeout: float | None = None
    ) -> Resolution:
        """Look again what became of a command of unknown outcome, in the hub's own list.

        See `Hub.resolve`.
        """
        if not isinstance(client_id, str):
            raise InvalidRequest(f"resolve() takes a ClientId of hub.unresolved, not {client_id!r}.")
        seconds = self._seconds(timeout)
        return await self._portal.hop(self._core.lists.resolve(client_id, seconds, dismiss=dismiss))

    async def command(
        self, method: str, *args: Any, client_id: str | None = None, timeout: float | None = None
    ) -> HubEvent:
        """Send a command and wait for the event that answers it.

        See `Hub.command`.
        """
        _check_method(method)
        documented = commands.documented(method)
        if documented is not None and documented.answer is None:
            raise InvalidRequest(
                f"No event answers {method}; write feed = hub.prices('BTCUSDT'), and feed.cancel() to end it."
            )
        call = self._core.command(method, list(args), check_client_id(client_id), self._seconds(timeout))
        return await self._portal.hop(call)

    async def invoke(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Invoke a hub method and wait for its completion: the bare SignalR call.

        See `Hub.invoke`.
        """
        _check_method(method)
        return await self._portal.hop(self._core.invoke(method, list(args), self._seconds(timeout)))

    async def wait_for(
        self,
        subject: str | None = None,
        *,
        client_id: str | None = None,
        target: str | None = None,
        where: Callable[[HubEvent], object] | None = None,
        since: int | None = None,
        timeout: float | None = None,
    ) -> HubEvent:
        """Wait for a hub event that matches.

        See `Hub.wait_for`.
        """
        matches = matcher(subject, client_id, target, where)
        held = needles(subject) or needles(*(() if client_id is None else spellings(client_id)))
        begin = self.log.next_seq if since is None else since
        return await self._portal.hop(self._core.wait_for(matches, held, begin, self._seconds(timeout)))

    async def prices(
        self, pair: str, size: int | float | Decimal = 1, *, timeout: float | None = None
    ) -> Subscription:
        """Subscribe to the prices of a pair.

        See `Hub.prices`.
        """
        if not isinstance(pair, str) or not pair:
            raise InvalidRequest(f"A pair is a text such as 'BTCUSDT', not {pair!r}.")
        number = isinstance(size, int | float | Decimal) and not isinstance(size, bool)
        if not (number and 0 < size < float("inf")):
            raise InvalidRequest(f"A size is a number above 0 such as 1 or 0.5, not {size!r}.")
        return await self._portal.hop(self._core.feeds.begin(self, pair, size, self._seconds(timeout)))

    def stream(self, subject: str = "*") -> AsyncIterator[HubEvent]:
        """Iterate over the hub events from now on, as they arrive, on any running loop.

        It reads the log at its own pace, so that a slow loop misses nothing that the log still keeps; what
        was evicted before is counted (``callback_drops`` in `stats`). A lost connection does not end it,
        `close` does. The hub stays alive while it is in use.

        Args:
            subject: A pattern such as ``execution.*``, matched with case.

        Raises:
            InvalidRequest: The pattern is no text.
            HercleError: At once, if the hub is closed; while it runs, if the hub ended by itself.

        Example:
            >>> import asyncio
            >>> async def first_price():
            ...     async with await connect_async("simulator") as hub:
            ...         async with await hub.prices("BTCUSDT"):
            ...             return await anext(hub.stream("execution.feeds.*"))
            >>> asyncio.run(first_price()).data["pair"]
            'BTCUSDT'
        """
        if not isinstance(subject, str):
            raise InvalidRequest('stream() takes a pattern such as "execution.*".')
        self._core.supervisor.check()
        return self._stream(Reader(self.log, self.log.next_seq), subject)

    async def _stream(self, reader: Reader, subject: str) -> AsyncIterator[HubEvent]:
        matches, held = matcher(subject), needles(subject)
        while True:
            while reader.behind:
                missed = reader.missed
                events = reader.read(held)
                self._core.stream_drops += reader.missed - missed
                for event in events:
                    if matches(event):
                        yield event
            try:
                await self._portal.hop(self._core.grown(reader.next))
            except HercleError:
                if self._core.supervisor.closed_here:
                    return
                raise

    async def close(self) -> None:
        """Say goodbye to the hub and end its thread; does nothing the second time."""
        if self._portal.on_thread:
            self._portal.request_stop()
        else:
            await asyncio.to_thread(self._portal.stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _check_method(method: Any) -> None:
    if not isinstance(method, str) or not method:
        raise InvalidRequest(f"A hub method is a name such as 'GetBalances', not {method!r}.")
