"""The table of invoices on ipywidgets alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb.states import STATES
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box, sendable
from hercle_nb.widgets._invoice_rows import ANY, COLUMNS, InvoiceRows
from hercle_nb.widgets._plain import SHOWN, table_html
from hercle_nb.widgets._table import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.widgets._table import Row

_TICK = 0.5  # seconds
_ALL = "all"


class PlainInvoices(Box):
    """The last invoices that fit a text and a state, brought up to date twice a second.

    It says what `LiveTable` says, to the same callbacks, but for files: `hub.export_invoices` writes those.

    Args:
        rows: Where the rows come from.
        label: The table's name, for assistive technology.
    """

    def __init__(self, rows: InvoiceRows, label: str) -> None:
        self._rows: InvoiceRows | None = rows  # until it is closed
        self._label = label
        self._callbacks: dict[str, Callable[[dict[str, Any]], object]] = {}
        self._seen: Any = None
        self._told: Any = None  # the number that was said to be chosen
        self._filter = ipywidgets.Text(placeholder="Filter", description="Filter")
        self._state = ipywidgets.Dropdown(options=[_ALL, *STATES], description="State")
        self._chosen = ipywidgets.Dropdown(options=[("none", None)], description="Show")
        refresh = ipywidgets.Button(description="Refresh")
        wait = ipywidgets.Button(description="Wait for payments")
        self._table = ipywidgets.HTML(table_html(rows.state(), rows.latest(SHOWN), COLUMNS, label))
        line = Box([self._filter, self._state, refresh, wait], layout={"flex_flow": "row wrap"})
        super().__init__([line, self._table, self._chosen])
        refresh.on_click(lambda _: self._say("refresh"))
        wait.on_click(lambda _: self._say("wait"))
        self._chosen.observe(lambda _: _interface.post(self._choose, self._fail), "value")
        for field in (self._filter, self._state):
            field.observe(lambda _: _interface.post(self._refresh, self._fail), "value")
        self._ticker = _interface.every(_TICK, self._tick, self._fail)

    def on(self, kind: str, callback: Callable[[dict[str, Any]], object]) -> None:
        """Call back with each message of that type, on the interface thread."""
        self._callbacks[kind] = callback

    def close(self) -> None:
        """Change no more, let the rows go, and go; does nothing the second time."""
        self._ticker.cancel()
        self._rows = None
        super().close()

    def _say(self, kind: str) -> None:
        _interface.post(lambda: self._callbacks[kind]({"type": kind}), self._fail)

    def _choose(self) -> None:
        """Say what is chosen; new options choose something else for a moment."""
        if self._chosen.value != self._told:
            self._told = self._chosen.value
            self._callbacks["select"]({"type": "select", "key": self._told})

    def _tick(self) -> None:
        if (rows := self._rows) is None:
            return
        now = rows.state(), rows.fresh()[0]
        if now != (self._seen, []):
            self._seen = now[0]
            self._refresh()

    def _fail(self, error: Exception) -> None:
        if (rows := self._rows) is not None:
            self._show(rows.state() | failure(error), [])

    def _show(self, state: dict[str, Any], found: list[Row]) -> None:
        state = sendable(state)
        notes = [*state["notes"], state["notice"]]
        self._table.value = table_html(state | {"notes": notes}, found, COLUMNS, self._label)

    def _refresh(self) -> None:
        if (rows := self._rows) is None:
            return
        text, state = self._filter.value.casefold(), self._state.value
        found = [row for row in rows.latest() if _fits(row, text, state)][-SHOWN:]
        self._show(rows.state(), found)
        options = [("none", None), *((_name(row), row[0]) for row in reversed(found))]
        if options != list(self._chosen.options):
            chosen = self._chosen.value
            with self._chosen.hold_sync():
                self._chosen.options = options
                self._chosen.value = chosen if chosen in dict(options).values() else None


def _fits(row: Row, text: str, state: str) -> bool:
    if state not in (_ALL, row[1]):
        return False
    return not text or any(text in str(value).casefold() for value in row if value is not None)


def _name(row: Row) -> str:
    number, status, btc, _, _, memo = row[:6]
    amount = "any amount" if btc == ANY else "unknown amount" if btc is None else f"{btc} BTC"
    return f"{number}: {status}, {amount}, {memo or 'no memo'}"[:120]
