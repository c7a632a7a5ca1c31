"""The live card of an invoice: the static one, with a countdown, and a receipt as soon as it is paid."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from hercle_nb.bolt11 import canonical
from hercle_nb.display import card, warnings
from hercle_nb.errors import ConnectionFailed, HercleError, InvalidRequest
from hercle_nb.invoice_display import invoice_card
from hercle_nb.lists import TIMEOUT
from hercle_nb.states import CLOSED, OPEN, PAID, REJECTED, hub_now
from hercle_nb.widgets import _interface
from hercle_nb.widgets._box import Box, close, sendable
from hercle_nb.widgets._frontend import LiveWidget, available

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hercle_nb.errors import CommandRejected
    from hercle_nb.hub import Hub
    from hercle_nb.invoices import Invoice
    from hercle_nb.payments import Watch

PAY = "Pay (simulator)"
_TICK = 1.0  # seconds
_LAST_LOOK = timedelta(minutes=2)  # after the expiry: a payment of the last moment shows late
_UNHEARD = 900.0  # seconds without a word from a browser, which says something every ten: a cell may be long


class InvoiceCard(Box):
    """A card that follows its invoice, and keeps its hub alive until `close`.

    While it is on a page and the invoice is open, the hub's list is asked for at the pace of `Hub.wait_paid`,
    once for all cards.

    Args:
        hub: The hub that knows the invoice.
        invoice: The invoice.
        plain: Use ipywidgets alone; also done where anywidget is missing.
    """

    def __init__(self, hub: Hub, invoice: Invoice, *, plain: bool = False) -> None:
        self._hub: Hub | None = hub  # until it is closed
        self._invoice = invoice
        self._drawn = (invoice, invoice.status)
        self._shown_until = float("inf")  # of the plain card nobody says when it goes
        self._watch: Watch | None = None
        self._note = ""
        self._html = ipywidgets.HTML(invoice_card(invoice))
        self._live: LiveLine | None = None
        self._pay = ipywidgets.Button(description=PAY)
        self._pay.on_click(lambda _: self.pay())
        if plain or not available():
            foot = [self._pay]
        else:
            self._shown_until = 0.0
            self._live = LiveLine(self, self._facts())
            foot = [self._live]
        super().__init__([self._html, *foot])
        self.add_class("hn-card")
        self._ticker = _interface.every(_TICK, self._tick, self._fail)
        if self._live is None:
            self._tick()

    @property
    def clock_ahead(self) -> float:
        """Seconds that the hub's clock is ahead of this computer's, as far as the invoice tells."""
        return self._invoice.clock_ahead

    def last_state(self) -> str:
        """The static card."""
        return str(self._html.value)

    def close(self) -> None:
        """Follow the invoice no more, let the hub go, and go; does nothing the second time."""
        self._ticker.cancel()
        self._rest()
        self._hub = None
        close(self._pay)  # a live card does not show it
        super().close()

    def seen(self, *, here: bool) -> None:
        """A browser shows the card, or the last one does no more; on the interface thread."""
        self._shown_until = time.monotonic() + _UNHEARD if here else 0.0
        self._tick()

    def pay(self) -> None:
        """Let the simulator's payer pay; never waits."""
        hub = self._hub
        if hub is not None and hub._core.simulator is not None:
            _interface.post(lambda: self._paid_by_simulator(hub), self._fail)

    def _paid_by_simulator(self, hub: Hub) -> None:
        self._note = ""
        hub.simulator.pay(self._invoice)  # in this process: milliseconds
        asked, _ = hub._portal.submit(hub._core.lists.ask(TIMEOUT))
        _interface.when_done(asked, self._looked, self._fail)

    def _looked(self, done: Future[None]) -> None:
        try:
            done.result()
        except HercleError as error:  # told below the card alone
            self._fail(error)
        else:
            self._tick()

    def _tick(self) -> None:
        """Show what has changed, and let the hub's list be asked for as long as it can change."""
        hub = self._hub
        if hub is None:
            return
        if (refused := self._refusal(hub)) is not None:  # what the hub's list seemed to say was wrong
            self._show_refusal(refused)
            return
        self._invoice = invoice = self._as_it_stands(hub)
        status = invoice.status
        hopeful = (
            status not in (PAID, CLOSED) and hub_now(invoice.clock_ahead) < invoice.expires_at + _LAST_LOOK
        )
        if not hopeful or time.monotonic() > self._shown_until:
            self._rest()
        elif self._watch is None:
            with contextlib.suppress(ConnectionFailed):
                self._watch = hub.on_paid(lambda _: _interface.post(self._tick, self._fail))
            if self._hub is None:  # closed just now
                self._rest()
        if hub.state == "closed" and status == OPEN:
            self._note = "The hub is closed: whether this is paid is not looked at any more."
        if self._drawn != (invoice, status):
            self._drawn = (invoice, status)
            self._html.value = invoice_card(invoice)
        self._show_foot()

    def _as_it_stands(self, hub: Hub) -> Invoice:
        """The invoice as the hub knows it now."""
        call = hub._core.book.creations.get(self._invoice.client_id or "")
        if call is not None and call.invoice is not None:
            now = call.invoice
        else:
            try:
                now = hub._core.book.find(self._invoice)
            except InvalidRequest:  # another kernel's: as it was
                return self._invoice
        now = replace(now, clock_ahead=hub._core.supervisor.clock_ahead or now.clock_ahead)
        return now.as_reused() if self._invoice.reused else now

    def _refusal(self, hub: Hub) -> CommandRejected | None:
        """The hub's refusal of this very creation, which came after the hub's list had been misunderstood."""
        call = hub._core.book.creations.get(self._invoice.client_id or "")
        return None if call is None or call.invoice is not None else call.rejection

    def _show_refusal(self, refused: CommandRejected) -> None:
        self._rest()
        self._html.value = card(warnings([f"There is no such invoice: {refused}"]))
        if self._live is not None:
            self._live.facts = self._facts() | {"status": REJECTED, "request": "", "pay": ""}

    def _show_foot(self) -> None:
        if self._live is not None:
            self._live.facts = self._facts()
        else:
            self._pay.layout.display = "" if self._can_be_paid() else "none"

    def _rest(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()

    def _fail(self, error: Exception) -> None:
        words = str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}"
        self._note = words
        self._show_foot()

    def _can_be_paid(self) -> bool:
        hub = self._hub
        return (
            hub is not None
            and hub._core.simulator is not None
            and hub.state != "closed"
            and self._invoice.status == OPEN
        )

    def _facts(self) -> dict[str, Any]:
        invoice = self._invoice
        facts: dict[str, Any] = sendable(
            {
                "status": invoice.status,
                "request": "" if invoice.alarm else canonical(invoice.payment_request),
                "expires": int(invoice.expires_at.timestamp() * 1_000),
                "pay": PAY if self._can_be_paid() else "",
                "note": self._note,
            }
        )
        return facts


