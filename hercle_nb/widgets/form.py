"""The form that creates invoices."""

from __future__ import annotations

import logging
import threading
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from hercle_nb import amounts
from hercle_nb.errors import CommandRejected, HercleError
from hercle_nb.invoice_request import InvoiceRequest, check_client_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.hub import Hub
    from hercle_nb.invoices import Invoice

logger = logging.getLogger("hercle_nb")

BTC, SAT = "BTC", "sat"
EXPIRIES = [
    ("1 hour", 1),
    ("24 hours", 24),
    ("7 days", 168),
    ("30 days", 720),
    ("hub's default (24 hours)", None),
]

_ERROR = "border-left:4px solid #c62828;padding:4px 10px;overflow-wrap:anywhere;line-height:1.4"
_WITHOUT_KERNEL = "A form for new invoices stands here while a kernel is running: run this cell to use it."


class InvoiceForm(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is published without types
    """A form that creates one invoice, and then another one if asked to.

    One press of its button sends one creation, however fast it is pressed again: the form keeps its ClientId
    until ``Another invoice`` is pressed, and the hub never sends a ClientId twice.

    Args:
        hub: The hub that creates.
        amount_btc: What the amount field holds at first, in BTC.
        amount_sat: The same in satoshis.
        memo: What the memo field holds at first.
        expiry_hours: What the expiry field holds at first; None for the hub's default.

    Attributes:
        invoice: The last invoice made, or None.

    Raises:
        InvalidRequest: A default breaks a rule.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        amount_btc: Any = None,
        amount_sat: int | None = None,
        memo: str | None = None,
        expiry_hours: int | None = 24,
    ) -> None:
        self.invoice: Invoice | None = None
        self._hub = hub
        self._callbacks: list[Callable[[Invoice], None]] = []
        self._client_id = check_client_id(None)
        self._busy = False
        self._lock = threading.Lock()
        self._build()
        self._fill(amount_btc, amount_sat, memo, expiry_hours)
        self._connect_callbacks()
        super().__init__(
            [self._amount_row, self._memo, self._expiry, self._buttons, self._problem, self._result]
        )
        self.add_class("hn-form")

    def on_created(self, callback: Callable[[Invoice], None]) -> None:
        """Call back with each invoice that this form makes, on the hub's thread: do not block there."""
        self._callbacks.append(callback)

    def _build(self) -> None:
        wide = ipywidgets.Layout(width="min(480px, 98%)")
        self._amount = ipywidgets.Text(
            description="Amount", placeholder="0.001", layout={"width": "min(280px, 70%)"}
        )
        self._unit = ipywidgets.Dropdown(
            description="Unit",
            options=[BTC, SAT],
            layout={"width": "130px"},
            style={"description_width": "40px"},
        )
        self._echo = ipywidgets.HTML()
        self._memo = ipywidgets.Text(description="Memo", placeholder="none", layout=wide)
        self._expiry = ipywidgets.Dropdown(description="Expiry", options=EXPIRIES, value=24, layout=wide)
        self._create = ipywidgets.Button(description="Create invoice", button_style="primary")
        self._another = ipywidgets.Button(description="Another invoice", disabled=True)
        self._problem = ipywidgets.HTML()
        self._result = ipywidgets.HTML()
        self._amount_row = ipywidgets.HBox(
            [self._amount, self._unit, self._echo], layout={"flex_flow": "row wrap"}
        )
        self._buttons = ipywidgets.HBox([self._create, self._another], layout={"margin": "4px 0 4px 90px"})

    def _fill(
        self, amount_btc: Any, amount_sat: int | None, memo: str | None, expiry_hours: int | None
    ) -> None:
        empty = amount_btc is None and amount_sat is None
        request = InvoiceRequest(amount_btc, memo, expiry_hours, amount_sat=1 if empty else amount_sat)
        if not empty:
            self._unit.value = BTC if amount_sat is None else SAT
            self._amount.value = _amount_text(request.amount_msat, self._unit.value)
        self._memo.value = request.memo or ""
        hours = request.expiry_hours
        if hours not in dict(EXPIRIES).values():
            self._expiry.options = [(f"{hours} hours", hours), *EXPIRIES]
        self._expiry.value = hours
        self._show_echo()

    def _connect_callbacks(self) -> None:
        self._amount.observe(lambda _: self._show_echo(), "value")
        self._unit.observe(self._convert, "value")
        self._create.on_click(lambda _: self._press())
        self._another.on_click(lambda _: self._start_over())

    def _request(self) -> InvoiceRequest:
        """What the fields say.

        Raises:
            InvalidRequest: A field breaks a rule.
        """
        text = self._amount.value.strip()
        msat = _amount_msat(text, self._unit.value)
        return InvoiceRequest(
            amounts.msat_to_btc(msat), self._memo.value or None, self._expiry.value, self._client_id
        )

    def _show_echo(self) -> None:
        """Say the amount in the other unit, so that a slip of the unit is seen before it is sent."""
        try:
            msat = _amount_msat(self._amount.value.strip(), self._unit.value)
        except HercleError:
            self._echo.value = ""
        else:
            other = amounts.format_sat(msat) if self._unit.value == BTC else amounts.format_btc(msat)
            self._echo.value = f"= {other}"

    def _convert(self, change: dict[str, Any]) -> None:
        """Keep the amount when the unit changes: its text is converted, or cleared if it was none."""
        try:
            msat = _amount_msat(self._amount.value.strip(), change["old"])
        except HercleError:
            self._amount.value = ""
        else:
            self._amount.value = _amount_text(msat, change["new"])
        self._show_echo()

    def _press(self) -> None:
        """Start one creation; a press meanwhile does nothing."""
        with self._lock:
            if self._busy or self._create.disabled:
                return
            self._busy = True
        self._create.disabled = True
        self._problem.value = ""
        try:
            request = self._request()
            self._hub._note_missing_journal(stacklevel=1)
            self._hub._portal.submit(self._finish(request))
        except HercleError as error:
            self._show_problem(error)

    async def _finish(self, request: InvoiceRequest) -> None:
        """Wait for the hub and show what came of it; on the hub's thread."""
        try:
            invoice = await self._hub._core.create(request, self._hub.timeout)
        except HercleError as error:
            if isinstance(error, CommandRejected):
                self._client_id = check_client_id(None)  # refused for good; a mended request is a new one
            self._show_problem(error)
            return
        self._result.value = invoice._repr_html_()
        self._another.disabled = False
        self._busy = False
        self.invoice = invoice
        for callback in self._callbacks:
            try:
                callback(invoice)
            except Exception:
                logger.exception("a callback of the form failed")

    def _show_problem(self, error: HercleError) -> None:
        self._problem.value = f'<div role="alert" style="{_ERROR}">{escape(str(error))}</div>'
        self._create.disabled = False
        self._another.disabled = False
        self._busy = False

    def _start_over(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._client_id = check_client_id(None)
        self._problem.value = ""
        self._result.value = ""
        self._create.disabled = False
        self._another.disabled = True

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for viewers without a kernel a sentence in its place."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle:
            shown = self.invoice._repr_html_() if self.invoice else ""
            bundle["text/html"] = f"<p><em>{_WITHOUT_KERNEL}</em></p>{shown}"
            bundle["text/plain"] = f"InvoiceForm: {_WITHOUT_KERNEL}"
        return bundle


def _amount_msat(text: str, unit: str) -> int:
    """The amount that a text in that unit means; satoshis as a whole number."""
    if unit == SAT and text.isascii() and text.isdigit() and len(text) < 20:
        return amounts.sat_to_msat(int(text))
    return amounts.sat_to_msat(text) if unit == SAT else amounts.btc_to_msat(text)


def _amount_text(msat: int, unit: str) -> str:
    return f"{amounts.msat_to_btc(msat):f}" if unit == BTC else str(msat // amounts.MSAT_PER_SAT)
