"""The rows of a hub's log as a table shows them, and the hub's state beside them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hercle_nb._log_table import json_text
from hercle_nb._store import as_events
from hercle_nb.display import count
from hercle_nb.widgets._table import PIECE, RING, Column, Row

if TYPE_CHECKING:
    from hercle_nb.events import HubEvent
    from hercle_nb.hub import Hub

COLUMNS = [
    Column("seq", "Row", kind="number", width="5.5em"),
    Column("received_at", "Time (UTC)", kind="time", width="9.5em"),
    Column("kind", "Kind", filter="choice", width="8em"),
    Column("target", "Target", filter="choice", width="11em"),
    Column("subject", "Subject", filter="choice", width="18em"),
    Column("client_id", "ClientId", width="8em"),
    Column("raw", "Message", kind="json", width="22em"),
]

_LONGEST_NAME = 300  # characters of a target, a subject or a ClientId that are sent to a browser
_LONGEST_MESSAGE = 4_000
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class EventRows:
    """The rows of a hub's log from now on, and the latest; a `Source`. It keeps the hub alive.

    Args:
        hub: The hub.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.begin()

    @property
    def end(self) -> int:
        """The key that the next row will have."""
        return self._hub.log.next_seq

    def latest(self, count: int = RING) -> list[Row]:
        """The last rows of the log, at most so many."""
        return self.between(self.end - count, self.end)

    def between(self, begin: int, end: int) -> list[Row]:
        """The rows from one key on, up to another."""
        rows = self._hub.log.rows(max(0, begin), end)
        return [_row(event) for event in as_events(rows)]

    def begin(self) -> None:
        """Let `fresh` go on after what there is now."""
        self._next = self.end

    def fresh(self) -> tuple[list[Row], int]:
        """The rows since then, the newest `PIECE` of them, and how many it left out."""
        begin, end = self._next, self.end
        rows = self.between(max(begin, end - PIECE), end)
        if not rows:
            return [], 0
        self._next = rows[-1][0] + 1
        return rows, rows[0][0] - begin

    def state(self) -> dict[str, Any]:
        """The hub's state, why it is so, and how many rows there are."""
        hub, log = self._hub, self._hub.log
        evicted = f", {log.evicted:,} older ones evicted" if log.evicted else ""
        return {
            "state": hub.state,
            "reason": hub._last_error() or "",
            "notes": [hub.environment, f"{count(len(log), 'row')} in the log{evicted}"],
        }

    def ended(self) -> bool:
        """Whether the hub is closed."""
        return self._hub.state == "closed"


def _row(event: HubEvent) -> Row:
    raw = json_text(event.data) if event.raw is None else event.raw
    names = (event.target, event.subject, event.client_id)
    return [
        event.seq,
        event.received_at.isoformat(timespec="microseconds"),
        event.kind,
        *(bounded(name, _LONGEST_NAME) for name in names),
        bounded(raw, _LONGEST_MESSAGE),
    ]


def bounded(text: str | None, longest: int) -> str | None:
    """A text as a browser can take it: not endless, and without the halves of characters."""
    if text is None:
        return None
    if (left := len(text) - longest) > 0:
        text = f"{text[:longest]}… {left:,} characters left out here"
    try:
        text.encode()
    except UnicodeEncodeError:
        return _HALF_CHARACTER.sub("\ufffd", text)
    return text