class LiveLine(LiveWidget):
    """The line below the static card, drawn by the browser; see the face ``card``.

    From the browser: ``{type: "hello"}`` when the first view appears and ``{type: "here"}`` now and then,
    ``{type: "bye"}`` when the last one goes, which another browser answers with a hello if it is told
    ``{type: "anyone"}``, and ``{type: "pay"}``.

    Attributes:
        facts: ``status``; ``request``, the payment request, empty where nobody should pay it; ``expires``, in
            milliseconds since 1970; ``pay``, the label of the button that pays, if there is one; ``note``. As
            they are sent, ``now`` is the time by the hub's clock, likewise: the browser's may be another.
    """

    facts: Any = traitlets.Dict().tag(sync=True, to_json=lambda facts, line: facts | {"now": line.now()})

    def __init__(self, card: InvoiceCard, facts: dict[str, Any]) -> None:
        self._card = card
        super().__init__(face="card", facts=facts)

    def now(self) -> int:
        """Now by the hub's clock, in milliseconds since 1970."""
        return int(hub_now(self._card.clock_ahead).timestamp() * 1_000)

    def _answer(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind in ("hello", "here"):
            self._card.seen(here=True)
            self.send_state("facts")  # for the time in it
        elif kind == "bye":
            self._card.seen(here=False)
            self.send({"type": "anyone"})
        elif kind == "pay":
            self._card.pay()

    def _fail(self, error: Exception) -> None:
        self._card._fail(error)
