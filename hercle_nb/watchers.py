"""Who waits for an event that is yet to come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hercle_nb.errors import HubTimeout
from hercle_nb.events import EVENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.errors import HercleError
    from hercle_nb.events import HubEvent
    from hercle_nb.log import EventLog


class Watchers:
    """Waits for events of one log; everything here runs on the hub's thread."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._waiting: dict[asyncio.Future[HubEvent], Callable[[HubEvent], bool]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait_for(
        self, matches: Callable[[HubEvent], bool], since: int, timeout: float, check: Callable[[], None]
    ) -> HubEvent:
        """The first hub event from row ``since`` on that matches.

        Raises:
            HubTimeout: None came in time.
            HercleError: ``check`` raised: none will come.
        """
        for seq in range(max(since, self._log.evicted), self._log.next_seq):
            event = self._log.event(seq)
            if event.kind == EVENT and matches(event):
                return event
        check()
        future: asyncio.Future[HubEvent] = asyncio.get_running_loop().create_future()
        self._waiting[future] = matches
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError as error:
            if isinstance(error, HubTimeout):
                raise
            raise HubTimeout(f"No such event came in {timeout:g} s.") from None
        finally:
            del self._waiting[future]

    def offer(self, event: HubEvent) -> None:
        """Show an event to everybody; what a test of theirs raises is theirs alone."""
        for future, matches in self._waiting.items():
            if future.done():
                continue
            try:
                if matches(event):
                    future.set_result(event)
            except Exception as error:  # noqa: BLE001  # the user's own code, and it gets the error
                future.set_exception(error)

    def fail(self, error: HercleError) -> None:
        """Nothing will come any more."""
        for future in self._waiting:
            if not future.done():
                future.set_exception(error)
