"""The last rows as plain HTML: for ipywidgets alone, and for viewers without a kernel."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box
from hercle_nb.widgets._event_rows import COLUMNS, EventRows
from hercle_nb.widgets._table import failure

if TYPE_CHECKING:
    from hercle_nb.widgets._table import Column, Row

SHOWN = 50  # rows
_SEARCHED = 5_000  # rows that the filter looks through
_PIECE = 250  # rows it looks at at a time
_TICK = 0.5  # seconds
_LONGEST = 200  # characters of a value

_CELL = (
    "padding:1px 8px;text-align:left;vertical-align:top;max-width:24em;overflow:hidden;"
    "text-overflow:ellipsis;white-space:nowrap;border-bottom:1px solid rgba(128,128,128,.3)"
)
_HEAD = (
    "position:sticky;top:0;background:var(--jp-layout-color1,Canvas);"
    "color:var(--jp-ui-font-color0,CanvasText)"
)
_SCROLL = "overflow:auto;max-height:420px;display:flex;flex-direction:column-reverse"  # begins at its end
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class PlainTable(Box):
    """The last rows, brought up to date twice a second, with a filter and a pause; no front end of our own.

    Args:
        rows: Where the rows come from.
        label: The table's name, for assistive technology.
    """

    def __init__(self, rows: EventRows, label: str) -> None:
        self._rows: EventRows | None = rows  # until it is closed
        self._label = label
        self._seen: Any = None
        self._filter = ipywidgets.Text(placeholder="Filter", continuous_update=True)
        self._pause = ipywidgets.ToggleButton(description="Pause")
        self._table = ipywidgets.HTML(table_html(rows.state(), rows.latest(SHOWN), COLUMNS, label))
        super().__init__([ipywidgets.HBox([self._filter, self._pause]), self._table])
        self._filter.observe(lambda _: _interface.post(self._refresh, self._fail), "value")
        self._ticker = _interface.every(_TICK, self._tick, self._fail)

    def close(self) -> None:
        """Change no more, let the rows go, and go; does nothing the second time."""
        self._ticker.cancel()
        self._rows = None
        super().close()

    def _tick(self) -> None:
        if self._rows is None or self._pause.value:
            return
        now = self._rows.state(), self._rows.end
        if now != self._seen:
            self._seen = now
            self._refresh()

    def _fail(self, error: Exception) -> None:
        if self._rows is not None:
            self._table.value = table_html(self._rows.state() | failure(error), [], COLUMNS, self._label)

    def _refresh(self) -> None:
        rows = self._rows
        if rows is not None:
            found = _found(rows, self._filter.value.casefold())
            self._table.value = table_html(rows.state(), found, COLUMNS, self._label)


def _found(rows: EventRows, text: str) -> list[Row]:
    """The last rows that hold a text, a piece at a time: mostly the first piece has enough of them."""
    found: list[Row] = []
    end = rows.end
    for until in range(end, max(0, end - _SEARCHED), -_PIECE):
        piece = rows.between(until - _PIECE, until)
        found = [row for row in piece if not text or _holds(row, text)] + found
        if len(found) >= SHOWN:
            break
    return found[-SHOWN:]


def table_html(state: dict[str, Any], rows: list[Row], columns: list[Column], label: str) -> str:
    """The state and some rows, readable in light and dark; everything escaped, no script."""
    heads = "".join(f'<th scope="col" style="{_CELL};{_HEAD}">{column.label}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row, columns))}</tr>" for row in rows)
    said = " · ".join(escape(text) for text in (state["reason"], *state["notes"]) if text)
    return (
        f'<div role="region" aria-label="{escape(label)}" style="line-height:1.5">'
        f'<div><strong role="status">{state["state"].capitalize()}</strong> {said}</div>'
        f'<div tabindex="0" style="{_SCROLL};margin-top:6px">'
        f'<table style="border-collapse:collapse;font-size:12px"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )


def _cell(value: Any, column: Column) -> str:
    text = "" if value is None else column.labels.get(value, str(value)[:_LONGEST])
    if column.kind in ("time", "moment"):
        text = text[: 23 if column.kind == "time" else 19].replace("T", " ")
    text = _UNSEEN.sub(lambda found: f"U+{ord(found[0]):04X}", text)
    return f'<td style="{_CELL}"><bdi>{escape(text)}</bdi></td>'


def _holds(row: Row, text: str) -> bool:
    return any(text in str(value).casefold() for value in row if value is not None)
