"""Who reads the log as it grows: waits, streams and callbacks, each from its own place on."""

from __future__ import annotations

import asyncio
import fnmatch
import re
from typing import TYPE_CHECKING

from hercle_nb.client_ids import spellings
from hercle_nb.errors import HubTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.events import HubEvent
    from hercle_nb.log import EventLog

_BATCH = 256  # rows looked at between two looks at what else there is to do


class Reader:
    """Reads the hub events of a log, each once.

    Attributes:
        next: The seq of the next row to look at.
        missed: Rows that were evicted before they could be looked at.
    """

    def __init__(self, log: EventLog, since: int) -> None:
        self.next = since
        self.missed = 0
        self._log = log

    @property
    def behind(self) -> bool:
        """Whether there are rows that were not looked at."""
        return self.next < self._log.next_seq

    def read(self, needles: tuple[bytes, ...] = ()) -> list[HubEvent]:
        """The hub events among some of the next rows; see `EventLog.read`."""
        events, begin, end = self._log.read(self.next, _BATCH, needles)
        self.missed += max(0, begin - self.next)
        self.next = end
        return events

    def skip(self) -> None:
        """Pass over everything that is there."""
        self.next = self._log.next_seq


class Growth:
    """Tells coroutines on the hub's thread that the log has grown."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Wake everybody who waits."""
        if self._waiting:
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)
            self._waiting.clear()

    async def wait(self) -> None:
        """Wait until it is told the next time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


async def first_match(
    reader: Reader,
    growth: Growth,
    matches: Callable[[HubEvent], bool],
    needles: tuple[bytes, ...],
    timeout: float,
    check: Callable[[], None],
) -> HubEvent:
    """The first hub event that matches.

    Raises:
        HubTimeout: None came in time.
        HercleError: ``check`` raised: none will come.
    """
    try:
        async with asyncio.timeout(timeout):
            while True:
                while reader.behind:
                    for event in reader.read(needles):
                        if matches(event):
                            return event
                    await asyncio.sleep(0)  # whatever is in the log, the connection goes on
                check()
                await growth.wait()
    except TimeoutError as error:
        if isinstance(error, HubTimeout):
            raise
        raise HubTimeout(f"No such event came in {timeout:g} s.") from None


def needles(*patterns: str | None) -> tuple[bytes, ...]:
    """What the message of an event must hold, as it is or escaped, for its text to match one of the patterns.

    Empty if nothing can be said. A pattern is one of `fnmatch`, or the text itself.
    """
    found = []
    for pattern in patterns:
        plain = max(re.split(r"[*?]|\[.*", pattern or "", flags=re.DOTALL), key=len)
        if not plain:
            return ()
        found.append(plain.encode("utf-8", "surrogatepass"))
    return tuple(found)


def matcher(
    subject: str | None,
    client_id: str | None = None,
    target: str | None = None,
    where: Callable[[HubEvent], object] | None = None,
) -> Callable[[HubEvent], bool]:
    """A test that an event passes which fits everything given; ``subject`` is a pattern."""
    names = () if client_id is None else spellings(client_id)

    def matches(event: HubEvent) -> bool:
        return (
            (subject is None or fnmatch.fnmatchcase(event.subject or "", subject))
            and (client_id is None or event.client_id in names)
            and (target is None or (event.target or "").lower() == target.lower())
            and (where is None or bool(where(event)))
        )

    return matches
