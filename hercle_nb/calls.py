"""Commands under way, and which of them an event answers. No I/O.

An answer is matched by its ClientId, never by luck. Where it carries none, it fits a creation by the amount,
memo, expiry and time in its payment request, and only if exactly one creation fits; a refusal, or an answer
to another command, fits only if nothing else is under way. Else it fits nobody and stays an event in the log.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hercle_nb import commands
from hercle_nb.bolt11 import decode_payment_request
from hercle_nb.errors import HercleError, HubTimeout, InvalidRequest, OutcomeUnknown, PaymentRequestError
from hercle_nb.reconcile import fits

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hercle_nb.errors import CommandRejected
    from hercle_nb.events import HubEvent
    from hercle_nb.invoice_request import InvoiceRequest
    from hercle_nb.invoices import Invoice
    from hercle_nb.journal.rows import Sender


class AtLoss(Enum):
    """What becomes of a call when its connection is lost."""

    SEND_LATER = "it was not sent yet: it waits for the next connection"
    ASK_AGAIN = "it changes nothing: it is sent again over the next connection"
    WAIT = "a late answer, or the hub's list, can still settle it"
    FAIL = "nobody will ever hear of it"


@dataclass(eq=False)
class Call:
    """One command, from before it is sent until its end is known.

    Attributes:
        method: The hub method.
        client_id: Its ClientId, or None for a bare invocation.
        request: For a creation, what was asked.
        arguments: What is sent.
        sent_at: When it was handed to the connection; None before.
        hub_time: When that was by the hub's clock, in seconds since 1970.
        lost_at: When the connection that took it was lost, likewise by the hub's clock.
        waiting: How many callers wait for it.
        waits_until: When the last of them gives up, by the hub's clock.
        dismissed: The user has settled by decision that its outcome stays unknown.
        timed: Its round trip was counted.
        bare: It ends with its completion; no event answers it.
        unique: Its ClientId is one to the hub, so that there is no second command of it.
        invoice: A creation's good end.
        rejection: The hub's refusal.
        done: The good end of any other command.
        intent: Its mark in the journal; None where it is not to be there.
        unwritten: What the hub answered, for a person, while that is not durable.
        claimed: The payment hash of the invoice in it, or what else that is known by.
        named_id: The hub's id of its invoice, from an answer that brought no payment request.
        remembered: It is from the journal, of an earlier kernel or another one.
        key: The fingerprint of the key that it was sent with; None where that is not known.
        sender: Which other kernel sent it, while the journal knows of no answer.
        batch: The ``batch_id`` of the batch that it is a row of.
        row_key: Its key there, or its number.
    """

    method: str
    client_id: str | None = None
    request: InvoiceRequest | None = None
    arguments: list[Any] = field(default_factory=list)
    sent_at: datetime | None = None
    hub_time: float | None = None
    lost_at: float | None = None
    waiting: int = 0
    waits_until: float = 0.0
    dismissed: bool = False
    timed: bool = False
    bare: bool = False
    unique: bool = True
    invoice: Invoice | None = None
    rejection: CommandRejected | None = None
    done: bool = False
    intent: str | None = None
    unwritten: str = ""
    claimed: str | None = None
    named_id: str | None = None
    remembered: bool = False
    key: str | None = None
    sender: Sender | None = None
    batch: str | None = None
    row_key: str | None = None

    @cached_property
    def completion(self) -> asyncio.Future[Any]:
        """The result of the SignalR completion; on the hub's thread."""
        return asyncio.get_running_loop().create_future()

    @cached_property
    def answer(self) -> asyncio.Future[HubEvent]:
        """The answering event; on the hub's thread."""
        return asyncio.get_running_loop().create_future()

    @property
    def settled(self) -> bool:
        """Whether the hub has said how it ended."""
        return self.invoice is not None or self.rejection is not None or self.done

    @property
    def elsewhere(self) -> bool:
        """Whether another kernel waits for its answer, as far as the last look at the journal told."""
        return self.sender is not None and self.sender.waits

    @property
    def unknown(self) -> bool:
        """Whether it was sent, nobody waits any more, and the hub has not said how it ended."""
        return self.sent_at is not None and not (self.settled or self.waiting or self.elsewhere)

    @property
    def repeatable(self) -> bool:
        """Whether it may be asked again after a loss: it changes nothing."""
        return commands.changes_nothing(self.method)

    def at_loss(self, *, too_large: bool) -> AtLoss:
        """What becomes of it when its connection is lost, by a message that was too large or otherwise."""
        if self.sent_at is None:
            return AtLoss.SEND_LATER
        if self.repeatable:  # unless its own answer may be what ended the connection
            return AtLoss.FAIL if too_large else AtLoss.ASK_AGAIN
        return AtLoss.FAIL if self.request is None else AtLoss.WAIT

    def fail(self, error: HercleError) -> None:
        """Tell everybody who waits."""
        for future in (self.completion, self.answer):
            if not future.done():
                future.set_exception(error)
                future.exception()  # retrieved: nobody need be waiting

    def lost(self, why: str) -> HercleError:
        """What its caller is told when no answer can be had: a time-out, or that the outcome is unknown."""
        name = self.method if self.client_id is None else f"{self.method} with ClientId {self.client_id}"
        if self.sent_at is None:
            return HubTimeout(f"{name} was not sent: {why}. It will not be sent later.")
        if self.repeatable:
            return HubTimeout(f"{name} has no answer: {why}. It changes nothing, so ask again.")
        if self.unwritten:
            return OutcomeUnknown(
                f"{name} was answered with {self.unwritten}, which is not recorded so far: {why} It will be "
                "recorded as soon as that can be done.",
                client_id=self.client_id,
                method=self.method,
                sent_at=self.sent_at,
            )
        advice = "It is not sent again by itself; hub.unresolved keeps it in mind."
        if self.dismissed:
            advice = "It is never sent again; hub.refresh_invoices() shows what there is."
        elif self.request is not None:
            advice = (
                f"It is not sent again by itself; hub.resolve({self.client_id!r}) looks for it in the hub's "
                "list, and create_invoice with the same ClientId and arguments sends nothing here."
            )
        return OutcomeUnknown(
            f"{name} was sent at {self.sent_at:%H:%M:%S} UTC and may or may not have been carried out: "
            f"{why}. {advice}",
            client_id=self.client_id,
            method=self.method,
            sent_at=self.sent_at,
        )


