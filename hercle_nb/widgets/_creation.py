"""What a form does: a creation from the fields to the invoice, without widgets. For the interface thread.

    draft ──create──► confirm ──confirm──► waiting ──the hub's answer──► created ──another──► draft
      ▲                 │ back                │ refused, or not sent: draft
      └─────────────────┘                     └ no answer: unknown ──wait, look──► waiting
                                                                   ──new (another ClientId)──► waiting

A press names the turn that it was made in, and each step is a new turn: what was pressed twice, or on a page
that shows what is past, does nothing.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hercle_nb import amounts
from hercle_nb.errors import CommandRejected, HercleError, InvalidRequest, OutcomeUnknown
from hercle_nb.invoice_request import DEFAULT_EXPIRY_HOURS, check_client_id
from hercle_nb.widgets import _interface

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from hercle_nb.book import Resolution
    from hercle_nb.hub import Hub
    from hercle_nb.invoice_request import InvoiceRequest
    from hercle_nb.invoices import Invoice
    from hercle_nb.widgets._draft import Draft

Phase: TypeAlias = Literal["draft", "confirm", "waiting", "unknown", "created"]


class Creation:
    """One creation after the other, each under a ClientId of its own.

    Args:
        hub: The hub that creates; kept alive.
        draft: What the fields hold at first.
        limit_msat: More than that is asked about before it is sent.
        on_change: Called when `view` gives something else.
        on_created: Called with each invoice.

    Attributes:
        draft: The fields, as last told; those that were sent while and after they are.
        invoice: The last invoice made, or None.
    """

    def __init__(
        self,
        hub: Hub,
        draft: Draft,
        limit_msat: int,
        on_change: Callable[[], object],
        on_created: Callable[[Invoice], object],
    ) -> None:
        self.draft = draft
        self.invoice: Invoice | None = None
        self._hub = hub
        self._limit_msat = limit_msat
        self._on_change = on_change
        self._on_created = on_created
        self._phase: Phase = "draft"
        self._turn = 0
        self._made = check_client_id(None)
        self._checked = ""
        self._problems = self._check(draft)
        self._told = ""  # what went wrong, or what the hub said
        self._asked: InvoiceRequest | None = None
        self._patient_until: float | None = None  # while an answer that is late is waited for

    def view(self) -> dict[str, Any]:
        """What a face shows, as JSON takes it."""
        hub, asked = self._hub, self._asked
        clean = self._phase == "draft" and not self._problems
        return {
            "phase": self._phase,
            "turn": self._turn,
            "fields": self.draft.fields(),
            "checked": self._checked,
            "problems": self._problems,
            "code": self.draft.code(self._made) if clean or self._phase == "created" else "",
            "told": self._told,
            "question": self._question(asked) if asked is not None and self._phase == "confirm" else "",
            "client_id": asked.client_id if asked is not None else "",
            "environment": hub.environment,
            "state": hub.state,
            "reason": hub._last_error() or "",
            "timeout": hub.timeout,
        }

    def edit(self, draft: Draft, mark: str = "") -> None:
        """The fields hold something else; ``mark`` comes back with what is wrong with them."""
        if self._phase == "draft":
            self.draft, self._checked, self._problems = draft, mark, self._check(draft)
            self._on_change()

    def create(self, draft: Draft, turn: int, mark: str = "", *, ask: bool = False) -> None:
        """Create what the fields ask for, or ask about it first: always, if ``ask``."""
        if self._phase != "draft" or turn != self._turn:
            return
        self.draft, self._checked, self._problems, self._told = draft, mark, self._check(draft), ""
        if self._problems:
            self._step("draft")
            return
        self._asked = draft.request(self._made)
        if ask or self._must_ask(self._asked):
            self._step("confirm")
        else:
            self._send()

    def confirm(self, turn: int) -> None:
        """Send what was asked about."""
        if self._phase == "confirm" and turn == self._turn:
            self._send()

    def back(self, turn: int) -> None:
        """Do not send it."""
        if self._phase == "confirm" and turn == self._turn:
            self._asked = None
            self._step("draft")

    def keep_waiting(self, turn: int) -> None:
        """Wait once more for the answer that has not come; nothing is sent."""
        if self._phase == "unknown" and turn == self._turn:
            self._patient_until = time.monotonic() + self._hub.timeout
            self._step("waiting")

    def look_again(self, turn: int) -> None:
        """Look for it in the hub's list of invoices."""
        if self._phase != "unknown" or turn != self._turn or self._asked is None:
            return
        client_id, hub = self._asked.client_id, self._hub
        self._step("waiting")
        try:
            future, _ = hub._portal.submit(hub._core.lists.resolve(client_id, hub.timeout, dismiss=False))
        except HercleError as error:
            self._fail(error)
        else:
            _interface.when_done(future, self._looked, self._fail)

    def create_new(self, turn: int, *, ask: bool = False) -> None:
        """Ask for the same under another ClientId, though the first may exist; ask first if ``ask``."""
        if self._phase != "unknown" or turn != self._turn:
            return
        self._made = check_client_id(None)
        self.draft = replace(self.draft, client_id="")
        self._asked = self.draft.request(self._made)
        if ask or self._must_ask(self._asked):
            self._step("confirm")
        else:
            self._send()

    def another(self, turn: int) -> None:
        """Begin anew with the same fields."""
        if self._phase == "created" and turn == self._turn:
            self._renew()
            self.draft = replace(self.draft, client_id="")
            self._step("draft")

    def tick(self) -> None:
        """See whether an answer has come late, and how the hub is."""
        if self._asked is not None and (self._phase == "unknown" or self._patient_until is not None):
            call = self._hub._core.book.creation(self._asked.client_id)
            if call is not None and call.invoice is not None:
                self._show(call.invoice)
                return
            if call is not None and call.rejection is not None:
                self._fail(call.rejection)
                return
            if self._patient_until is not None and time.monotonic() > self._patient_until:
                self._patient_until = None
                self._step("unknown")
                return
        self._on_change()

    def _check(self, draft: Draft) -> dict[str, str]:
        """What is wrong with the fields, at this hub."""
        return draft.problems(self._hub._core.creating.max_msat(draft.client_id))

    def _must_ask(self, request: InvoiceRequest) -> bool:
        return self._hub.environment == "production" or request.amount_msat > self._limit_msat

    def _send(self) -> None:
        request, hub = self._asked, self._hub
        if request is None:
            return
        self._told = ""
        self._step("waiting")
        try:
            future, _ = hub._portal.submit(hub._core.creating.create(request, hub.timeout))
        except HercleError as error:
            self._fail(error)
        else:
            _interface.when_done(future, self._answered, self._fail)

    def _answered(self, done: Future[Invoice]) -> None:
        try:
            invoice = done.result()
        except HercleError as error:  # told in the form alone: no traceback below the cell
            self._fail(error)
        else:
            self._show(invoice)

    def _looked(self, done: Future[Resolution]) -> None:
        try:
            found = done.result()
        except HercleError as error:
            self._fail(error)
            return
        if found.invoice is not None:
            self._show(found.invoice)
            return
        if found.candidates is not None:
            self._told = (
                f"{len(found.candidates)} invoices in the hub's list fit it, and which one it is cannot be "
                f"told: hub.resolve({found.client_id!r}).candidates shows them."
            )
        elif found.outcome == "dismissed":
            self._told = "It was dismissed by hub.resolve(…, dismiss=True), so the hub's list is not asked."
        else:
            self._told = "Nothing in the hub's list of invoices fits it so far."
        self._step("unknown")

    def _show(self, invoice: Invoice) -> None:
        self.invoice = invoice
        self._told, self._patient_until = "", None
        self._step("created")
        self._on_created(invoice)

    def _fail(self, error: Exception) -> None:
        """Say what came of it where no invoice did."""
        asked, self._patient_until = self._asked, None
        self._told = str(error) if isinstance(error, HercleError) else f"{type(error).__name__}: {error}"
        if isinstance(error, OutcomeUnknown):
            self._told = (
                f"{self._told.partition(' It is not sent again')[0]} Nothing is sent again by itself."
            )
            self._step("unknown")
            return
        call = None if asked is None else self._hub._core.book.creation(asked.client_id)
        if call is not None and not call.settled and call.request == asked:
            self._step("unknown")  # the hub's list could not be had
            return
        if isinstance(error, CommandRejected):
            if self.draft.client_id:
                self._told += " Its ClientId is spent: type another one, or none."
            self._renew()
        if isinstance(error, InvalidRequest):
            self._problems, self._told = self._check(self.draft) or {"client_id": self._told}, ""
        self._step("draft")

    def _renew(self) -> None:
        self._made, self._asked = check_client_id(None), None

    def _step(self, phase: Phase) -> None:
        self._phase = phase
        self._turn += 1
        self._on_change()

    def _question(self, request: InvoiceRequest) -> str:
        """What is about to be sent, and why that is asked about."""
        msat = request.amount_msat
        hours = request.expiry_hours
        expiry = f"{DEFAULT_EXPIRY_HOURS} h, the hub's default" if hours is None else f"{hours} h"
        memo = "no memo" if request.memo is None else f"the memo “{request.memo}”"
        why = []
        if self._hub.environment == "production":
            why.append("This is production: the invoice is real.")
        if msat > self._limit_msat > 0:
            why.append(f"That is more than {amounts.format_btc(self._limit_msat)}.")
        asked = (
            f"Create an invoice of {amounts.format_btc(msat)} = {amounts.format_sat(msat)} "
            f"with {memo}, valid for {expiry}?"
        )
        return " ".join([asked, *why])
