"""The inspector: every invoice there is, and everything about one of them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.display import card, warnings
from hercle_nb.errors import HercleError
from hercle_nb.invoices import Invoice
from hercle_nb.lists import TIMEOUT
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box
from hercle_nb.widgets._frontend import Region, available
from hercle_nb.widgets._invoice_detail import InvoiceDetail
from hercle_nb.widgets._invoice_rows import COLUMNS, NEWEST_FIRST, InvoiceRows
from hercle_nb.widgets._plain import table_html
from hercle_nb.widgets._plain_invoices import PlainInvoices
from hercle_nb.widgets._table import LiveTable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hercle_nb.hub import Hub
    from hercle_nb.payments import Watch

LABEL = "Invoices"
ACTIONS = {"refresh": "Refresh", "wait": "Wait for payments"}
FILES = (".csv", ".xlsx", ".parquet")
_LAST = 20  # rows for viewers without a kernel


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
        self._hub = hub
        self._rows = InvoiceRows(hub)
        self._watch: Watch | None = None
        self._detail = Box([])
        self._table: PlainInvoices | LiveTable
        if self._plain:
            self._table = PlainInvoices(self._rows, LABEL)
        else:
            self._table = LiveTable(
                *(self._rows, COLUMNS, None, "hub.invoices", "invoices", FILES),
                log=False,
                order=NEWEST_FIRST,
                actions=ACTIONS,
            )
        self._table.on("select", self._select)
        self._table.on("refresh", lambda _: self.refresh())
        self._table.on("wait", lambda _: self._wait())
        self._table.on("export", self._export)
        region = [] if self._plain else [Region(LABEL)]
        super().__init__([*region, self._table, self._detail, RequestReader()])
        self.add_class("hn-inspector")

    def refresh(self) -> None:
        """Ask for the hub's list, and say so in the table; never waits."""
        _interface.post(self._refresh, self._fail)

    def last_state(self) -> str:
        """The last invoices."""
        return table_html(self._rows.state(), self._rows.latest(_LAST), COLUMNS, LABEL)

    def close(self) -> None:
        """Go, and let the hub go; does nothing the second time."""
        self._stop_waiting()
        super().close()

    def _refresh(self) -> None:
        self._rows.notice = "Asking for the hub's list…"
        future, _ = self._hub._portal.submit(self._hub._core.lists.ask(TIMEOUT))
        _interface.when_done(future, self._refreshed, self._fail)

    def _refreshed(self, done: Future[None]) -> None:
        done.result()
        self._rows.notice = ""

    def _wait(self) -> None:
        """Have payments looked for until told otherwise."""
        if self._watch is not None:
            self._stop_waiting()
        else:
            self._watch = self._hub.on_paid(lambda _: None)  # the table sees it in the invoices
            self._rows.notice = "The hub's list is asked for every few seconds."
        self._rows.pressed = {"wait": self._watch is not None}

    def _stop_waiting(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            self._rows.notice = ""

    def _select(self, message: dict[str, Any]) -> None:
        item = self._rows.item(message.get("key"))
        gone = self._detail.children
        self._detail.children = [] if item is None else [InvoiceDetail(self._hub, item, plain=self._plain)]
        for child in gone:
            child.close()

    def _export(self, message: dict[str, Any]) -> None:
        """Write the invoices shown as a file, and hand it to the browser."""
        name, keys = Path(str(message.get("name"))).name, message.get("keys")
        items = [self._rows.item(key) for key in keys] if isinstance(keys, list) else []
        ids = [
            item.client_id or (item.id if isinstance(item, Invoice) else None)
            for item in items
            if item is not None
        ]
        self._rows.notice = f"Writing {name}…"
        future, _ = self._hub._portal.submit(asyncio.to_thread(_file, self._hub, ids, name))
        _interface.when_done(future, lambda done: self._exported(name, done.result()), self._fail)

    def _exported(self, name: str, content: bytes) -> None:
        self._rows.notice = ""
        self._table.send({"type": "file", "name": name}, [content])

    def _fail(self, error: Exception) -> None:
        self._rows.notice = (
            str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}"
        )


class RequestReader(Box):
    """A field for any payment request, which is taken apart without a hub."""

    def __init__(self) -> None:
        self._text = ipywidgets.Textarea(
            description="Any request",
            placeholder="lnbc… or a lightning: link, to take it apart without the hub",
            rows=2,
            layout={"width": "98%"},
            style={"description_width": "9em"},
        )
        self._shown = ipywidgets.HTML()
        super().__init__([self._text, self._shown])
        self.add_class("hn-reader")
        self._text.observe(lambda change: _interface.post(lambda: self._read(change["new"])), "value")

    def _read(self, text: str) -> None:
        try:
            self._shown.value = decode_payment_request(text)._repr_html_() if text.strip() else ""
        except HercleError as error:
            self._shown.value = card(warnings([str(error)]))


def _file(hub: Hub, ids: list[str | None], name: str) -> bytes:
    """The invoices of these ids as a file's content; not on the hub's thread."""
    from hercle_nb.invoice_export import write_invoices  # deferred: brings pandas

    frame = hub.invoices
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_invoices(frame[frame.index.isin([text for text in ids if text])], path)
        return path.read_bytes()