class Calls:
    """Every call that an event or a completion may still belong to."""

    def __init__(self) -> None:
        self._by_client_id: dict[str, Call] = {}
        self._by_invocation: dict[str, Call] = {}
        self._numbers = itertools.count(1)

    def __bool__(self) -> bool:
        return bool(self._by_client_id)

    def expect_answer(self, call: Call) -> None:
        """From now on, events may answer this call.

        Raises:
            InvalidRequest: Another call with this ClientId is still open.
        """
        assert call.client_id is not None  # noqa: S101  # typing: callers made or checked it
        if call.client_id in self._by_client_id:
            raise InvalidRequest(
                f"A command with the ClientId {call.client_id} is still open, so nothing was sent; wait for "
                f"its answer, or see what became of it with hub.resolve({call.client_id!r})."
            )
        self._by_client_id[call.client_id] = call

    def number(self, call: Call) -> str:
        """A new invocation id, whose completion will be this call's."""
        invocation_id = str(next(self._numbers))
        self._by_invocation[invocation_id] = call
        return invocation_id

    def take(self, invocation_id: str) -> Call | None:
        """The call that a completion belongs to, once."""
        return self._by_invocation.pop(invocation_id, None)

    def forget(self, call: Call) -> None:
        """No event or completion is this call's any more."""
        if call.client_id is not None and self._by_client_id.get(call.client_id) is call:
            del self._by_client_id[call.client_id]
        for invocation_id in [key for key, value in self._by_invocation.items() if value is call]:
            del self._by_invocation[invocation_id]

    def unfinished(self) -> set[Call]:
        """Every call still open."""
        return {*self._by_client_id.values(), *self._by_invocation.values()}

    def answered_by(self, event: HubEvent, now: float, ours: Callable[[Call], bool]) -> Call | None:
        """The one call that an event answers, or None.

        Args:
            event: The event.
            now: By the hub's clock, in seconds since 1970.
            ours: Whether a call was sent for this account: only then an answer that names nobody may be its.
        """
        if event.client_id:
            call = self._by_client_id.get(event.client_id)
            return call if call is not None and commands.can_answer(call.method, event) else None
        if (text := commands.payment_request(event.data)) is not None:
            fitting = [call for call in self._creations_like(text, now) if ours(call)]
        else:  # a bare invocation under way may be what this answers
            open_here = [call for call in self.unfinished() if not call.remembered and ours(call)]
            fitting = [call for call in open_here if call.client_id in self._by_client_id]
            fitting = fitting if len(open_here) == 1 else []
        if len(fitting) != 1 or not commands.can_answer_unnamed(fitting[0].method, event):
            return None
        # a success that shows no invoice may be about any, however old
        shows_nothing = fitting[0].request is not None and text is None and not commands.is_refusal(event)
        return None if shows_nothing else fitting[0]

    def _creations_like(self, payment_request: str, now: float) -> list[Call]:
        try:
            decoded = decode_payment_request(payment_request)
        except PaymentRequestError:
            return []
        return [call for call in self._by_client_id.values() if fits(call, decoded, now)]
