"""The hub's list of invoices: asked for, and what it settles."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from hercle_nb import commands
from hercle_nb.book import Resolution, key_of
from hercle_nb.errors import ConnectionFailed, HercleError, InvalidRequest
from hercle_nb.invoice_request import check_client_id
from hercle_nb.listed import read_listed
from hercle_nb.reconcile import fitting, settled_by_list
from hercle_nb.states import followed

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from hercle_nb._core import Core
    from hercle_nb.calls import Call
    from hercle_nb.events import HubEvent

logger = logging.getLogger("hercle_nb")

TIMEOUT = 60.0  # seconds; a list of thousands of invoices is megabytes
_LOOK_AGAIN = (1.0, 4.0, 15.0)  # seconds; a hub that was frozen first works off what it had received


class Lists:
    """What one hub's list has said so far; everything here runs on the hub's thread.

    Attributes:
        asked_at: When the last list that came was asked for, by the hub's clock; None before the first.
        size: Its length in characters.
    """

    def __init__(self, core: Core) -> None:
        self.asked_at: datetime | None = None
        self.size = 0
        self._core = core
        self._items: Any = []
        self._refreshing = False
        self._too_large = False
        self._lost_at = 0.0  # when the last connection was

    async def ask(self, timeout: float) -> None:
        """Ask for the list and take it in.

        Raises:
            ConnectionFailed: It is larger than this client takes, as was seen before.
            CommandRejected: The hub refused.
            HubTimeout: No answer in time.
        """
        if self._too_large:  # it would cost the connection each time
            raise ConnectionFailed(
                "The hub's list of invoices is larger than this client takes; what is known of them here "
                "no longer follows the hub."
            )
        memory = self._core.memory
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout
        await memory.look_quietly(timeout / 2)
        await memory.recall()
        await self._core.command(commands.LIST, [], check_client_id(None), max(due - loop.time(), 0.01))
        await memory.settle(max(due - loop.time(), 0.01))

    def take(self, call: Call, event: HubEvent) -> None:
        """A list has come: settle creations of unknown outcome, then merge it with what is known."""
        core = self._core
        if not core.memory.account.has_asked(call):  # another key's list, which may be another account's
            return
        self.size, self._items = len(event.raw or ""), event.data
        if call.sent_at is not None:
            self.asked_at = call.sent_at + followed(core.supervisor.clock_ahead)
        core.memory.recognise(event.data)
        core.book.recall()  # all that is spoken for
        unsettled, claimed = self._open()
        found = settled_by_list(unsettled, event.data, claimed, now=core.supervisor.hub_time())
        for creation, listed in found.items():
            waited_for = creation.elsewhere or (creation.lost_at is None and creation.waiting)
            if creation.dismissed or waited_for or not core.memory.account.is_ours(creation):
                continue  # it was among the candidates all the same, so that no other takes its invoice
            how = "the hub's list" if creation.named_id is None else "the id that the hub's answer named"
            core.creating.adopt(creation, listed.fields, event, f"matched by {how}")
        core.payments.seen(core.book.merge(event.data, core.supervisor.clock_ahead))

    def lost(self) -> float:
        """A connection is lost; when, by the hub's clock, in seconds since 1970."""
        self._lost_at = self._core.supervisor.hub_time()
        return self._lost_at

    def too_large(self, call: Call) -> None:
        """A call was lost because its answer was larger than this client takes."""
        self._too_large = self._too_large or call.method == commands.LIST

    def refresh_soon(self) -> None:
        """After a loss: ask for the list, again while a creation lost just now is not on it."""
        if not (self._too_large or self._refreshing):  # one under way is asked again by the core
            self._refreshing = True
            self._core.start(self._refresh())

    async def resolve(self, client_id: str, timeout: float, *, dismiss: bool) -> Resolution:
        """Look again what became of a command of unknown outcome; see `Hub.resolve`."""
        book, memory = self._core.book, self._core.memory
        loop = asyncio.get_running_loop()
        due = loop.time() + timeout
        await memory.look_quietly(timeout / 2)
        await memory.recall_of(client_id)
        memory.account.check(client_id)
        call = book.used(client_id)
        done = call is not None and call.request is None and call.settled
        if call is None or done or (not call.settled and (call.waiting or call.elsewhere)):
            raise InvalidRequest(
                f"No command {client_id!r} is of unknown outcome; hub.unresolved lists those that are."
            )
        client_id = str(call.client_id)
        if dismiss and not call.settled:
            await memory.dismiss(call)
        if call.dismissed and not call.settled:
            return Resolution(client_id, "dismissed")
        if call.request is not None and not call.settled:
            await self.ask(max(due - loop.time(), 0.01))
        if call.rejection is not None:
            raise call.rejection
        if call.invoice is not None:
            return Resolution(client_id, "adopted", call.invoice)
        if not memory.account.is_ours(call):
            raise InvalidRequest(
                f"{client_id} was sent with another API key, and whether that is one of this account cannot "
                "be told: the hub names no userId, and its list shows no invoice of that key. It stays open; "
                "look with that key, or settle it with resolve(…, dismiss=True)."
            )
        candidates = self._candidates(call)
        if candidates.empty:
            return Resolution(client_id, "not found")
        return Resolution(client_id, "several", candidates=candidates)

    def _open(self) -> tuple[list[Call], set[str]]:
        """The creations that the list may settle, and the invoices that are spoken for, by `key_of`."""
        creations = list(self._core.book.creations.values())
        unsettled = [call for call in creations if call.sent_at and not (call.settled or call.claimed)]
        claimed = {call.claimed for call in creations if call.claimed is not None}
        return unsettled, claimed | {key_of(call.invoice) for call in creations if call.invoice}

    def _candidates(self, call: Call) -> pd.DataFrame:
        """The invoices of the last list that fit a creation, as a frame."""
        from hercle_nb.invoice_frame import invoices_frame  # deferred: brings pandas

        unsettled, claimed = self._open()
        now, ahead = self._core.supervisor.hub_time(), self._core.supervisor.clock_ahead
        found = fitting(unsettled, self._items, claimed, now=now).get(call, [])
        each = {listed.key: listed for listed in found}  # one that fits two counts twice
        read = (read_listed(listed.fields, self._core.currency, ahead) for listed in each.values())
        return invoices_frame(invoice for invoice in read if invoice is not None)

    async def _refresh(self) -> None:
        core = self._core
        connection = core.supervisor.connections
        for pause in (*_LOOK_AGAIN, None):
            try:
                await self.ask(TIMEOUT)
            except HercleError as error:
                logger.info("the hub's list of invoices could not be had: %s", error)
                return
            finally:
                self._refreshing = False
            lost = (call for call in core.book.creations.values() if call.lost_at == self._lost_at)
            if pause is None or all(call.settled for call in lost):
                return
            await asyncio.sleep(pause * core.supervisor.pace)
            if self._refreshing or self._too_large or core.supervisor.connections != connection:
                return  # the next connection's own refresh asks, or nobody may
            self._refreshing = True
