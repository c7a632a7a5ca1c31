"""The monitor: what the hub sends, as it arrives, and how the connection is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hercle_nb.widgets._box import Box
from hercle_nb.widgets._event_rows import COLUMNS, EventRows
from hercle_nb.widgets._frontend import available
from hercle_nb.widgets._plain import PlainTable, table_html
from hercle_nb.widgets._table import LiveTable

if TYPE_CHECKING:
    from hercle_nb.hub import Hub

_LABEL = "Hub events"
_LAST = 20  # rows for viewers without a kernel


class EventMonitor(Box):
    """A live table of a hub's events, with the state of its connection.

    It keeps its hub alive until `close`. What it shows is read from the hub's log, on the interface thread.

    Args:
        hub: The hub.
        plain: Use ipywidgets alone; also done where anywidget is missing.
    """

    without_kernel = "A live table of events stands here while a kernel is running: run this cell to see it."

    def __init__(self, hub: Hub, *, plain: bool = False) -> None:
        rows = EventRows(hub)
        self._rows: EventRows | None = rows  # until it is closed
        self._table = (
            PlainTable(rows, _LABEL)
            if plain or not available()
            else LiveTable(rows, COLUMNS, _LABEL, "hub.events", "hub-events", (".csv", ".jsonl"))
        )
        super().__init__([self._table])
        self.add_class("hn-monitor")

    def close(self) -> None:
        """Go, and let the hub go; does nothing the second time."""
        self._rows = None
        super().close()

    def last_state(self) -> str:
        """The state of the connection and the last rows."""
        rows = self._rows
        return "" if rows is None else table_html(rows.state(), rows.latest(_LAST), COLUMNS, _LABEL)
