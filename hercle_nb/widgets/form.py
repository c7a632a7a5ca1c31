"""The form that creates invoices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import traitlets

from hercle_nb import amounts
from hercle_nb.invoice_request import MAX_MEMO_BYTES
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box, close, sendable
from hercle_nb.widgets._creation import Creation
from hercle_nb.widgets._draft import BTC, EXPIRIES, SAT, Draft
from hercle_nb.widgets._frontend import LiveWidget, Region, available
from hercle_nb.widgets._plain_form import PlainForm
from hercle_nb.widgets.card import InvoiceCard

if TYPE_CHECKING:
    from collections.abc import Callable

    from hercle_nb.hub import Hub
    from hercle_nb.invoices import Invoice

_LABEL = "New invoice"
_TICK = 0.5  # seconds


class InvoiceForm(Box):
    """A form that creates one invoice, and then another one if asked to.

    One press sends one creation, however often it is pressed: the form keeps its ClientId until ``Another
    invoice``, and the hub never sends a ClientId twice. It keeps its hub alive until `close`.

    Args:
        hub: The hub that creates.
        draft: What the fields hold at first.
        confirm_above_btc: Larger amounts are asked about before they are sent, 0 for all; on
            production all are.
        plain: Use ipywidgets alone; also done where anywidget is missing.

    Raises:
        InvalidRequest: ``confirm_above_btc`` is no amount.
    """

    _ticker: _interface.Ticker | None = None  # where an argument was refused, `close` is called all the same
    without_kernel = "A form for new invoices stands here while a kernel is running: run this cell to use it."

    def __init__(
        self, hub: Hub, draft: Draft, *, confirm_above_btc: Any = "0.1", plain: bool = False
    ) -> None:
        self._plain = plain or not available()
        self._hub: Hub | None = hub  # this and the face until it is closed
        self._callbacks: list[Callable[[Invoice], object]] = []
        self._invoice: Invoice | None = None
        always = confirm_above_btc in (0, "0")
        limit = 0 if always else amounts.btc_to_msat(confirm_above_btc, allow_msat=True)
        creation = Creation(hub, draft, limit, self._change, partial(self._created, hub))
        self._card: InvoiceCard | None = None
        self._face: PlainForm | LiveForm | None = (PlainForm if self._plain else LiveForm)(creation)
        self._result = Box([])
        region = [] if self._plain else [Region(_LABEL)]
        super().__init__([*region, self._face, self._result])
        self.add_class("hn-form-box")
        self._ticker = _interface.every(_TICK, creation.tick, self._fail)

    @property
    def invoice(self) -> Invoice | None:
        """The last invoice made, as it was then, or None."""
        return self._invoice

    def on_created(self, callback: Callable[[Invoice], object]) -> None:
        """Call back with each invoice that this form makes, on the thread of the hub's callbacks.

        A blocking verb works there. What a callback raises is logged and counted.
        """
        if self._hub is not None:
            self._hub._core.callbacks.begin()
        self._callbacks.append(callback)

    def last_state(self) -> str:
        """The last invoice, if there is one."""
        if self._card is not None:
            return self._card.last_state()
        return "" if self.invoice is None else self.invoice._repr_html_()

    def close(self) -> None:
        """Go, and let the hub go; does nothing the second time. What was sent goes on."""
        if self._ticker is not None:
            self._ticker.cancel()
        self._hub = self._face = None
        super().close()
        self.children = ()  # the face holds the hub as well

    def _change(self) -> None:
        if (face := self._face) is None:
            return
        face.show(face._creation.view())
        if face.phase != "created":
            self._show_card(None)

    def _created(self, hub: Hub, invoice: Invoice) -> None:
        self._invoice = invoice
        if self._hub is not None:
            self._show_card(InvoiceCard(hub, invoice, plain=self._plain))
        if self._hub is None:  # closed just now: nobody else would close the card
            self._show_card(None)
        for callback in self._callbacks:
            hub._core.callbacks.post(partial(_call_back, callback, hub), invoice)

    def _show_card(self, card: InvoiceCard | None) -> None:
        if card is self._card:
            return
        gone, self._card = self._card, card
        self._result.children = [] if card is None else [card]
        if gone is not None:
            close(gone)

    def _fail(self, error: Exception) -> None:
        if (face := self._face) is not None:
            face.show(face._creation.view() | {"told": f"{type(error).__name__}: {error}"})


def _call_back(callback: Callable[[Invoice], object], _hub: Hub, invoice: Invoice) -> None:
    """Call back; the hub is kept until then, since one that goes calls nobody any more."""
    callback(invoice)


class LiveForm(LiveWidget):
    """The fields and buttons, drawn by the browser; see the face ``form``.

    From the browser: ``{type: "edit", fields, mark}`` as one types, ``{type: "create", fields, mark, turn}``,
    and ``{type, turn}`` with the type ``confirm``, ``back``, ``wait``, ``look``, ``new`` or ``another``.

    Attributes:
        options: What there is to choose from, and how long a memo may be.
        state: What `Creation.view` gives.
    """

    options: Any = traitlets.Dict().tag(sync=True)
    state: Any = traitlets.Dict().tag(sync=True)

    def __init__(self, creation: Creation) -> None:
        self._creation = creation
        options = {"units": [BTC, SAT], "expiries": list(EXPIRIES.items()), "memo_bytes": MAX_MEMO_BYTES}
        super().__init__(face="form", options=options, state=sendable(creation.view()))

    @property
    def phase(self) -> str:
        """The phase that is shown."""
        return str(self.state["phase"])

    def show(self, view: dict[str, Any]) -> None:
        """Show what the creation has come to; on the interface thread."""
        self.state = sendable(view)

    def _answer(self, message: dict[str, Any]) -> None:
        creation, kind, turn = self._creation, str(message.get("type")), message.get("turn")
        steps: dict[str, Callable[[int], None]] = {
            "confirm": creation.confirm,
            "back": creation.back,
            "wait": creation.keep_waiting,
            "look": creation.look_again,
            "new": creation.create_new,
            "another": creation.another,
        }
        mark = str(message.get("mark", ""))
        if kind == "edit":
            creation.edit(Draft.of(message.get("fields")), mark)
        elif isinstance(turn, int) and kind == "create":
            creation.create(Draft.of(message.get("fields")), turn, mark)
        elif isinstance(turn, int) and kind in steps:
            steps[kind](turn)

    def _fail(self, error: Exception) -> None:
        self.show(self._creation.view() | {"told": f"{type(error).__name__}: {error}"})
