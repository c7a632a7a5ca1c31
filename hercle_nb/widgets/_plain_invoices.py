"""The table of invoices on ipywidgets alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb.states import STATES
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box
from hercle_nb.widgets._invoice_rows import COLUMNS, InvoiceRows
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
        self._rows = rows
        self._label = label
        self._callbacks: dict[str, Callable[[dict[str, Any]], object]] = {}
        self._seen: Any = None
        self._filter = ipywidgets.Text(placeholder="Filter", description="Filter")
        self._state = ipywidgets.Dropdown(options=[_ALL, *STATES], description="State")
        self._chosen = ipywidgets.Dropdown(options=[("none", None)], description="Show")
        refresh = ipywidgets.Button(description="Refresh")
        wait = ipywidgets.Button(description="Wait for payments")
        self._table = ipywidgets.HTML(table_html(rows.state(), rows.latest(SHOWN), COLUMNS, label))
        row = {"flex_flow": "row wrap"}
        super().__init__(
            [
                ipywidgets.HBox([self._filter, self._state, refresh, wait], layout=row),
                self._table,
                self._chosen,
            ]
        )
        refresh.on_click(lambda _: self._say("refresh"))
        wait.on_click(lambda _: self._say("wait"))
        self._chosen.observe(lambda change: self._say("select", key=change["new"]), "value")
        for field in (self._filter, self._state):
            field.observe(lambda _: _interface.post(self._refresh, self._fail), "value")
        self._ticker = _interface.every(_TICK, self._tick, self._fail)

    def on(self, kind: str, callback: Callable[[dict[str, Any]], object]) -> None:
        """Call back with each message of that type, on the interface thread."""
        self._callbacks[kind] = callback

    def close(self) -> None:
        """Change no more, and go; does nothing the second time."""
        self._ticker.cancel()
        super().close()

    def _say(self, kind: str, **content: Any) -> None:
        _interface.post(lambda: self._callbacks[kind]({"type": kind, **content}), self._fail)

    def _tick(self) -> None:
        now = self._rows.state(), self._rows.fresh()[0]
        if now != (self._seen, []):
            self._seen = now[0]
            self._refresh()

    def _fail(self, error: Exception) -> None:
        self._table.value = table_html(self._rows.state() | failure(error), [], COLUMNS, self._label)

    def _refresh(self) -> None:
        text, state = self._filter.value.casefold(), self._state.value
        found = [row for row in self._rows.latest() if _fits(row, text, state)][-SHOWN:]
        self._table.value = table_html(self._rows.state(), found, COLUMNS, self._label)
        options = [("none", None), *((_name(row), row[0]) for row in reversed(found))]
        if options != list(self._chosen.options):
            chosen = self._chosen.value
            with self._chosen.hold_trait_notifications():
                self._chosen.options = options
                self._chosen.value = chosen if chosen in dict(options).values() else None


def _fits(row: Row, text: str, state: str) -> bool:
    if state not in (_ALL, row[1]):
        return False
    return not text or any(text in str(value).casefold() for value in row if value is not None)


def _name(row: Row) -> str:
    number, status, btc, _, memo = row[:5]
    return f"{number}: {status}, {btc or 'any amount'} BTC, {memo or 'no memo'}"[:120]
