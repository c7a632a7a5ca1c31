"""The inspector: every invoice there is, and everything about one of them."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.display import card, warnings
from hercle_nb.errors import HercleError
from hercle_nb.invoices import Invoice
from hercle_nb.lists import TIMEOUT
from hercle_nb.payment_request_display import payment_request_card
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box, close
from hercle_nb.widgets._frontend import Region, available
from hercle_nb.widgets._invoice_detail import InvoiceDetail
from hercle_nb.widgets._invoice_rows import COLUMNS, NEWEST_FIRST, InvoiceRows
from hercle_nb.widgets._plain import table_html
from hercle_nb.widgets._plain_invoices import PlainInvoices
from hercle_nb.widgets._table import LiveTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from hercle_nb.hub import Hub
    from hercle_nb.payments import Watch
    from hercle_nb.widgets._invoice_rows import Item

LABEL = "Invoices"
ACTIONS = {"refresh": "Refresh", "wait": "Wait for payments"}
FILES = (".csv", ".xlsx", ".parquet")
_LAST = 20  # rows for viewers without a kernel
_TICK = 1.0  # seconds


class InvoiceInspector(Box):
    """A table of the invoices created here and known to the hub, a detail pane, and a reader of any request.

    It keeps its hub alive until `close`.

    Args:
        hub: The hub.
        plain: Use ipywidgets alone; also done where anywidget is missing.
    """

    without_kernel = "A table of invoices stands here while a kernel is running: run this cell to see it."

    def __init__(self, hub: Hub, *, plain: bool = False) -> None:
        self._plain = plain or not available()
        self._hub: Hub | None = hub  # until it is closed, and so the rows
        self._rows: InvoiceRows | None = (rows := InvoiceRows(hub))
        self._closing = threading.Lock()
        self._watch: Watch | None = None
        self._open: Any = None  # the number of the row that is
        self._detail = Box([])
        self._table: PlainInvoices | LiveTable
        if self._plain:
            self._table = PlainInvoices(rows, LABEL)
        else:
            self._table = LiveTable(
                *(rows, COLUMNS, None, "hub.invoices", "invoices", FILES),
                log=False,
                order=NEWEST_FIRST,
                actions=ACTIONS,
            )
        self._on("select", self._select)
        self._on("refresh", lambda _: self._refresh())
        self._on("wait", lambda _: self._wait())
        self._on("export", self._export)
        region = [] if self._plain else [Region(LABEL)]
        super().__init__([*region, self._table, self._detail, RequestReader(self._clock_ahead)])
        self.add_class("hn-inspector")
        self._ticker = _interface.every(_TICK, self._follow, self._fail)

    def refresh(self) -> None:
        """Ask for the hub's list, and say so in the table; never waits."""
        _interface.post(self._refresh, self._fail)

    def last_state(self) -> str:
        """The last invoices."""
        rows = self._rows
        return "" if rows is None else table_html(rows.state(), rows.latest(_LAST), COLUMNS, LABEL)

    def close(self) -> None:
        """Go, and let the hub go; does nothing the second time."""
        with self._closing:  # not while an invoice is being opened, or payments begin to be waited for
            self._stop_waiting()
            self._hub = self._rows = None
        self._ticker.cancel()
        super().close()

    def _clock_ahead(self) -> float:
        """Seconds that the hub's clock is ahead of this computer's."""
        hub = self._hub
        return 0.0 if hub is None else hub._core.supervisor.clock_ahead

    def _on(self, kind: str, work: Callable[[dict[str, Any]], object]) -> None:
        """Do something when the table says so; what goes wrong with it is a notice."""
        self._table.on(kind, lambda message: _interface.post(lambda: work(message), self._fail))

    def _notice(self, text: str) -> None:
        if (rows := self._rows) is not None:
            rows.notice = text

    def _refresh(self) -> None:
        if (hub := self._hub) is not None:
            self._notice("Asking for the hub's list…")
            future, _ = hub._portal.submit(hub._core.lists.ask(TIMEOUT))
            _interface.when_done(future, self._refreshed, self._fail)

    def _refreshed(self, done: Future[None]) -> None:
        done.result()
        self._notice("")
        for detail in self._detail.children:
            detail.look_for_events()

    def _follow(self) -> None:
        """Show what became of the invoice that is open."""
        if (rows := self._rows) is None:
            return
        for detail in self._detail.children:
            item = rows.item(self._open)
            if item is None or isinstance(item, Invoice) is not isinstance(detail.item, Invoice):
                self._select({"key": self._open})
            elif item is not detail.item:
                detail.follow(item)

    def _wait(self) -> None:
        """Have payments looked for until told otherwise."""
        with self._closing:
            if self._hub is None or self._rows is None:
                return
            if self._watch is not None:
                self._stop_waiting()
            else:
                self._watch = self._hub.on_paid(lambda _: None)  # the table sees it in the invoices
                self._notice("Until this is pressed again, the hub's list is asked for every few seconds.")
            self._rows.pressed = {"wait": self._watch is not None}

    def _stop_waiting(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            self._notice("")

    def _select(self, message: dict[str, Any]) -> None:
        with self._closing:
            if self._hub is None or self._rows is None:
                return
            self._open = message.get("key")
            item = self._rows.item(self._open)
            gone = self._detail.children
            self._detail.children = (
                [] if item is None else [InvoiceDetail(self._hub, item, plain=self._plain)]
            )
        for child in gone:
            close(child)

    def _export(self, message: dict[str, Any]) -> None:
        """Write the invoices shown as a file, and hand it to the browser."""
        hub, rows = self._hub, self._rows
        if hub is None or rows is None:
            return
        name, keys = Path(str(message.get("name"))).name, message.get("keys")
        items = [rows.item(key) for key in keys] if isinstance(keys, list) else []
        self._notice(f"Writing {name}…")
        shown = [item for item in items if item is not None]
        future, _ = hub._portal.submit(asyncio.to_thread(_file, shown, name, hub.environment))
        _interface.when_done(future, lambda done: self._exported(name, done.result()), self._fail)

    def _exported(self, name: str, content: bytes) -> None:
        self._notice("")
        self._table.send({"type": "file", "name": name}, [content])

    def _fail(self, error: Exception) -> None:
        self._notice(str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}")


class RequestReader(Box):
    """A field for any payment request, which is taken apart without a hub.

    Args:
        clock_ahead: Asked for the seconds that the hub's clock is ahead of this computer's.
    """

    def __init__(self, clock_ahead: Callable[[], float] = float) -> None:
        self._clock_ahead = clock_ahead
        self._text = ipywidgets.Textarea(
            description="Decode a payment request",
            placeholder="lnbc… or a lightning: link; the hub is not asked",
            rows=3,
            layout={"width": "98%"},
            style={"description_width": "initial"},
        )
        self._shown = ipywidgets.HTML()
        super().__init__([self._text, self._shown])
        self.add_class("hn-reader")
        self._text.observe(lambda change: _interface.post(lambda: self._read(change["new"])), "value")

    def _read(self, text: str) -> None:
        try:
            shown = ""
            if text and not text.isspace():
                shown = payment_request_card(decode_payment_request(text), self._clock_ahead())
            self._shown.value = shown
        except HercleError as error:
            self._shown.value = card(warnings([str(error)]))


def _file(items: list[Item], name: str, environment: str) -> bytes:
    """Invoices, and creations that came to none, as a file's content; not on the hub's thread."""
    from hercle_nb.invoice_export import write_invoices  # deferred: brings pandas
    from hercle_nb.invoice_frame import invoices_frame

    invoices = [item for item in items if isinstance(item, Invoice)]
    frame = invoices_frame(invoices, [item for item in items if not isinstance(item, Invoice)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_invoices(frame, path, environment)
        return path.read_bytes()
