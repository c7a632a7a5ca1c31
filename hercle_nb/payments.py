"""Who waits for a payment: one list of the hub's, asked for at their pace, serves them all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from hercle_nb._pickling import StaysHere
from hercle_nb.errors import (
    CommandRejected,
    ConnectionFailed,
    HercleError,
    HubTimeout,
    InvalidRequest,
    NotPaid,
)
from hercle_nb.lists import TIMEOUT
from hercle_nb.readers import Growth
from hercle_nb.states import CLOSED, EXPIRED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hercle_nb._core import Core
    from hercle_nb.invoices import Invoice

logger = logging.getLogger("hercle_nb")

POLL = 5.0  # seconds between two lists, unless somebody asks for another pace
_BYTES_A_SECOND = 200_000  # that lists may cost on average
_LAST_MOMENT = timedelta(seconds=10)  # payments arrive until the very end


class Watch(StaysHere):
    """A callback for payments; it keeps its hub alive until `cancel`."""

    _instead = "call hercle.connect() and hub.on_paid(callback) in the worker"

    def __init__(self, payments: Payments, callback: Callable[[Invoice], object], hub: Any) -> None:
        self.callback = callback
        self.hub = hub
        self._payments = payments

    def cancel(self) -> None:
        """Call back no more; does nothing the second time."""
        hub, self.hub = self.hub, None
        if hub is not None:
            with contextlib.suppress(ConnectionFailed):  # closed: nobody asks any more
                hub._portal.submit(self._payments.remove(self))

    def __repr__(self) -> str:
        return f"<callback for payments{'' if self.hub else ', cancelled'}>"


class Payments:
    """Looks at the hub's list for whoever waits; everything here runs on the hub's thread."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._watches: dict[Watch, contextlib.ExitStack] = {}
        self._paces: dict[object, float] = {}  # who waits, and how many seconds apart the lists may be
        self._news = Growth()
        self._error: HercleError | None = None
        self._hurry = asyncio.Event()
        self._polling = False
        self._looked = 0.0  # when the last list came, on the monotonic clock: the other one may be set

    async def wait(self, key: str | Invoice, timeout: float, poll: float) -> Invoice:
        """Wait until an invoice is paid; see `Hub.wait_paid`."""
        try:
            async with asyncio.timeout(timeout):
                invoice = await self._known(key)
                with self._at_pace(poll):
                    while not (now := self._core.book.find(invoice)).paid:
                        self._check(now)
                        await self._news.wait()
                    return now
        except TimeoutError as error:
            if isinstance(error, HercleError):
                raise
        raise HubTimeout(
            f"No payment was seen in {timeout:g} s; "
            "the invoice is still there, so wait_paid() may be called again."
        )

    async def add(self, watch: Watch) -> None:
        """Look for payments until the watch is removed."""
        stack = contextlib.ExitStack()
        stack.enter_context(self._at_pace(POLL))
        self._watches[watch] = stack

    async def remove(self, watch: Watch) -> None:
        """Forget a callback."""
        if (stack := self._watches.pop(watch, None)) is not None:
            stack.close()

    def seen(self, paid: Iterable[Invoice]) -> None:
        """A list was taken in, and these have been paid since the one before."""
        self._error, self._looked = None, monotonic()
        for invoice in paid:
            for watch in self._watches:
                self._core.callbacks.post(watch.callback, invoice)
        self._news.tell()

    def ended(self) -> None:
        """The hub has ended: whoever waits looks why."""
        self._news.tell()
        self._hurry.set()

    async def _known(self, key: str | Invoice) -> Invoice:
        """The invoice, after a look at the hub's list if need be."""
        try:
            return self._core.book.find(key)
        except InvalidRequest:
            await self._core.lists.ask(TIMEOUT)
            return self._core.book.find(key)

    def _check(self, invoice: Invoice) -> None:
        """Raise why an invoice that is not paid will not be, or will not be seen to be.

        Raises:
            NotPaid: It is closed, or a list asked for after its last moment still shows it open.
            HercleError: The hub has ended, or gives no list.
        """
        name = invoice.client_id or invoice.id
        if invoice.status == CLOSED:
            raise NotPaid(
                f"The hub takes no payment for the invoice {name} any more and shows no proof of one.",
                status=CLOSED,
                invoice=invoice,
            )
        lists = self._core.lists
        late = lists.asked_at is not None and lists.asked_at >= invoice.expires_at + _LAST_MOMENT
        if late and self._core.book.is_open_in_list(invoice):
            raise NotPaid(
                f"The invoice {name} expired at {invoice.expires_at:%Y-%m-%d %H:%M:%S} UTC and was not paid.",
                status=EXPIRED,
                invoice=invoice,
            )
        self._core.supervisor.check()
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def _at_pace(self, poll: float) -> Iterator[None]:
        """While this lasts, lists are asked for."""
        who = object()
        self._paces[who] = poll
        self._error = None
        self._hurry.set()
        if not self._polling:
            self._polling = True
            self._core.start(self._poll())
        try:
            yield
        finally:
            del self._paces[who]
            self._hurry.set()

    async def _poll(self) -> None:
        try:
            while self._paces:
                if (pause := self._pause()) > 0:
                    self._hurry.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._hurry.wait(), pause)
                    continue
                self._core.supervisor.check()
                await self._ask()
        except HercleError:
            self._news.tell()  # the hub has ended
        finally:
            self._polling = False

    async def _ask(self) -> None:
        try:
            await self._core.lists.ask(TIMEOUT)
        except HubTimeout as error:
            logger.info("no list of invoices so far: %s", error)
        except (CommandRejected, ConnectionFailed) as error:
            self._error = error
            self._news.tell()
            await asyncio.sleep(min(self._paces.values(), default=0.0))

    def _pause(self) -> float:
        """Seconds until the next list is due: at the pace of the most impatient, but within the allowance."""
        if self._core.lists.asked_at is None or not self._paces:
            return 0.0
        apart = max(min(self._paces.values()), self._core.lists.size / _BYTES_A_SECOND)
        return apart - (monotonic() - self._looked)
